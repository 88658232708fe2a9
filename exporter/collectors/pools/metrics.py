"""The metrics of pools, which several sources give; `source` says who."""

from __future__ import annotations

from exporter.metrics.metric import counter, gauge, summary
from exporter.metrics.peak import Peak

CALM = 10.0
"""Seconds in which a pool's calmest moment is looked for: what a burst takes is back by then, what leaked is not."""

ACQUIRE = summary("river_pool_acquire_seconds", "Waits for a connection that ended well", "source")
CONNECTIONS = gauge("river_pool_connections", "Connections of the pool by state", "source", "state")
MOST = gauge("river_pool_max_connections", "Connections the pool may open", "source")
FREE = gauge(
    "river_pool_free_ratio", "Share of the pool's connections not in use, at the calmest moment within 10 s", "source"
)
WAITS = counter("river_pool_acquire_waits_total", "Acquires that found no idle connection and got one", "source")
WAITED = counter("river_pool_wait_seconds_total", "Seconds those acquires waited", "source")
CANCELED = counter("river_pool_acquires_canceled_total", "Acquires that gave up", "source")
LONGEST = gauge("river_pool_longest_wait_seconds", "Longest wait for a connection in the window", "source")
WAITING = gauge("river_pool_clients_waiting", "Clients that wait for a connection now", "source")


class Free:
    """The share of a pool's connections that is not in use, as of its calmest moment."""

    def __init__(self) -> None:
        self._seen = Peak(CALM)

    def see(self, now: float, ratio: float) -> float:
        """Take a share seen at `now` (monotonic seconds); returns the highest of the last 10 s."""
        self._seen.see(now, ratio)
        return self._seen.value(now) or 0.0
