"""The status page as HTML: whole on the server, so that it shows everything without its script."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib import resources

from exporter.budget import CAUSES
from exporter.humanize import count, seconds, share
from exporter.status import tables
from exporter.status.picture import bar, chart
from exporter.status.view import MOST_RIVERS, RiverView, View

_MARKS = {"ok": "✓", "warning": "!", "critical": "✕", "unknown": "?"}


@cache
def _file(name: str) -> str:
    return resources.files("exporter.status").joinpath(name).read_text("utf-8")


def script() -> str:
    """The page's one script, exactly as it stands between its tags."""
    return _file("page.js")


def style() -> str:
    """Its one style sheet, exactly as it stands between its tags."""
    return _file("page.css")


def page(view: View) -> str:
    """The whole page. What is in `data-live` is replaced by the script when it changes."""
    level = "" if view.level == "ok" else f"{view.level}: "
    parts = {"pools": tables.pools, "queues": tables.queues, "exporter": tables.exporter}
    sections = "".join(f'<section id="{name}" data-live>{make(view)}</section>' for name, make in parts.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{level}River's completer</title>"
        f'<link rel="icon" href="data:,"><style>{style()}</style></head>'
        f"<body>{_header(view)}<main>{_state(view)}{_rivers(view)}{sections}</main>{_footer(view)}"
        f"<script>{script()}</script></body></html>"
    )


def _header(view: View) -> str:
    at = datetime.fromtimestamp(view.at, UTC)
    return (
        "<header><h1>River's completer</h1>"
        f'<p id="tools"><span id="fresh">As of {at:%Y-%m-%d %H:%M:%S} UTC; reload to see what is new.</span></p>'
        "</header>"
    )


def _footer(view: View) -> str:
    links = {view.metrics: "Metrics", "/status.json": "As JSON", "/-/healthy": "Health", "/-/ready": "Readiness"}
    named = " ".join(f'<a href="{escape(path)}">{name}</a>' for path, name in links.items())
    where = f" on {escape(view.pod)}, database {escape(view.database)}" if view.details else ""
    return f"<footer><p>river-exporter {escape(view.version)}{where} {named}</p></footer>"


def _state(view: View) -> str:
    # only the level is read out, and only when it changes: the sentence changes with every second
    return (
        f'<section id="state" class="{view.level}" data-live aria-label="State">'
        f'<p class="level"><span aria-hidden="true">{_MARKS[view.level]}</span> <strong>{view.level}</strong></p>'
        f"<p>{_unbroken(escape(view.text))}</p>{_next_step(view)}</section>"
        f'<p id="spoken" class="spoken" role="status" data-live>{view.level}</p>'
    )


def _next_step(view: View) -> str:
    """Where to look next while something is wrong: the command that finds the fix, the runbook, the dashboard."""
    if view.level == "ok":
        return ""
    doctor = "river-exporter doctor"
    if view.details:
        doctor = f"kubectl exec {view.pod} -c river-exporter -- {doctor}"
    links = {"Runbook": view.runbook, "Dashboard": view.dashboard}
    named = " ".join(f'<a href="{escape(url)}">{name}</a>' for name, url in links.items() if url)
    return (
        f'<p class="next">Next: <code id="next">{escape(doctor)}</code>'
        f'<button type="button" data-copy="next">Copy</button> {named}</p>'
    )


def _unbroken(text: str) -> str:
    """Text whose numbers stay on the line of their unit."""
    return re.sub(r"(\d) (?=(?:s|ms|µs|min|h|d|%)\b|%)", "\\1&nbsp;", text)


def _rivers(view: View) -> str:
    several = len(view.rivers) > 1
    parts = [_river(view, river, number, several=several) for number, river in enumerate(view.rivers)]
    if len(view.rivers) == MOST_RIVERS:
        parts.append(f'<p class="more">At most {MOST_RIVERS} schemas are shown; the metrics have them all.</p>')
    return f'<div id="rivers" data-live>{"".join(parts)}</div>'


def _river(view: View, river: RiverView, number: int, *, several: bool) -> str:
    place = f" in {escape(river.schema)}" if several else ""
    said = f"<p>{escape(river.text)}</p>" if several else ""
    ratio = share(river.ratio) if river.ratio is not None else "not known how much is"
    blocked = "" if river.blocking is None else tables.blocking(river, number)
    limits = f"warning at {share(view.warning)}, critical at {share(view.critical)}"
    return (
        f"<section><h2>The budget of {seconds(view.timeout)}{place}: {ratio} used</h2>{said}{bar(view, river)}"
        f'<p class="axis"><span>0</span><span>{limits}</span><span>{seconds(view.timeout)}</span></p>'
        f"{_legend(view, river)}</section>"
        f"<section><h2>The last 30 minutes{place}</h2>{chart(view, river)}{tables.past(view, river, number)}</section>"
        f"{blocked}"
    )


def _legend(view: View, river: RiverView) -> str:
    items = []
    for cause in CAUSES:
        value = seconds(river.seconds[cause]) if cause in river.seconds else "not seen from here"
        source = river.sources.get(cause)
        by = f' <span class="by">by {escape(source)}</span>' if source else ""
        leads = ", dominant" if cause == river.cause else ""
        items.append(f'<li><span class="key {cause}"></span><b>{cause}</b> {value}{leads}{by}</li>')
    ended = sum(river.timeouts.values())
    timeouts = f"{count(ended, 'attempt') if ended else 'No attempt'} seen to time out since the exporter started."
    return (
        f'<ul class="legend">{"".join(items)}</ul>'
        f'<p class="by">The worst attempt of the last {seconds(view.window)}. {timeouts}</p>'
    )
