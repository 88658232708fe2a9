"""The alerts and their thresholds, as `config/source/rules.yaml` has them; `make generate` writes rules.json of it.

So doctor warns of what an alert fires at, and knows every alert there is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def _generated() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(resources.files("exporter.doctor").joinpath("rules.json").read_text("utf-8"))
    return found


def severities() -> Mapping[str, list[str]]:
    """The severities of each alert, by its name."""
    found: Mapping[str, list[str]] = _generated()["alerts"]
    return found


def threshold(alert: str, name: str) -> float:
    """A threshold of an alert, by the name it has in rules.yaml."""
    return float(_generated()["thresholds"][alert][name])
