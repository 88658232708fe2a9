"""What a panel's JSON says of the looks of its series: names, colours, lines; for the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.preview.fill import Document, Series

CLASSIC = (
    "#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0", "#37872D", "#FADE2A",
    "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477", "#B7DBAB", "#F4D598", "#70DBED", "#F9BA8F",
)  # fmt: skip
"""Grafana's classic palette, for series without a colour of their own."""


@dataclass(frozen=True)
class Theme:
    """Colours of Grafana's ground, panels and text."""

    ground: str
    panel: str
    border: str
    text: str
    faint: str
    grid: str


THEMES = {
    "dark": Theme("#111217", "#181B1F", "#2A2D33", "#CCCCDC", "#8E8EA0", "#2C3035"),
    "light": Theme("#F4F5F5", "#FFFFFF", "#DCDDE0", "#24292E", "#6C717A", "#E4E5E8"),
}


@dataclass
class Drawn:
    """A series with its looks."""

    name: str
    series: Series
    colour: str
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """Its values without their times."""
        return [value for _, value in self.series.points]

    @property
    def last(self) -> float:
        """Its last value."""
        return self.series.points[-1][1]


def drawn(panel: Document, named: Sequence[tuple[str, Series]]) -> list[Drawn]:
    """Give each series its looks: an override's by name, else the palette's or the thresholds'."""
    overrides = {
        override["matcher"]["options"]: {item["id"]: item["value"] for item in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    result = []
    for index, (name, series) in enumerate(named):
        properties = overrides.get(name, {})
        fixed = properties.get("color", {}).get("fixedColor")
        result.append(Drawn(name, series, fixed or _colour(panel, series, index), properties))
    return result


def custom(panel: Document, series: Drawn, key: str) -> Any:
    """A field of the panel's own, as the series' override or else the panel says."""
    defaults = panel["fieldConfig"]["defaults"].get("custom", {})
    return series.properties.get(f"custom.{key}", defaults.get(key))


def step_colour(panel: Document, value: float) -> str:
    """The colour of the threshold that a value has passed."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    colour = CLASSIC[0]
    for step in steps:
        if step["value"] is None or value >= step["value"]:
            colour = step["color"]
    return colour


def mapped(panel: Document, value: float) -> tuple[str, str] | None:
    """The text and the colour that stand for a value, where a mapping has them."""
    for mapping in panel["fieldConfig"]["defaults"].get("mappings", []):
        result = mapping["options"].get(f"{value:g}")
        if result:
            return result["text"], result["color"]
    return None


def _colour(panel: Document, series: Series, index: int) -> str:
    mode = panel["fieldConfig"]["defaults"].get("color", {}).get("mode")
    if mode == "thresholds" and series.points:
        return step_colour(panel, series.points[-1][1])
    return CLASSIC[index % len(CLASSIC)]
