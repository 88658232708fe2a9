"""What a library calls the numbers of a pool: its vocabulary, one declaration each in `vocabularies/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["pgxpool", "sql", "otel", "hikaricp", "pg_pool", "activerecord", "sqlx"]
"""The values of the label `source` that a metrics endpoint can lead to."""

Field = Literal[
    "acquired", "idle", "total", "limit", "constructing", "pending", "acquires", "empty", "waited", "canceled"
]  # fmt: skip
"""What a series is of its pool, see `PoolStatistics`."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One library's names.

    Attributes:
        library: its name, as its users know it.
        source: the label value of what is read by it.
        series: the field that each series is, and the factor that makes seconds or counts of it.
        states: of series with a state label, the field that each state is.
        state_labels: the names that label has; no part of what identifies a pool.
        proofs: counters that rise when an acquire succeeds, the best first; without one on a metrics endpoint nothing
            is known of waits.
        counts_timeouts: whether an acquire that timed out counts in `acquires` as well, or may do so.
    """

    library: str
    source: Source
    series: Mapping[str, tuple[Field, float]]
    states: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    state_labels: tuple[str, ...] = ()
    proofs: tuple[Field, ...] = ()
    counts_timeouts: bool = False
