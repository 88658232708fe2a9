"""Reads `rules.yaml`: the alerts and recording rules, with reasons, thresholds and snippets.

A mistake raises ValueError or msgspec.ValidationError that names the rule; only developers meet it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

FOLDER = Path(__file__).parent

Severity = Literal["critical", "warning", "info"]
Stage = Literal["symptom", "precursor", "health", "exporter"]
"""What Alertmanager mutes by: a symptom mutes its precursors, a missing exporter what it makes blind."""

_PLACE = re.compile(r"\$\{([\w.]+)\}")


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number that an operator may want to change, and what it counts."""

    value: float | int
    why: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recording rule; `thresholds_of` names the alert whose thresholds `expr` uses, if it uses any."""

    record: str
    why: str
    expr: str
    thresholds_of: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """An alerting rule, or one of the tiers of one, which share their name.

    Attributes:
        stage: see `Stage`; becomes a label.
        dashboard: uid of the dashboard to open first.
        why: the reason for `for` and `keep_firing_for`.
        thresholds: numbers that `expr` and the texts name as `${name}`.
        annotations: further ones.
    """

    alert: str
    severity: Severity
    stage: Stage
    dashboard: str
    for_: str
    keep_firing_for: str
    why: str
    expr: str
    summary: str
    description: str
    thresholds: Mapping[str, Threshold] = {}
    annotations: Mapping[str, str] = {}


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules that are evaluated one after the other, at one moment."""

    name: str
    why: str
    rules: tuple[Record | Alert, ...]
    interval: str | None = None


class Source(msgspec.Struct, frozen=True):
    """All of `rules.yaml`, its `${name}` not yet replaced."""

    snippets: Mapping[str, str]
    groups: tuple[Group, ...]

    def alerts(self) -> Iterator[Alert]:
        """Every alerting rule; tiers of one alert come one by one."""
        return (rule for group in self.groups for rule in group.rules if isinstance(rule, Alert))

    def thresholds(self) -> dict[str, dict[str, Threshold]]:
        """The thresholds by alert and name."""
        found: dict[str, dict[str, Threshold]] = {}
        for alert in self.alerts():
            for name, threshold in alert.thresholds.items():
                if found.setdefault(alert.alert, {}).setdefault(name, threshold) != threshold:
                    raise ValueError(f"{alert.alert}: two tiers give the threshold {name} different values")
        return {alert: names for alert, names in found.items() if names}


def load(path: Path = FOLDER / "rules.yaml") -> Source:
    """Read and check the source."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    groups = []
    for group in tree["groups"]:
        rules: list[Record | Alert] = [
            msgspec.convert(rule, Alert) if "alert" in rule else msgspec.convert(rule, Record)
            for rule in group["rules"]
        ]
        fields: dict[str, Any] = {name: value for name, value in group.items() if name != "rules"}
        groups.append(Group(rules=tuple(rules), **fields))
    return Source(tree["snippets"], tuple(groups))


def expand(text: str, values: Mapping[str, str], where: str) -> str:
    """Replace every `${name}`, also those in what replaces it; a name that stands for itself stays.

    Raises:
        ValueError: a name is unknown.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise ValueError(f"{where}: ${{{name}}} is neither a snippet nor a threshold")
        return match[0] if values[name] == match[0] else expand(values[name], values, where)

    return _PLACE.sub(value, text)
