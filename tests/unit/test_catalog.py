"""What is written twice agrees: declarations and docs/metrics.md, defaults and config/exporter.yaml."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from docs.generate import METRICS, metrics_page
from exporter.catalog import catalog
from exporter.config import keys, load

REFERENCE = Path(__file__).parents[2] / "config" / "exporter.yaml"


def test_the_metrics_page_is_what_the_declarations_make() -> None:
    """`make generate` was run."""
    assert METRICS.read_text(encoding="utf-8") == metrics_page()


def test_the_page_and_the_catalogue_name_the_same_metrics() -> None:
    """None is missing on either side, and neither is empty."""
    written = set(re.findall(r"^\| `(\w+)`", METRICS.read_text(encoding="utf-8"), re.MULTILINE))
    assert written == set(catalog())
    assert len(written) > 50


def test_names_follow_prometheus_rules() -> None:
    """A prefix, lower case, base units; milliseconds, percent and minutes are none."""
    for name, (metric, _) in catalog().items():
        assert re.fullmatch(r"river_[a-z0-9_]+", name), name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|percent|kb|mb)(_|$)", name), name
        assert metric.help, name
        assert not metric.help.endswith("."), name


def test_the_reference_configuration_is_the_defaults() -> None:
    """Loading it changes nothing, so every value in it is the default."""
    assert load(REFERENCE, {}) == load(None, {})


def test_every_key_stands_in_the_reference_configuration() -> None:
    """Beside those of collectors, which are the same for each."""
    tree = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))
    for key in keys():
        if key.startswith("collectors."):
            continue
        place = tree
        for part in key.split("."):
            assert part in place, key
            place = place[part]
