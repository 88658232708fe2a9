"""Writes values as Grafana does for the units of the house; for the pictures."""

import math

TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
BYTES = ("B", "KiB", "MiB", "GiB", "TiB")
COUNTS = ("", " K", " Mil", " Bil")


def text(value: float, unit: str, decimals: int | None = None) -> str:
    """Write a value with its unit; `decimals` None means about three digits."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if unit == "s":
        return _time(value, decimals)
    if unit == "percentunit":
        return f"{_digits(value * 100, decimals)}%"
    if unit in ("bytes", "Bps"):
        return _scaled(value, 1024, BYTES, decimals) + ("/s" if unit == "Bps" else "")
    if unit == "short":
        return _scaled(value, 1000, COUNTS, decimals)
    if unit.startswith("suffix:"):
        return _digits(value, decimals) + unit.removeprefix("suffix:")
    return _digits(value, decimals)


def _time(value: float, decimals: int | None) -> str:
    for size, name in TIMES:
        if abs(value) >= size:
            return f"{_digits(value / size, decimals if size >= 1 else None)} {name}"
    return f"{_digits(value, decimals)} s"


def _scaled(value: float, base: int, names: tuple[str, ...], decimals: int | None) -> str:
    step = 0
    while abs(value) >= base and step < len(names) - 1:
        value, step = value / base, step + 1
    name = names[step]
    return f"{_digits(value, decimals)}{' ' if name and not name.startswith(' ') else ''}{name}"


def _digits(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    written = f"{value:.{min(places, 4)}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
