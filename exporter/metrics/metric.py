"""What a metric is: its declaration, one sample of it, and the accumulators behind counters and histograms."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """Prometheus' metric types, as `# TYPE` spells them."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Sample(NamedTuple):
    """One value of a metric; for a histogram the value is its cumulative state."""

    metric: Metric
    labels: tuple[str, ...]
    value: float | Buckets | Totals


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram's state: cumulative counts per upper bound (the last is infinity) and the sum of observations."""

    counts: tuple[tuple[float, int], ...]
    total: float


@dataclass(frozen=True, slots=True)
class Totals:
    """A summary's state: how many observations, and their sum. It has no quantiles, which cannot be added up."""

    count: float
    total: float


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's declaration: what `docs/metrics.md`, alerts and dashboards are checked against.

    Args:
        name: the exposed name with its unit; a counter's ends in `_total`.
        kind: the Prometheus type.
        help: one sentence without a full stop.
        labels: names of its labels, a closed set of values each.
        buckets: upper bounds of a histogram, in the metric's unit, ascending, without infinity.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a declaration that breaks Prometheus' naming rules."""
        if (self.kind is Kind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: exactly the counters end in _total")
        if (self.kind is Kind.HISTOGRAM) != bool(self.buckets):
            raise ValueError(f"{self.name}: exactly the histograms have buckets")

    def sample(self, value: float | Buckets | Totals, *labels: str) -> Sample:
        """One sample; raises ValueError when the number of label values is not the declared one."""
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has labels {self.labels}, got {labels}")
        return Sample(self, labels, value)


def gauge(name: str, help: str, *labels: str) -> Metric:  # noqa: A002 - Prometheus' word
    """Declare a gauge."""
    return Metric(name, Kind.GAUGE, help, labels)


def counter(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    """Declare a counter; `name` ends in `_total`."""
    return Metric(name, Kind.COUNTER, help, labels)


def histogram(name: str, help: str, buckets: Sequence[float], *labels: str) -> Metric:  # noqa: A002
    """Declare a histogram with the upper bounds `buckets`."""
    return Metric(name, Kind.HISTOGRAM, help, labels, tuple(buckets))


def summary(name: str, help: str, *labels: str) -> Metric:  # noqa: A002
    """Declare a summary of a count and a sum."""
    return Metric(name, Kind.SUMMARY, help, labels)


class Counter:
    """Monotonic sums per label set that live as long as the process: what is exposed never falls."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._sums: dict[tuple[str, ...], float] = {}

    def add(self, amount: float, *labels: str) -> None:
        """Add `amount` (a negative one is a reset of its source and adds nothing); 0 makes the series exist."""
        self._sums[labels] = self._sums.get(labels, 0.0) + max(amount, 0.0)

    def samples(self) -> Iterator[Sample]:
        """The sums so far."""
        for labels, value in self._sums.items():
            yield self.metric.sample(value, *labels)


class Summary:
    """Observations counted and added up per label set, for the life of the process."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._sums: dict[tuple[str, ...], tuple[float, float]] = {}

    def add(self, count: float, total: float, *labels: str) -> None:
        """Take `count` observations that add up to `total`, in the metric's unit; 0 makes the series exist."""
        counts, totals = self._sums.get(labels, (0.0, 0.0))
        self._sums[labels] = (counts + max(count, 0.0), totals + max(total, 0.0))

    def samples(self) -> Iterator[Sample]:
        """The state per label set."""
        for labels, (count, total) in self._sums.items():
            yield self.metric.sample(Totals(count, total), *labels)


class Histogram:
    """Observations counted per bucket and label set, for the life of the process."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._totals: dict[tuple[str, ...], float] = {}

    def declare(self, *labels: str) -> None:
        """Make the series exist with no observation, so that its first one is an increase."""
        self._counts.setdefault(labels, [0] * (len(self.metric.buckets) + 1))
        self._totals.setdefault(labels, 0.0)

    def observe(self, value: float, *labels: str) -> None:
        """Count one observation in the metric's unit."""
        self.declare(*labels)
        self._counts[labels][bisect_left(self.metric.buckets, value)] += 1
        self._totals[labels] += value

    def samples(self) -> Iterator[Sample]:
        """The cumulative state per label set."""
        bounds = (*self.metric.buckets, math.inf)
        for labels, counts in self._counts.items():
            cumulative, running = [], 0
            for bound, count in zip(bounds, counts, strict=True):
                running += count
                cumulative.append((bound, running))
            yield self.metric.sample(Buckets(tuple(cumulative), self._totals[labels]), *labels)
