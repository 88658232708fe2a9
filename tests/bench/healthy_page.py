"""What the healthy hour showed, as docs/healthy.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from exporter import __version__
from tests.bench.figures import Figure, machine, table
from tests.bench.hour import Plan

PAGE = Path(__file__).parents[2] / "docs" / "healthy.md"

_HEAD = """\
# A healthy hour

Made by `make bench-healthy{how}`: everything that is normal and looks alarming, and nothing that may be told of it. Two
processes of real River 0.51.1 work on a real PostgreSQL 18: 50 jobs of 20 ms a second with long ones of {long:.0f} s
among them, of the same kinds, and 10 of 250 ms; one in fifty fails and is retried. They fetch each 30 s unless they are
told of new jobs. Beside them the exporter, Prometheus with the rules that ship, and Alertmanager. Every half second the
ratio must be below the warning threshold and the silence below 3 s, but for the server's own restart and 15 s after it
(a peak of it is held for a minute); and nobody may be told anything that is not true. What a crash leaves behind is
true: its jobs stay marked running, and River takes none back whose worker has no timeout, as here.

{when}, river-exporter {version}, {machine}.

{table}
## What happened

{events}"""


def write(figures: Sequence[Figure], events: Sequence[Plan], minutes: float, arguments: Sequence[str]) -> None:
    """Write the page."""
    text = _HEAD.format(
        how=f' ARGS="{" ".join(arguments)}"' if arguments else "",
        long=min(600.0, minutes * 10),
        when=datetime.now(UTC).strftime("%-d %B %Y"),
        version=__version__,
        machine=machine(),
        table=table(figures),
        events="".join(f"- after {event.share * minutes:.1f} min: {event.name}\n" for event in events),
    )
    PAGE.write_text(text, encoding="utf-8")
