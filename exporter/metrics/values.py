"""Samples looked up by metric and labels, for readers of the snapshot other than a scraper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.metrics.metric import Sample


class Values:
    """The plain numbers among samples; histograms and summaries are left out."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for metric, labels, value in samples:
            if isinstance(value, float | int):
                named = dict(zip(metric.labels, labels, strict=True))
                self._found.setdefault(metric.name, []).append((named, float(value)))

    def all(self, name: str, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """The samples of a metric that have these labels, each with all its labels."""
        return [each for each in self._found.get(name, []) if labels.items() <= each[0].items()]

    def one(self, name: str, **labels: str) -> float | None:
        """The highest of them, or None without any."""
        return max((value for _, value in self.all(name, **labels)), default=None)

    def total(self, name: str, **labels: str) -> float:
        """Their sum; 0 without any."""
        return sum(value for _, value in self.all(name, **labels))
