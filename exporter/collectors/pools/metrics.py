"""The metrics of pools; `source` is the library or server that a number is from, a closed set.

`pgxpool`, `sql`, `otel`, `hikaricp`, `pg_pool`, `activerecord` and `sqlx` are read from River's metrics endpoints (see
`vocabularies/`); `pgbouncer` is its console, `sessions` PostgreSQL's view, `exporter` our own acquires.
"""

from __future__ import annotations

from exporter.metrics.metric import counter, gauge, summary
from exporter.metrics.peak import Peak

MINIMUM_USE_WINDOW = 10.0
"""Seconds in which a pool's use is at its minimum once: what a burst takes is back by then, what leaked is not."""

ACQUIRE = summary(
    "river_pool_acquire_seconds",
    "Seconds that acquires waited for a connection, only of those that found none idle where the source separates them",
    "source",
)
CONNECTIONS = gauge("river_pool_connections", "Connections of the pool by state", "source", "state")
MAX = gauge("river_pool_max_connections", "Connections the pool may open; absent without a limit", "source")
FREE = gauge(
    "river_pool_free_ratio",
    "Share of the pool's connections not in use, at the minimum use within 10 s; absent without a limit",
    "source",
)
WAITS = counter("river_pool_acquire_waits_total", "Acquires that found no idle connection", "source")
WAITED = counter("river_pool_wait_seconds_total", "Seconds that acquires waited for a connection", "source")
CANCELED = counter("river_pool_acquires_canceled_total", "Acquires that ended without a connection", "source")
LONGEST = gauge(
    "river_pool_longest_wait_seconds",
    "Longest wait for a connection in the window; absent where the source has no wait times",
    "source",
)
WAITING = gauge("river_pool_clients_waiting", "Clients that wait for a connection now", "source")


class MinimumUse:
    """The share of a pool's connections that is not in use, at its minimum use within the window."""

    def __init__(self) -> None:
        self._shares = Peak(MINIMUM_USE_WINDOW)

    def observe(self, now: float, ratio: float) -> float:
        """Add a share observed at `now` (monotonic seconds); returns the highest of the last 10 s."""
        self._shares.see(now, ratio)
        return self._shares.value(now) or 0.0
