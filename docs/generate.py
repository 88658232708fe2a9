"""Writes docs/metrics.md, docs/doctor.md and the table in docs/rivers.md: `python -m docs.generate`."""

from __future__ import annotations

import sys
from pathlib import Path

from docs import doctor_page
from exporter.catalog import catalog
from exporter.collectors.discovery import classes
from exporter.river.supported import matrix

METRICS = Path(__file__).with_name("metrics.md")
DOCTOR = METRICS.with_name("doctor.md")
RIVERS = METRICS.with_name("rivers.md")

_HEAD = """\
# Metrics

Generated from the declarations in `exporter/` by `make generate`. Seconds, bytes and ratios are in the names. A series
whose value is no longer known disappears: after three intervals of its collector without a successful run, at least
10 s. Gauges that say "in the window" hold their peak for `window` (60 s unless configured), so that every scraper sees
it.

Series of the watched database come from the one exporter that is elected per schema: take `max by`, never `sum`.
"""


def metrics_page() -> str:
    """The page: one table per collector, in the order of their names."""
    parts = [_HEAD]
    intervals = {each.name: each.interval for each in classes()}
    owners = sorted({owners[0] for _, owners in catalog().values()})
    for owner in owners:
        every = f", every {intervals[owner]:g} s" if owner in intervals else ""
        parts.append(f"\n## {owner}{every}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
        for metric, by in catalog().values():
            if by[0] == owner:
                labels = ", ".join(f"`{label}`" for label in metric.labels)
                also = f" (also from {', '.join(by[1:])})" if len(by) > 1 else ""
                parts.append(f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help}{also} |\n")
    return "".join(parts)


def rivers_page() -> str:
    """The page of the runtimes, with the table between its two marks as declared."""
    before, _, rest = RIVERS.read_text(encoding="utf-8").partition("<!-- matrix -->\n")
    _, _, after = rest.partition("<!-- /matrix -->\n")
    return f"{before}<!-- matrix -->\n{matrix()}\n<!-- /matrix -->\n{after}"


def main() -> int:
    """Write the pages; returns the exit code."""
    METRICS.write_text(metrics_page(), encoding="utf-8")
    DOCTOR.write_text(doctor_page.page(), encoding="utf-8")
    RIVERS.write_text(rivers_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
