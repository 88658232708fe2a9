"""Counters made from the server's cumulative statistics, which can be reset, evicted or come from another server.

Facts (PostgreSQL manual, "The Cumulative Statistics System"): a crash and `pg_stat_reset*()` start again at zero, and
the latter sets `stats_reset`; a clean restart keeps the numbers; a promoted standby has the system identifier of its
former primary but numbers of its own. So the start time of the server, read beside the numbers, identifies them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Generic, TypeVar

from exporter.metrics.metric import Counter, Metric, Sample

Key = TypeVar("Key", bound=Hashable)


class Differences(Generic[Key]):
    """What a cumulative statistic rose by between two readings, per key.

    Args:
        newborn: whether a key that was not in the reading before began at zero since then (an entry of
            pg_stat_statements). Otherwise its first value is only the base of what follows.
    """

    def __init__(self, *, newborn: bool = False) -> None:
        self._newborn = newborn
        self._source: Hashable = None
        self._reset: Hashable = None
        self._before: dict[Key, tuple[float, ...]] | None = None

    def take(
        self, source: Hashable, reading: Mapping[Key, tuple[float, ...]], reset: Hashable = None
    ) -> dict[Key, tuple[float, ...]]:
        """The rises since the reading before, of every key in this one; never negative.

        The first reading, and the first of another `source`, rise by nothing. After a reset, or where any number of a
        key fell, that key counts from 0: all it has was gathered since.

        Args:
            source: distinguishes one server, and one run of it, from another: its start time, read beside the numbers.
            reading: the numbers per key, as many as ever for a key.
            reset: the statistic's `stats_reset`, where it has one.
        """
        before, self._before = self._before, dict(reading)
        again, self._source = source == self._source, source
        cleared, self._reset = reset != self._reset, reset
        if before is None or not again:
            return {key: (0.0,) * len(numbers) for key, numbers in reading.items()}
        if cleared:
            return dict(reading)
        return {key: self._rise(before.get(key), numbers) for key, numbers in reading.items()}

    def _rise(self, before: tuple[float, ...] | None, numbers: tuple[float, ...]) -> tuple[float, ...]:
        if before is None:
            return numbers if self._newborn else (0.0,) * len(numbers)
        rises = tuple(now - then for now, then in zip(numbers, before, strict=True))
        return numbers if min(rises, default=0.0) < 0 else rises


Reading = Mapping[tuple[Metric, tuple[str, ...]], float | None]
"""A statistic's numbers by counter and label values; None is what the server does not measure."""


class CumulativeCounters:
    """Counters that follow one statistic: never a fall, never a spike.

    Args:
        metrics: the counters it feeds.
    """

    def __init__(self, *metrics: Metric) -> None:
        self._differences: Differences[tuple[str, ...]] = Differences()
        self._counters = {metric.name: Counter(metric) for metric in metrics}

    def take(self, source: Hashable, reading: Reading, reset: Hashable = None) -> None:
        """Add what the statistic rose by; `source` and `reset` as in `Differences`."""
        numbers = {(metric.name, *labels): (value,) for (metric, labels), value in reading.items() if value is not None}
        for (name, *labels), (rise,) in self._differences.take(source, numbers, reset).items():
            self._counters[name].add(rise, *labels)

    def samples(self) -> Iterator[Sample]:
        """The sums so far; a series exists from its first reading on."""
        for each in self._counters.values():
            yield from each.samples()
