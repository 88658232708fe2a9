"""What the cost benchmark found, as docs/cost.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exporter import __version__
from tests.bench.figures import Figure, machine, table, with_unit
from tests.bench.peer import VERSION as PEER_VERSION

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"

_HEAD = """\
# What it costs

Made by `make bench{how}`: the exporter beside a real River 0.51.1 (50 jobs of 250 ms a second, 50 sessions) on a real
PostgreSQL 18, with the least-privilege role that `setup-sql` prints.

{when}, river-exporter {version}, {machine}. "Load" is the machine's load average when a figure was taken: above the
number of cores, times are longer than they would be alone{preferred}.

{table}
A second's sample is the statements of `sessions`, `completions` and, where it has any, `election`; a whole cycle is
every statement of every collector once. Their times are pg_stat_statements' planning and execution, each statement's
lowest mean of five windows. A full /metrics is one that every collector has written to. "The database for it" is the
processor time of our sessions' backends, logins of the probe included. 0.05 cores are a container's limit of 50m.
"""

_BESIDE = """
## Beside postgres_exporter {version}

The same server, the same minutes, both scraped every 15 s; postgres_exporter with its default collectors and
`stat_statements`. It asks the database at each scrape; we look each second, and a scrape only reads what is known.

| figure | river-exporter | postgres_exporter |
| --- | ---: | ---: |
"""


@dataclass(frozen=True)
class Pair:
    """A figure of ours beside the same one of the other's, in one unit."""

    name: str
    ours: float
    theirs: float
    unit: str = ""

    def row(self) -> str:
        """As a row of the table; no answer at all is infinitely long."""
        return f"| {self.name} | {with_unit(self.ours, self.unit)} | {with_unit(self.theirs, self.unit)} |\n"


def beside(pairs: Sequence[Pair]) -> str:
    """The comparison; empty where there is none."""
    if not pairs:
        return ""
    return _BESIDE.format(version=PEER_VERSION) + "".join(pair.row() for pair in pairs)


def write(figures: Sequence[Figure], pairs: Sequence[Pair], arguments: Sequence[str]) -> None:
    """Write the page."""
    how = f' ARGS="{" ".join(arguments)}"' if arguments else ""
    head = _HEAD.format(
        how=how,
        when=datetime.now(UTC).strftime("%-d %B %Y"),
        version=__version__,
        machine=machine(),
        preferred="; with `--prefer` the bench's own processes go first" if "--prefer" in arguments else "",
        table=table(figures),
    )
    PAGE.write_text(head + beside(pairs), encoding="utf-8")
