"""The tables of the status page, and the sections around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from exporter.budget import CAUSES
from exporter.humanize import count, seconds, share
from exporter.status.view import CollectorView, QueueView, RiverView, View

STATES = ("available", "running", "scheduled", "retryable", "pending")
"""River's live states, in the order of a job's life."""

NOTHING = "-"
"""What stands in a cell without a value."""

PIECES = 6
"""Rows of the table that stands for the chart."""


def table(label: str, name: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls in itself on a narrow screen, also by keyboard.

    Args:
        name: its id.
        rows: cells as HTML; the first is the row's heading.
    """
    head = "".join(f'<th scope="col">{each}</th>' for each in columns)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}" id="{name}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def past(view: View, river: RiverView, number: int) -> str:
    """The chart's numbers: the worst of each five minutes."""
    per = len(river.history) // PIECES
    rows = []
    for index in range(PIECES):
        points = [point for point in river.history[index * per : (index + 1) * per] if point]
        worst = max(points, key=sum, default=None)
        cells = [NOTHING] * (len(CAUSES) + 1)
        if worst:
            cells = [*map(_seconds, worst), share(sum(worst) / view.timeout)]
        rows.append((f"{30 - 5 * index} to {25 - 5 * index} min ago", *cells))
    inside = table("The last 30 minutes as a table", f"numbers-{number}", ("worst of", *CAUSES, "used"), rows)
    return f'<details id="past-{number}"><summary id="past-summary-{number}">As a table</summary>{inside}</details>'


def blocking(river: RiverView, number: int) -> str:
    """Who waits, and who is at the root of it."""
    if not river.blocking:
        return "<section><h2>Who blocks River</h2><p>No session of River's waits for a lock.</p></section>"
    columns = ("pid", "operation", "waits", "for", "behind pid", "application", "which is")
    rows = [
        (
            str(each.pid),
            escape(each.operation),
            seconds(each.seconds),
            escape(each.lock),
            str(each.blocker_pid or NOTHING),
            escape(each.application) or NOTHING,
            f"{escape(each.blocker.replace('_', ' '))}, {seconds(each.since_seconds)}",
        )
        for each in sorted(river.blocking, key=lambda each: -each.seconds)
    ]
    inside = table("Who blocks River", f"blocking-{number}", columns, rows)
    return f"<section><h2>Who blocks River</h2>{inside}</section>"


def pools(view: View) -> str:
    """The pools that a source reports; of several on one endpoint the one that counts, by its labels."""
    if not view.pools:
        return "<h2>Pools</h2><p>No pool is seen from here: river.metrics_urls or pgbouncer.url would show one.</p>"
    rows = [
        (
            escape(pool.source) + (f' <span class="by">{escape(pool.name)}</span>' if pool.name else ""),
            *map(_number, (pool.acquired, pool.idle, pool.most)),
            share(pool.free) if pool.free is not None else NOTHING,
            _number(pool.waiting),
            _seconds(pool.longest),
        )
        for pool in view.pools
    ]
    columns = ("source", "in use", "idle", "most", "free", "waiting", "longest wait")
    return f"<h2>Pools</h2>{table('Pools', 'pools-table', columns, rows)}"


def queues(view: View) -> str:
    """The queues, those with the most jobs first."""
    if not view.queues:
        return "<h2>Queues</h2><p>No queue with jobs is known.</p>"
    several = len({queue.schema for queue in view.queues}) > 1
    rows = []
    for queue in view.queues:
        name = escape(f"{queue.schema}: {queue.name}" if several else queue.name)
        if queue.paused:
            name += f' <span class="by">paused for {seconds(queue.paused)}</span>'
        rows.append((name, *(_jobs(queue, state) for state in STATES), _seconds(queue.oldest)))
    more = f'<p class="more">And {count(view.more_queues, "queue")} more.</p>' if view.more_queues else ""
    inside = table("Queues", "queues-table", ("queue", *STATES, "oldest available"), rows)
    return f"<h2>Queues</h2>{inside}{more}"


def _jobs(queue: QueueView, state: str) -> str:
    return f"{'≥ ' if state in queue.capped else ''}{_number(queue.jobs.get(state, 0.0))}"


def exporter(view: View) -> str:
    """What the exporter may see, and how its collectors fare."""
    missing = [each for each in view.capabilities if not each.there]
    if missing:
        items = "".join(f"<li><b>{escape(each.name)}</b>: {escape(each.remedy)}</li>" for each in missing)
        sees = f'<p>Not collected, and the fix:</p><ul class="missing">{items}</ul>'
    elif view.capabilities:
        sees = "<p>The role sees everything it needs.</p>"
    else:
        sees = "<p>What the role may see is not known yet.</p>"
    bad = [each for each in view.collectors if each.state == "failed"]
    good = sum(each.state == "ok" for each in view.collectors)
    said = f"{count(good, 'collector')} ran well" + (f", {len(bad)} failed" if bad else "")
    rows = map(_collector, (*bad, *(each for each in view.collectors if each.state != "failed")))
    inside = table("Collectors", "collectors-table", ("collector", "last run", "took", "samples' age", "reason"), rows)
    opened = " open" if bad else ""
    return (
        f'<h2>The exporter</h2>{sees}<details id="collectors"{opened}>'
        f'<summary id="collectors-summary">{said}</summary>{inside}</details>'
    )


def _collector(each: CollectorView) -> tuple[str, ...]:
    state = f'<span class="failed">{each.state}</span>' if each.state == "failed" else each.state
    return escape(each.name), state, _seconds(each.took), _seconds(each.age), escape(each.failure)


def _seconds(value: float | None) -> str:
    return NOTHING if value is None or value < 0.0001 else seconds(value)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"
