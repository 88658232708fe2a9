"""The bridge to prometheus-client: a registry that exposes the snapshot as it is at the moment of a scrape."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as RegistryCollector
from prometheus_client.registry import CollectorRegistry

from exporter.metrics.metric import Buckets, Kind, Metric, Sample, Totals
from exporter.metrics.snapshot import Snapshot


def expose(snapshot: Snapshot, live: Callable[[], Iterable[Sample]]) -> CollectorRegistry:
    """A registry that reads `snapshot`, and `live`, the samples about the exporter itself at that moment."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(snapshot, live))
    return registry


class _SnapshotCollector(RegistryCollector):
    def __init__(self, snapshot: Snapshot, live: Callable[[], Iterable[Sample]]) -> None:
        self._snapshot = snapshot
        self._live = live

    def describe(self) -> list[Family]:
        """No metric is fixed at registration: the snapshot decides."""
        return []

    def collect(self) -> Iterator[Family]:
        """The families of the snapshot, each with its samples."""
        families: dict[str, Family] = {}
        for sample in chain(self._snapshot.samples(), self._live()):
            metric = sample.metric
            family = families.get(metric.name)
            if family is None:
                name = metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
                family = families[metric.name] = Family(name, metric.help, metric.kind.value)
            _add(family, metric, sample)
        yield from families.values()


def _add(family: Family, metric: Metric, sample: Sample) -> None:
    labels = dict(zip(metric.labels, sample.labels, strict=True))
    if isinstance(sample.value, Buckets):
        for bound, count in sample.value.counts:
            limit = "+Inf" if math.isinf(bound) else str(float(bound))
            family.add_sample(f"{metric.name}_bucket", {**labels, "le": limit}, count)
        family.add_sample(f"{metric.name}_count", labels, sample.value.counts[-1][1])
        family.add_sample(f"{metric.name}_sum", labels, sample.value.total)
    elif isinstance(sample.value, Totals):
        family.add_sample(f"{metric.name}_count", labels, sample.value.count)
        family.add_sample(f"{metric.name}_sum", labels, sample.value.total)
    else:
        family.add_sample(metric.name, labels, sample.value)
