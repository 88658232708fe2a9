"""The pools on a metrics endpoint of River's process, and what happened in one between two readings.

Pools are kept apart by their labels. A pool without a limit has no free share. What a library does not report
is None, never 0: one that counts no successful acquires reports no waits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from exporter.collectors.pools.vocabularies import BY_SERIES
from exporter.collectors.pools.vocabulary import Field, Vocabulary

MAX_POOLS = 50
"""Pools on one metrics endpoint; a process has a few."""

MAX_SERIES = 2000
"""Series of pools on one metrics endpoint that are parsed: what they cost is bounded whatever a server sends."""

_COUNTERS: tuple[Field, ...] = ("acquires", "empty", "waited", "canceled")

Labels = tuple[tuple[str, str], ...]
"""What identifies a pool on its metrics endpoint: names and values, sorted by name."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """One reading of a pool; None is what its library does not report. Counters are since the process started.

    Attributes:
        acquired: connections in use.
        limit: connections that may be open; None where they are not limited.
        constructing: connections that are being opened.
        pending: acquires that wait now.
        acquires: acquires that ended, see `Vocabulary.counts_timeouts`.
        empty: acquires that found no idle connection.
        waited: seconds that acquires waited; of those that found none idle where the library counts these.
        canceled: acquires that ended without a connection.
    """

    vocabulary: Vocabulary
    acquired: float
    labels: Labels = ()
    idle: float | None = None
    total: float | None = None
    limit: float | None = None
    constructing: float | None = None
    pending: float | None = None
    acquires: float | None = None
    empty: float | None = None
    waited: float | None = None
    canceled: float | None = None

    @property
    def key(self) -> tuple[str, Labels]:
        """What distinguishes it from the other pools of its metrics endpoint."""
        return self.vocabulary.library, self.labels

    @property
    def full(self) -> bool:
        """Whether every connection that may be open is in use."""
        return self.limit is not None and self.acquired >= self.limit

    @property
    def free_ratio(self) -> float | None:
        """The share of the connections that may be open and is not in use; None where they are not limited."""
        if self.limit is None:
            return None
        return max(0.0, (self.limit - self.acquired) / self.limit)

    @property
    def waits_known(self) -> bool:
        """Whether successful acquires are counted: without them a full pool may be waited for, or merely in use."""
        return any(getattr(self, each) is not None for each in self.vocabulary.proofs)


def parse(text: str, labels: Mapping[str, str] | None = None) -> list[PoolStatistics]:
    """The pools on a metrics endpoint that have these labels; all of them without any.

    Raises:
        ValueError: it is not Prometheus' text format, a value is none that a pool can have, or there are too many.
    """
    wanted = set((labels or {}).items())
    found: dict[tuple[str, Labels], tuple[Vocabulary, dict[str, float]]] = {}
    for vocabulary, key, field, value in _series(text):
        if wanted <= set(key):
            found.setdefault((vocabulary.library, key), (vocabulary, {}))[1][field] = value
    read = (_pool(vocabulary, key, values) for (_, key), (vocabulary, values) in found.items())
    pools = [pool for pool in read if pool is not None]
    if len(pools) > MAX_POOLS:
        raise ValueError(f"{len(pools)} pools are too many; pick River's with river.pool.labels")
    return pools


def _pool(vocabulary: Vocabulary, labels: Labels, values: dict[str, float]) -> PoolStatistics | None:
    if "acquired" not in values and "total" in values and "idle" in values:
        values["acquired"] = max(0.0, values["total"] - values["idle"] - values.get("constructing", 0.0))
    if "acquired" not in values:
        return None
    if values.get("limit") == 0:
        del values["limit"]  # how database/sql writes "not limited"
    return PoolStatistics(vocabulary, labels=labels, **values)


def _series(text: str) -> Iterator[tuple[Vocabulary, Labels, Field, float]]:
    """The series that are a pool's; other lines are not even parsed, so reading is cheap whatever else is there."""
    lines = [line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] in BY_SERIES]
    if not lines and "# HELP" not in text and "# TYPE" not in text:
        raise ValueError("this is not a metrics page")
    if len(lines) > MAX_SERIES:
        raise ValueError(f"{len(lines)} series of pools are too many")
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            vocabulary = BY_SERIES.get(sample.name)
            if vocabulary is None:
                continue
            value = float(sample.value)
            if not 0 <= value < math.inf:
                raise ValueError(f"{sample.name} is {value}")
            meaning = _meaning(vocabulary, sample.name, sample.labels)
            if meaning is not None:
                field, factor = meaning
                key = tuple(sorted(each for each in sample.labels.items() if each[0] not in vocabulary.state_labels))
                yield vocabulary, key, field, value * factor


def _meaning(vocabulary: Vocabulary, name: str, labels: Mapping[str, str]) -> tuple[Field, float] | None:
    states = vocabulary.states.get(name)
    if states is None:
        return vocabulary.series[name]
    state = next((labels[each] for each in vocabulary.state_labels if each in labels), "")
    return (states[state], 1.0) if state in states else None


@dataclass(frozen=True, slots=True)
class PoolChange:
    """What happened between two readings of a pool; None is what its library does not report.

    Attributes:
        waits: acquires that found no idle connection; they got one, but for database/sql.
        acquires: acquires that the seconds waited are of: the same, or all where the library counts only all.
        waited: seconds they waited, together.
        canceled: acquires that ended without a connection.
        succeeded: whether any acquire got a connection.
    """

    waits: float | None = None
    acquires: float | None = None
    waited: float | None = None
    canceled: float | None = None
    succeeded: bool | None = None


def change(before: PoolStatistics, now: PoolStatistics) -> PoolChange:
    """What happened since `before`; nothing is known across a restart, where counters begin at 0."""
    rises: dict[str, float] = {}
    for name in _COUNTERS:
        old, new = getattr(before, name), getattr(now, name)
        if old is not None and new is not None:
            rises[name] = new - old
    if any(rise < 0 for rise in rises.values()):
        return PoolChange()
    return PoolChange(
        waits=rises.get("empty"),
        acquires=rises.get("empty", rises.get("acquires")),
        waited=rises.get("waited"),
        canceled=rises.get("canceled"),
        succeeded=_succeeded(now.vocabulary, rises),
    )


def _succeeded(vocabulary: Vocabulary, rises: Mapping[str, float]) -> bool | None:
    proof = next((each for each in vocabulary.proofs if each in rises), None)
    if proof is None:
        return None
    # where timeouts may count as acquires, exactly as many of both are no proof of a connection
    timeouts = rises.get("canceled", 0.0) if vocabulary.counts_timeouts else 0.0
    return rises[proof] > 0 and rises[proof] != timeouts
