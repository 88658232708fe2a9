"""Writes what documents have from the code: `python -m docs.generate`.

These are docs/metrics.md, docs/doctor.md, docs/architecture.svg, and the tables in docs/rivers.md and README.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from docs import architecture, doctor_page
from exporter.catalog import catalog
from exporter.collectors.discovery import classes
from exporter.collectors.target import OLDEST
from exporter.river.supported import SUPPORTED, matrix
from tests import words
from tests.testbed.postgres_binaries import VERSIONS
from tests.testbed.prometheus import ALERTMANAGER_VERSIONS, PROMETHEUS_VERSIONS

METRICS = Path(__file__).with_name("metrics.md")
DOCTOR = METRICS.with_name("doctor.md")
RIVERS = METRICS.with_name("rivers.md")
GLOSSARY = METRICS.with_name("glossary.md")
README = METRICS.parents[1] / "README.md"
CLUSTER = README.with_name("tests") / "k8s" / "cluster"

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
    return _with_table(RIVERS, "matrix", matrix())


def readme() -> str:
    """The README, with the table of versions between its two marks as the tests have them."""
    return _with_table(README, "versions", versions())


def glossary() -> str:
    """The glossary, with the list of words that are not written."""
    return _with_table(GLOSSARY, "words", words.table())


def versions() -> str:
    """The table of what the tests run, and the oldest of each that is declared to work."""
    tested = [f"{each.title} {' and '.join(each.run)}" for each in SUPPORTED if each.run]
    emulated = [f"{each.title} {' and '.join(each.read)}" for each in SUPPORTED if not each.run]
    (kubernetes,) = re.findall(r"(?m)^version=(\S+)", CLUSTER.read_text(encoding="utf-8"))
    rows = (
        ("River", f"{'; '.join(tested)}. Emulated, by the statements of: {'; '.join(emulated)}"),
        ("PostgreSQL", ", ".join(str(each) for each in VERSIONS if each * 10_000 >= OLDEST)),
        ("Kubernetes", f"{kubernetes}; charts are rendered for 1.28, too"),
        (
            "Prometheus",
            f"{_dotted(PROMETHEUS_VERSIONS[0])} or later; Alertmanager {_dotted(ALERTMANAGER_VERSIONS[0])} or later",
        ),
    )
    return "\n".join(["| | versions |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows)])


def _dotted(version: Iterable[int]) -> str:
    return ".".join(str(each) for each in version)


def _with_table(path: Path, mark: str, table: str) -> str:
    before, _, rest = path.read_text(encoding="utf-8").partition(f"<!-- {mark} -->\n")
    _, _, after = rest.partition(f"<!-- /{mark} -->\n")
    return f"{before}<!-- {mark} -->\n{table}\n<!-- /{mark} -->\n{after}"


def main() -> int:
    """Write the pages; returns the exit code."""
    METRICS.write_text(metrics_page(), encoding="utf-8")
    DOCTOR.write_text(doctor_page.page(), encoding="utf-8")
    RIVERS.write_text(rivers_page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    GLOSSARY.write_text(glossary(), encoding="utf-8")
    architecture.PICTURE.write_text(architecture.picture(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
