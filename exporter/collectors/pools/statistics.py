"""River's own pool: what its process says on a metrics page, in the words of three libraries.

Facts (shared by all three): durations count successful acquires only, so one that burns its whole deadline appears as a
cancelled one; the honest latency is the rise of the empty-acquire wait over the rise of empty acquires.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

NAMES: Mapping[str, tuple[str, float]] = {
    # IBM/pgxpoolprometheus
    "pgxpool_acquire_count": ("acquires", 1),
    "pgxpool_empty_acquire": ("empty", 1),
    "pgxpool_empty_acquire_wait_time_ns": ("waited", 1e-9),
    "pgxpool_canceled_acquire_count": ("canceled", 1),
    "pgxpool_acquired_conns": ("acquired", 1),
    "pgxpool_idle_conns": ("idle", 1),
    "pgxpool_total_conns": ("total", 1),
    "pgxpool_max_conns": ("most", 1),
    "pgxpool_constructing_conns": ("constructing", 1),
    # exaring/otelpgx
    "pgxpool_acquires_total": ("acquires", 1),
    "pgxpool_empty_acquire_total": ("empty", 1),
    "pgxpool_empty_acquire_wait_time_nanoseconds_total": ("waited", 1e-9),
    "pgxpool_canceled_acquires_total": ("canceled", 1),
    "pgxpool_acquired_connections": ("acquired", 1),
    "pgxpool_idle_connections": ("idle", 1),
    "pgxpool_total_connections": ("total", 1),
    "pgxpool_max_connections": ("most", 1),
    "pgxpool_constructing_connections": ("constructing", 1),
    "pgxpool_constructing_connections_milliseconds": ("constructing", 1),
    # cmackenzie1/pgxpool-prometheus
    "pgx_pool_empty_acquire_count": ("empty", 1),
    "pgx_pool_canceled_acquire_count": ("canceled", 1),
    "pgx_pool_acquire_connections": ("acquired", 1),
    "pgx_pool_idle_connections": ("idle", 1),
    "pgx_pool_total_connections": ("total", 1),
    "pgx_pool_max_connections": ("most", 1),
    "pgx_pool_constructing_connections": ("constructing", 1),
    # database/sql, as client_golang's DBStatsCollector names it
    "go_sql_wait_count_total": ("empty", 1),
    "go_sql_wait_duration_seconds_total": ("waited", 1),
    "go_sql_in_use_connections": ("acquired", 1),
    "go_sql_idle_connections": ("idle", 1),
    "go_sql_open_connections": ("total", 1),
    "go_sql_max_open_connections": ("most", 1),
}
"""Each series' meaning and what makes seconds or counts of it."""

_PREFIXES = ("pgxpool_", "pgx_pool_", "go_sql_")
_COUNTERS = {"acquires", "empty", "waited", "canceled"}


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """One reading of a pool; None is what its library does not say. Counters are since the process started.

    Attributes:
        source: `pgxpool`, or `sql` for database/sql.
        waited: seconds that acquires which found no idle connection waited, successful ones only.
    """

    source: str
    acquires: float | None = None
    empty: float | None = None
    waited: float | None = None
    canceled: float | None = None
    acquired: float | None = None
    idle: float | None = None
    total: float | None = None
    most: float | None = None
    constructing: float | None = None

    @property
    def full(self) -> bool:
        """Whether every connection that may be open is in use."""
        return self.acquired is not None and self.most is not None and self.acquired >= self.most > 0

    @property
    def free_ratio(self) -> float | None:
        """The share of the connections that may be open and is not in use; None where the most is not limited."""
        if not self.most or self.acquired is None:
            return None
        return max(0.0, (self.most - self.acquired) / self.most)


def parse(text: str) -> PoolStatistics | None:
    """The pool on a metrics page, or None when none is there; several pools of one process are added up.

    Raises:
        ValueError: it is not Prometheus' text format, or a value is none that a pool can have.
    """
    found: dict[str, float] = {}
    source = "pgxpool"
    for name, value in _series(text):
        meaning, factor = NAMES[name]
        found[meaning] = found.get(meaning, 0.0) + value * factor
        if name.startswith("go_sql_"):
            source = "sql"
    if "acquired" not in found or "most" not in found:
        return None
    return PoolStatistics(source, **found)


def _series(text: str) -> Iterator[tuple[str, float]]:
    """The series that are a pool's; other lines are not even parsed, so a page is cheap whatever else it has."""
    lines = [line for line in text.splitlines() if line.startswith(_PREFIXES)]
    if not lines and "# HELP" not in text and "# TYPE" not in text:
        raise ValueError("this is not a metrics page")
    for family in text_string_to_metric_families("\n".join([*lines, ""])):
        for sample in family.samples:
            if sample.name in NAMES:
                value = float(sample.value)
                if not 0 <= value < math.inf:
                    raise ValueError(f"{sample.name} is {value}")
                yield sample.name, value


@dataclass(frozen=True, slots=True)
class PoolChange:
    """What happened between two readings of a pool.

    Attributes:
        waits: acquires that found no idle connection and got one.
        waited: seconds they waited, together.
        canceled: acquires that gave up.
        succeeded: whether any acquire got a connection; None where the library does not say.
    """

    waits: float = 0.0
    waited: float = 0.0
    canceled: float = 0.0
    succeeded: bool | None = None


def change(before: PoolStatistics, now: PoolStatistics) -> PoolChange:
    """What happened since `before`; nothing can be said across a restart, where counters begin anew."""
    rises: dict[str, float | None] = {}
    for name in _COUNTERS:
        old, new = getattr(before, name), getattr(now, name)
        rises[name] = None if old is None or new is None else new - old
    if any(rise is not None and rise < 0 for rise in rises.values()):
        return PoolChange()
    # database/sql counts a wait when it begins, the others when it ended well
    counted = "waited" if now.source == "sql" else "empty"
    telling = rises["acquires"] if rises["acquires"] is not None else rises[counted]
    return PoolChange(
        waits=rises["empty"] or 0.0,
        waited=rises["waited"] or 0.0,
        canceled=rises["canceled"] or 0.0,
        succeeded=None if telling is None else telling > 0,
    )
