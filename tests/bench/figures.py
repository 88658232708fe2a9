"""Figures with their limits: what a benchmark measured, whether it is good enough, and how that is written down."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: what was measured, for a person.
        value: in `unit`; lower is better.
        unit: such as `ms` or `MiB`; empty for a count or a ratio.
        limit: what it must not exceed, in the same unit; None where nothing was promised.
        load: load average of the machine over the last minute when it was taken: others may use the same cores.
        note: what a reader needs to know beside it.
    """

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    load: float = 0.0
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether it keeps its limit; one that is no number does not."""
        return self.limit is None or self.value <= self.limit

    @property
    def verdict(self) -> str:
        """`pass`, `FAIL`, or nothing where nothing was promised."""
        return "" if self.limit is None else "pass" if self.passed else "FAIL"


def figure(name: str, value: float, unit: str = "", limit: float | None = None, note: str = "") -> Figure:
    """A figure taken at this moment."""
    return Figure(name, value, unit, limit, os.getloadavg()[0], note)


def shown(value: float) -> str:
    """A number with three digits that count."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{2 if value >= 1 else 3}f}"


def with_unit(value: float, unit: str) -> str:
    """A number as it is shown, or that there was no answer."""
    return f"{shown(value)} {unit}".strip() if math.isfinite(value) else "no answer"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by `share` (0 to 1) of all values (nearest rank).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to take a quantile of")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def table(figures: Sequence[Figure]) -> str:
    """All figures as a table in Markdown."""
    rows = [("figure", "value", "limit", "", "load", "note")]
    rows.append(("---", "---:", "---:", "---", "---:", "---"))
    for each in figures:
        limit = "" if each.limit is None else with_unit(each.limit, each.unit)
        value = with_unit(each.value, each.unit)
        rows.append((each.name, value, limit, each.verdict, f"{each.load:.1f}", each.note))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    )
    return "\n".join(lines) + "\n"


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write all figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = [{**asdict(each), "passed": each.passed} for each in figures]
    path.write_text(json.dumps(document, indent=1, allow_nan=True) + "\n", encoding="utf-8")


def machine() -> str:
    """The machine in a few words."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
