"""What the precursor benchmark found, as docs/precursor.md and a picture of every ratio over time."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exporter import __version__
from tests.bench.chain import AFTERWARDS
from tests.testbed.prometheus import alertmanager_program, prometheus_program

if TYPE_CHECKING:
    from tests.bench.precursor import Result

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "precursor.md"
PICTURE = ROOT / "docs" / "pictures" / "precursor.png"

LEAD = 60.0
"""Seconds that a growing fault must be said before River's first deadline."""

STALL = 8.0
"""Seconds within which a sudden stall must pass the critical threshold."""

PAGE_AFTER = 30.0
"""Seconds within which a sudden stall must have woken somebody."""

TIMEOUT = 10.0
"""Seconds from the begin of a stall to River's first deadline."""

_HEAD = """\
# How early, and is the cause right?

Made by `make bench-precursor`{how}: each fault is provoked for real, on a real River and PostgreSQL 18, until River's
own log says "context deadline exceeded". A growing fault must pass the critical threshold (0.5) at least {lead:.0f} s
before that, a sudden one within {stall:.0f} s of its start; the cause must be right; and nothing may be said before.
{page_rule}
{when}, river-exporter {version}, River 0.51.1 and 0.16.0, {machine}.{servers} In the {healthy:.0f} s before each
fault the ratio was over the warning threshold for {false_alarms} s in all.

![The share of the budget used, over time, for each fault](pictures/precursor.png)

| fault | cause | cause said | critical after | first deadline after | lead | deadlines | counted |{page_head}
| --- | --- | --- | --- | --- | --- | --- | --- |{page_line}
"""


_PAGE_RULE = f"""
One page must be sent, at least {LEAD:.0f} s before that deadline, or within {PAGE_AFTER:.0f} s of a sudden stall; it
must name the cause, and resolve, and no second one may follow. Scrapes and evaluations come every 10 s.
"""


def verdict(result: Result) -> list[str]:
    """What is wrong with a result; empty when nothing is."""
    wrong = []
    if result.cause != result.expected and (result.fails or result.cause is not None):
        wrong.append(f"cause {result.cause}, not {result.expected}")
    if result.false_alarms:
        wrong.append(f"{result.false_alarms} s over the warning threshold before the fault")
    if result.sudden and (result.critical is None or result.critical > STALL):
        wrong.append(f"critical after {result.critical} s")
    if result.cliff:
        if result.lead is None or result.lead < TIMEOUT - STALL:
            wrong.append(f"critical {result.lead} s before the deadline of the first attempt that stalled")
    elif not result.sudden and result.lead is not None and result.lead < LEAD:
        wrong.append(f"lead {result.lead:.0f} s")
    if result.fails and result.deadline is None:
        wrong.append("River never reached its deadline")
    if result.timeouts > result.deadlines:
        wrong.append(f"{result.timeouts:.0f} timeouts counted, River had {result.deadlines}")
    return wrong + (_page_verdict(result) if result.patience is not None else [])


def _page_verdict(result: Result) -> list[str]:
    """What is wrong with who was woken up, and when."""
    if not result.fails and not result.pages:
        return []
    wrong = []
    if result.pages != 1:
        wrong.append(f"{result.pages} pages")
    if result.page_cause != result.expected:
        wrong.append(f"the page names {result.page_cause}")
    if result.sudden and (result.paged is None or result.paged > PAGE_AFTER):
        wrong.append(f"page after {result.paged} s")
    if result.cliff:
        if result.told_lead is None or result.told_lead < LEAD:
            wrong.append(f"the first word {result.told_lead} s before the deadline")
    elif not result.sudden and (result.page_lead is None or result.page_lead < LEAD):
        wrong.append(f"page {result.page_lead} s before the deadline")
    if result.patience and result.resolved is None:
        wrong.append("the page did not resolve")
    return wrong


def write(results: Sequence[Result], *, healthy: float, whole: bool) -> int:
    """Print the verdicts, and write page and picture when all scenarios were run; returns the exit code.

    Args:
        healthy: seconds before each fault in which nothing may be said.
    """
    failed = {result.name: wrong for result in results if (wrong := verdict(result))}
    for name, wrong in failed.items():
        print(f"{name}: {'; '.join(wrong)}")
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if whole:
        PAGE.write_text(_page(results, healthy), encoding="utf-8")
        draw(results)
    return 1 if failed else 0


