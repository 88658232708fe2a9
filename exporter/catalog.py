"""Every metric the exporter may expose, gathered from the modules that declare them."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.app import METRICS
from exporter.collectors.discovery import classes
from exporter.metrics.metric import Metric


def catalog() -> dict[str, tuple[Metric, tuple[str, ...]]]:
    """Each metric by name, with the names of the collectors that give it (`exporter` for those about itself).

    Raises:
        ValueError: two declarations of one name differ.
    """
    found: dict[str, tuple[Metric, tuple[str, ...]]] = {}
    for owner, metric in _declared():
        known, owners = found.get(metric.name, (metric, ()))
        if known != metric:
            raise ValueError(f"{metric.name} is declared twice, and differently")
        found[metric.name] = (metric, (*owners, owner))
    return dict(sorted(found.items()))


def _declared() -> Iterator[tuple[str, Metric]]:
    for metric in METRICS:
        yield "exporter", metric
    for each in classes():
        for metric in each.metrics:
            yield each.name, metric
