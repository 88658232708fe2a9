"""The two pictures, as SVG whose colours the style sheet gives: the budget as one bar, and the last half an hour."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.budget import CAUSES
from exporter.humanize import seconds, share
from exporter.status.view import RiverView, View

BAR_WIDTH, BAR_HEIGHT = 1000, 44
CHART_WIDTH, CHART_HEIGHT = 1000, 200


def bar(view: View, river: RiverView) -> str:
    """The worst attempt as one bar of the timeout, with the causes in it and the thresholds across."""
    total = sum(river.seconds.values())
    scale = BAR_WIDTH / max(view.timeout, total)
    parts, at = [], 0.0
    for cause in CAUSES:
        width = river.seconds.get(cause, 0.0) * scale
        if width >= 0.05:
            parts.append(f'<rect class="{cause}" x="{at:.1f}" y="8" width="{width:.1f}" height="28"/>')
            at += width
    marks = "".join(_mark(name, part * view.timeout * scale, 0, BAR_HEIGHT) for name, part in _lines(view))
    named = ", ".join(f"{cause} {seconds(value)}" for cause, value in river.seconds.items() if value >= 0.0005)
    label = f"{seconds(total)} of {seconds(view.timeout)} used: {named or 'next to nothing'}"
    return (
        f'<svg class="bar" role="img" aria-label="{label}" viewBox="0 0 {BAR_WIDTH} {BAR_HEIGHT}" '
        f'preserveAspectRatio="none"><rect class="room" y="8" width="{BAR_WIDTH}" height="28"/>'
        f"{''.join(parts)}{marks}</svg>"
    )


def chart(view: View, river: RiverView) -> str:
    """The last half an hour: each ten seconds' worst attempt, its causes stacked, up to the timeout."""
    points = river.history
    most = max((sum(point) for point in points if point), default=0.0)
    top = max(view.timeout, most) if most >= view.warning * view.timeout / 2 else view.warning * view.timeout
    step = CHART_WIDTH / len(points)
    floor: list[float] = [0.0] * len(points)
    areas = []
    for index, cause in enumerate(CAUSES):
        heights = [point[index] if point else 0.0 for point in points]
        if any(height >= 0.001 * top for height in heights):
            areas.append(f'<path class="{cause}" d="{_steps(floor, heights, step, CHART_HEIGHT / top)}"/>')
        floor = [base + height for base, height in zip(floor, heights, strict=True)]
    lines = "".join(
        _line(name, CHART_HEIGHT * (1 - part * view.timeout / top))
        for name, part in _lines(view)
        if part * view.timeout <= top
    )
    gaps = "".join(
        f'<rect class="gap" x="{at * step:.1f}" width="{wide * step:.1f}" height="{CHART_HEIGHT}"/>'
        for at, wide in _gaps(points)
    )
    label = f"The last 30 minutes: at most {share(most / view.timeout)} of the timeout used; numbers in the table below"
    return (
        f'<svg class="chart" role="img" aria-label="{label}" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" '
        f'preserveAspectRatio="none">{gaps}{"".join(areas)}{lines}</svg>'
        f'<p class="axis"><span>30 min ago</span><span>top: {seconds(top)}</span><span>now</span></p>'
    )


def _lines(view: View) -> tuple[tuple[str, float], ...]:
    return (("warn", view.warning), ("crit", view.critical), ("end", 1.0))


def _mark(name: str, x: float, y: float, height: float) -> str:
    x = min(x, BAR_WIDTH - 1.5)
    place = f'x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{height}"'
    return f'<line class="halo" {place}/><line class="{name}" {place}/>'


def _line(name: str, y: float) -> str:
    y = max(y, 1.0)
    place = f'x1="0" x2="{CHART_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line class="halo" {place}/><line class="{name}" {place}/>'


def _steps(floor: Sequence[float], heights: Sequence[float], step: float, scale: float) -> str:
    """The outline of the places where something is, each run of equal heights as one step."""
    path, start = [], 0
    for index in range(1, len(heights) + 1):
        if index < len(heights) and (heights[index], floor[index]) == (heights[start], floor[start]):
            continue
        height = heights[start] * scale
        if height >= 0.1:
            x, y = start * step, CHART_HEIGHT - (floor[start] + heights[start]) * scale
            path.append(f"M{x:.1f} {y:.1f}h{(index - start) * step:.1f}v{height:.1f}h-{(index - start) * step:.1f}z")
        start = index
    return "".join(path)


def _gaps(points: Sequence[object | None]) -> list[tuple[int, int]]:
    """Where there was no observation: (first point, how many)."""
    found: list[tuple[int, int]] = []
    for index, point in enumerate(points):
        if point is not None:
            continue
        if found and sum(found[-1]) == index:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((index, 1))
    return found