def _version(program: Path) -> str:
    """What a program of Prometheus' says it is."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return (said.stdout + said.stderr).split("version ")[1].split()[0]


def _page(results: Sequence[Result], healthy: float) -> str:
    paged = any(result.pages for result in results)
    head = _HEAD.format(
        how=" with `--alerts`" if paged else "",
        lead=LEAD,
        stall=STALL,
        when=datetime.now(UTC).strftime("%-d %B %Y"),
        version=__version__,
        machine=f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}",
        servers=f" Prometheus {_version(prometheus_program())}, Alertmanager {_version(alertmanager_program())}."
        if paged
        else "",
        healthy=healthy,
        false_alarms=sum(result.false_alarms for result in results),
        page_rule=_PAGE_RULE if paged else "",
        page_head=" first told after | pages | page after | page's lead | page names | resolved after |"
        if paged
        else "",
        page_line=" --- |" * 6 if paged else "",
    )
    lines = "".join(_line(result, paged=paged) for result in results)
    return head + lines + _NOTES.format(lead=LEAD, afterwards=AFTERWARDS)


_NOTES = """
Times count from the start of the fault; "resolved" from its end. A growing fault grows for 240 s, and its lead depends
on how fast it grows: River's first deadline can only come once an attempt takes 10 s. Where connections leak or are
taken one by one, no attempt is slow before the last one is gone: there the warning must come {lead:.0f} s before the
deadline, from `river_pool_free_ratio`. "First told" is the first word to anybody, warnings included. After a page is
resolved the receiver listens for another {afterwards:.0f} s: "pages" are all that were sent. A missing index and bloat
slow River down without ever bringing it to the deadline here: no cause is said below the warning threshold. The
checkpoint storm's server may write 6 MB a second, as on a cloud's volume that is out of credit. "Deadlines" are those
in River's log, "counted" is `river_completer_timeouts_total`, which must never exceed them: an attempt cut off while it
waited for a connection shows nowhere but in the pool's statistics.
"""


def _line(result: Result, *, paged: bool) -> str:
    cells = [
        result.name,
        result.expected,
        result.cause or "none",
        _seconds(result.critical),
        _seconds(result.deadline),
        _seconds(result.lead),
        str(result.deadlines),
        f"{result.timeouts:.0f}",
    ]
    if paged:
        cells += [
            _seconds(result.first_told),
            str(result.pages),
            _seconds(result.paged),
            "-" if result.sudden else _seconds(result.page_lead),
            result.page_cause or "-",
            _seconds(result.resolved),
        ]
    return f"| {' | '.join(cells)} |\n"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} s"


def draw(results: Sequence[Result]) -> None:
    """Small multiples: each fault's ratio, with the thresholds and River's first deadline."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    from dashboards.style import CAUSES

    columns = 4
    rows = -(-len(results) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(16, 2.6 * rows), sharey=True, squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, result in zip(axes.flat, results, strict=False):
        axis.set_visible(True)
        colour = CAUSES[result.expected]
        times, ratios = zip(*result.ratio, strict=True) if result.ratio else ((), ())
        axis.fill_between(times, ratios, color=colour, alpha=0.35, step="post")
        axis.step(times, ratios, color=colour, where="post")
        axis.axhline(0.3, color="#8a6d00", linewidth=0.8, linestyle="--")
        axis.axhline(0.5, color="#a00000", linewidth=0.8, linestyle="--")
        if result.deadline is not None:
            axis.axvline(result.deadline, color="black", linewidth=1)
            axis.annotate("first deadline", (result.deadline, 1.05), ha="right", fontsize=7, xytext=(-3, 0),
                          textcoords="offset points")  # fmt: skip
        axis.set_title(f"{result.name} ({result.expected})", fontsize=9, loc="left")
        axis.set_ylim(0, 1.2)
        axis.tick_params(labelsize=7)
        axis.set_xlabel("seconds since the fault began", fontsize=7)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=80)
    pyplot.close(figure)
