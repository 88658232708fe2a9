"""Numbers as doctor and the status page show them."""

from __future__ import annotations

from collections.abc import Sequence


def seconds(value: float) -> str:
    """A length of time: `850 µs`, `12 ms`, `4.2 s`, `7 min`, `3.5 h`, `2 d`."""
    size = abs(value)
    if size < 1e-6:
        return "0 s"
    if size < 0.001:
        return f"{value * 1e6:.0f} µs"
    if size < 1:
        return f"{value * 1000:.3g} ms"
    if size < 120:
        return f"{value:.3g} s"
    if size < 7200:
        return f"{value / 60:.3g} min"
    return f"{value / 3600:.3g} h" if size < 172800 else f"{value / 86400:.3g} d"


def size(value: float) -> str:
    """Bytes: `8 kB`, `1.5 GB`, in powers of 1024 as PostgreSQL writes them."""
    unit = "B"
    for following in ("kB", "MB", "GB", "TB"):
        if value < 1024:
            break
        value, unit = value / 1024, following
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def count(number: float, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 job`, `2,000 jobs`."""
    return f"{number:,.0f} {one if number == 1 else many or one + 's'}"


def share(value: float) -> str:
    """A share in per cent: `42 %`."""
    if 0 < value < 0.001:
        return "less than 0.1 %"
    return f"{value * 100:.3g} %" if value < 1 else f"{value * 100:.0f} %"


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of the values lie, by the nearest rank; there must be one."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """`p50 1 ms, p95 2 ms, max 3 ms of 10`."""
    return (
        f"p50 {seconds(percentile(values, 0.5))}, p95 {seconds(percentile(values, 0.95))}, "
        f"max {seconds(max(values))} of {len(values)}"
    )
