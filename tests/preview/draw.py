"""Draws one panel of each kind with matplotlib, as near to Grafana as tells its story."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import Locator

from dashboards.units import text
from tests.preview.fill import Document, Window
from tests.preview.look import Drawn, Theme, custom, mapped, step_colour

PAD, TITLE, ROW = 8.0, 24.0, 17.0
"""Pixels: around a panel's content, for its title, of a line of text."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels from the top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Canvas:
    """A figure of which one inch is `dpi` pixels, with an axes over all of it that counts pixels from the top left."""

    figure: Figure
    paper: Axes
    theme: Theme
    window: Window

    def axes(self, box: Box) -> Axes:
        """Make axes in a box."""
        width, height = self.figure.get_size_inches() * self.figure.dpi
        made = self.figure.add_axes(
            (box.x / width, 1 - (box.y + box.height) / height, box.width / width, box.height / height)
        )
        made.set_facecolor("none")
        return made

    def write(self, x: float, y: float, words: str, *, size: float = 9, colour: str = "", **more: object) -> None:
        """Write text in pixels from the top left."""
        options = {"va": "center", **more}
        self.paper.text(x, y, words, fontsize=size, color=colour or self.theme.text, **options)  # type: ignore[arg-type]


def panel(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    """Draw a panel's frame and title, and what it shows; an empty one says what it says in Grafana."""
    theme = canvas.theme
    canvas.paper.add_patch(
        FancyBboxPatch(
            (box.x, box.y), box.width, box.height, boxstyle="round,pad=0,rounding_size=3",
            facecolor=theme.panel, edgecolor=theme.border, linewidth=1,
        )
    )  # fmt: skip
    canvas.write(box.x + PAD, box.y + 15, document["title"], size=9.5)
    inner = Box(box.x + PAD, box.y + TITLE + 4, box.width - 2 * PAD, box.height - TITLE - PAD - 2)
    if not any(each.series.points for each in series):
        words = document["fieldConfig"]["defaults"]["noValue"]
        big = document["type"] == "stat"
        size = _fit(words, inner.width, 20) if big else 9.5
        middle = (inner.x + inner.width / 2, inner.y + inner.height / 2)
        canvas.write(*middle, words, size=size, colour=theme.faint, ha="center")
        return
    KINDS[document["type"]](canvas, inner, document, series)


def _over_time(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    """Lines, stacked areas or bars with the legend below or beside."""
    plain = _legend(canvas, box, document, series)
    axes = _time_axes(canvas, plain, document)
    start, end = canvas.window.start, canvas.window.end
    step = canvas.window.step(document["maxDataPoints"])
    grid = np.arange(start // step * step, end + step, step, dtype=float)
    bottom = np.zeros_like(grid)
    for each in series:
        values = np.full_like(grid, np.nan)
        for moment, value in each.series.points:
            index = round((moment - grid[0]) / step)
            if 0 <= index < len(grid):
                values[index] = value
        stacked = (custom(document, each, "stacking") or {}).get("mode") == "normal"
        bars = custom(document, each, "drawStyle") == "bars"
        if bars:
            axes.bar(
                grid,
                np.nan_to_num(values),
                width=step,
                bottom=bottom if stacked else None,
                color=each.colour,
                alpha=0.85,
            )
        elif stacked:
            top = bottom + np.nan_to_num(values)
            axes.fill_between(grid, bottom, top, step="post", color=each.colour, alpha=0.75, linewidth=0)
        else:
            dashed = custom(document, each, "lineStyle") is not None
            axes.plot(
                grid, values, color=each.colour, linewidth=1.4 if dashed else 1.8,
                linestyle=(0, (5, 4)) if dashed else "-", solid_capstyle="round",
            )  # fmt: skip
            alone = ~np.isnan(values) & np.isnan(np.roll(values, 1)) & np.isnan(np.roll(values, -1))
            axes.plot(grid[alone], values[alone], ".", color=each.colour, markersize=4)
        if stacked:
            bottom = bottom + np.nan_to_num(values)
    _scale(axes, document, series)


def _scale(axes: Axes, document: Document, series: Sequence[Drawn]) -> None:
    defaults = document["fieldConfig"]["defaults"]
    if defaults["custom"].get("scaleDistribution", {}).get("type") == "log":
        positive = [value for each in series for value in each.values if value > 0]
        if positive:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: text(value, defaults["unit"]))
            axes.minorticks_off()
            axes.set_ylim(
                10 ** math.floor(math.log10(min(positive))), 10 ** math.ceil(math.log10(max(positive) * 1.01))
            )
        return
    top = max([axes.get_ylim()[1], defaults["custom"].get("axisSoftMax", 0)])
    axes.set_ylim(0, defaults.get("max") or (top if top > 0 else 1))


def _time_axes(canvas: Canvas, box: Box, document: Document) -> Axes:
    unit = document["fieldConfig"]["defaults"]["unit"]
    left = 74 if unit.startswith("suffix") or unit == "Bps" else 56
    axes = canvas.axes(Box(box.x + left, box.y + 2, box.width - left - 4, box.height - 20))
    axes.set_xlim(canvas.window.start, canvas.window.end)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(visible=True, color=canvas.theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8, labelcolor=canvas.theme.faint, pad=4)
    axes.yaxis.set_major_formatter(lambda value, _: text(value, unit))
    axes.minorticks_off()
    base = 2 if unit in ("bytes", "Bps") else 10
    steps = [1, 2, 4, 8, 16] if base == 2 else [1, 2, 2.5, 5, 10]
    axes.yaxis.set_major_locator(_Nice(max(2, int(box.height / 40)), base, steps))
    _moments(axes, canvas.window, max(2, int(box.width / 110)))
    return axes


class _Nice(Locator):
    """Round steps: in decimal numbers, or in powers of two for bytes."""

    def __init__(self, number: int, base: int, steps: Sequence[float]) -> None:
        self._number, self._base, self._steps = number, base, steps

    def __call__(self) -> list[float]:
        """The ticks of the axis as it is."""
        low, high = self.axis.get_view_interval()  # type: ignore[union-attr]
        return self.tick_values(low, high)

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """The ticks between two values."""
        least = (vmax - vmin) / self._number
        if least <= 0:
            return [vmin]
        power = float(self._base) ** math.floor(math.log(least, self._base))
        step = next((each * power for each in self._steps if each * power >= least), self._steps[-1] * power)
        return [float(tick) for tick in np.arange(math.ceil(vmin / step) * step, vmax + step * 1e-6, step)]


def _moments(axes: Axes, window: Window, number: int) -> None:
    length = window.end - window.start
    sizes = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
    size = next((size for size in sizes if length / size <= number), sizes[-1])
    ticks = np.arange(math.ceil(window.start / size) * size, window.end, size)
    form = "%H:%M:%S" if size < 60 else "%H:%M" if size < 86400 else "%m-%d"
    axes.set_xticks(ticks, [datetime.fromtimestamp(tick, UTC).strftime(form) for tick in ticks])


def _legend(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> Box:
    """Draw the legend and return what is left of the box."""
    options = document["options"]["legend"]
    shown = [each for each in series if each.series.points]
    if not options["showLegend"]:
        return box
    if options["displayMode"] == "table":
        return _table_legend(canvas, box, document, shown)
    lines: list[list[tuple[Drawn, float]]] = [[]]
    x = 0.0
    for each in shown:
        width = 26 + 6.6 * len(each.name)
        if x + width > box.width and lines[-1]:
            lines.append([])
            x = 0.0
        lines[-1].append((each, x))
        x += width
    room = max(1, int(box.height * 0.35 / ROW))  # what Grafana gives a legend; it scrolls then
    for index, each_line in enumerate(lines[:room]):
        y = box.y + box.height - (min(len(lines), room) - index) * ROW + ROW / 2 + 2
        for each, offset in each_line:
            canvas.paper.add_patch(Rectangle((box.x + offset + 2, y - 2), 13, 3.5, color=each.colour))
            canvas.write(box.x + offset + 19, y, each.name, size=8)
    return Box(box.x, box.y, box.width, box.height - min(len(lines), room) * ROW)


def _table_legend(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> Box:
    unit = document["fieldConfig"]["defaults"]["unit"]
    width = min(box.width * 0.42, 150 + 6.4 * max((len(each.name) for each in series), default=8))
    left = box.x + box.width - width
    right = box.x + box.width
    canvas.write(right - 62, box.y + 8, "Max", size=8, colour=canvas.theme.faint, ha="right")
    canvas.write(right, box.y + 8, "Last", size=8, colour=canvas.theme.faint, ha="right")
    for index, each in enumerate(series[: int((box.height - ROW) / ROW)]):
        y = box.y + 8 + (index + 1) * ROW
        canvas.paper.add_patch(Rectangle((left + 8, y - 2), 13, 3.5, color=each.colour))
        canvas.write(left + 26, y, each.name, size=8)
        canvas.write(right - 62, y, text(max(each.values), unit), size=8, ha="right")
        canvas.write(right, y, text(each.last, unit), size=8, ha="right")
    return Box(box.x, box.y, box.width - width, box.height)


def _heat(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    """Buckets over time; the series are cumulative, as Prometheus has them."""
    unit = document["fieldConfig"]["defaults"]["unit"]
    axes = _time_axes(canvas, box, document)
    ordered = sorted(series, key=lambda each: float(each.series.labels["le"]))
    step = canvas.window.step(document["maxDataPoints"])
    grid = np.arange(canvas.window.start // step * step, canvas.window.end + step, step, dtype=float)
    cumulative = np.zeros((len(ordered), len(grid)))
    for row, each in enumerate(ordered):
        for moment, value in each.series.points:
            index = round((moment - grid[0]) / step)
            if 0 <= index < len(grid):
                cumulative[row, index] = value
    counts = np.clip(np.diff(cumulative, axis=0, prepend=0), 0, None)
    shades = np.ma.masked_less(np.sqrt(counts), 1e-4)  # empty cells stay empty
    edges = np.arange(len(ordered) + 1)
    axes.pcolormesh(np.append(grid, grid[-1] + step) - step / 2, edges, shades, cmap="viridis", shading="flat", vmin=0)
    each_nth = max(1, len(ordered) // max(3, int(box.height / 26)))
    ticks = [index + 1 for index in range(len(ordered)) if index % each_nth == 0]
    axes.set_yticks(ticks, [text(float(ordered[tick - 1].series.labels["le"]), unit) for tick in ticks])
    axes.set_ylim(0, len(ordered))


def _number(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    """One value or name, large, on the colour of its threshold; several share the width."""
    shown = [each for each in series if each.series.points]
    defaults = document["fieldConfig"]["defaults"]
    width = box.width / len(shown)
    for index, each in enumerate(shown):
        part = Box(box.x + index * width, box.y, width - (4 if len(shown) > 1 else 0), box.height)
        said = mapped(document, each.last)
        words = said[0] if said else text(each.last, defaults["unit"], defaults.get("decimals"))
        if document["options"]["textMode"] == "name":
            words = each.name
        ground = ""
        if document["options"]["colorMode"] != "none":
            ground = said[1] if said else each.colour
        if ground == "transparent":
            ground = ""
        if ground:
            canvas.paper.add_patch(
                FancyBboxPatch(
                    (part.x, part.y), part.width, part.height, boxstyle="round,pad=0,rounding_size=3",
                    facecolor=ground, edgecolor="none",
                )
            )  # fmt: skip
        if document["options"]["graphMode"] == "area":
            _sparkline(canvas, part, each)
        middle = (part.x + part.width / 2, part.y + part.height / 2)
        size = _fit(words, part.width, 28)
        canvas.write(*middle, words, size=size, colour=_ink(ground) if ground else "", ha="center")


def _sparkline(canvas: Canvas, box: Box, series: Drawn) -> None:
    axes = canvas.axes(Box(box.x, box.y + box.height * 0.62, box.width, box.height * 0.38))
    axes.axis("off")
    moments = [moment for moment, _ in series.series.points]
    axes.fill_between(moments, 0, series.values, color=series.colour, alpha=0.3, linewidth=0)
    axes.plot(moments, series.values, color=series.colour, linewidth=1.2)
    axes.set_xlim(canvas.window.start, canvas.window.end)
    axes.set_ylim(bottom=0)


def _gauges(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    defaults = document["fieldConfig"]["defaults"]
    shown = [each for each in series if each.series.points]
    highest = defaults.get("max") or max([each.last for each in shown] + [1e-12])
    height = min(28.0, box.height / len(shown))
    label = 12 + 6.6 * max(len(each.name) for each in shown)
    for index, each in enumerate(shown):
        y = box.y + index * height
        whole = box.width - label - 60
        canvas.write(box.x, y + height / 2, each.name, size=8.5)
        canvas.paper.add_patch(Rectangle((box.x + label, y + 3), whole, height - 6, color=canvas.theme.grid))
        share = min(1.0, max(0.0, each.last / highest))
        colour = each.properties.get("color", {}).get("fixedColor") or step_colour(document, each.last)
        canvas.paper.add_patch(Rectangle((box.x + label, y + 3), whole * share, height - 6, color=colour))
        canvas.write(box.x + box.width, y + height / 2, text(each.last, defaults["unit"]), size=9, ha="right")


def _table(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    columns = document["transformations"][0]["options"]["renameByName"]
    defaults = document["fieldConfig"]["defaults"]
    width = box.width / len(columns)
    for index, heading in enumerate(columns.values()):
        canvas.write(box.x + index * width, box.y + 8, heading, size=8.5, colour=canvas.theme.faint)
    ordered = sorted(series, key=lambda each: each.last, reverse=document["options"]["sortBy"][0]["desc"])
    for row, each in enumerate(ordered[: int(box.height / 19) - 1]):
        y = box.y + 8 + (row + 1) * 19
        for index, label in enumerate(columns):
            if label == "Value":
                said = mapped(document, each.last)
                words, colour = said or (text(each.last, defaults["unit"]), "")
                canvas.write(box.x + index * width, y, words, size=8.5, colour=colour)
            else:
                canvas.write(box.x + index * width, y, each.series.labels.get(label, ""), size=8.5)


def _states(canvas: Canvas, box: Box, document: Document, series: Sequence[Drawn]) -> None:
    """A row for each series, coloured by its value's word or its own colour while it has a value."""
    shown = [each for each in series if each.series.points]
    label = min(box.width * 0.4, 14 + 6.6 * max(len(each.name) for each in shown))
    axes = canvas.axes(Box(box.x + label, box.y + 2, box.width - label - 4, box.height - 20))
    axes.set_xlim(canvas.window.start, canvas.window.end)
    axes.set_ylim(len(shown), 0)
    axes.tick_params(length=0, labelsize=8, labelcolor=canvas.theme.faint)
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    _moments(axes, canvas.window, max(2, int(box.width / 120)))
    step = canvas.window.step(document["maxDataPoints"])
    for row, each in enumerate(shown):
        canvas.write(box.x, box.y + 2 + (row + 0.5) * (box.height - 20) / len(shown), each.name[:40], size=8.5)
        for moment, value in each.series.points:
            said = mapped(document, value)
            colour = said[1] if said else each.colour
            axes.add_patch(Rectangle((moment, row + 0.1), step * 1.02, 0.8, facecolor=colour, linewidth=0))


def _fit(words: str, width: float, largest: float) -> float:
    return min(largest, width * 1.35 / max(1, len(words)))


def _ink(ground: str) -> str:
    """Black or white, whichever can be read on a colour."""
    red, green, blue = (int(ground[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return "#111217" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.55 else "#FFFFFF"


KINDS: dict[str, Callable[[Canvas, Box, Document, Sequence[Drawn]], None]] = {
    "timeseries": _over_time,
    "heatmap": _heat,
    "stat": _number,
    "bargauge": _gauges,
    "table": _table,
    "state-timeline": _states,
}
"""How each kind of panel is drawn."""
