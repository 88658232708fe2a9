"""The metrics of pools, which several sources give; `source` says who."""

from __future__ import annotations

from exporter.metric import counter, gauge, summary

ACQUIRE = summary("river_pool_acquire_seconds", "Waits for a connection that ended well", "source")
CONNECTIONS = gauge("river_pool_connections", "Connections of the pool by state", "source", "state")
MOST = gauge("river_pool_max_connections", "Connections the pool may open", "source")
FREE = gauge("river_pool_free_ratio", "Share of the pool's connections that is not in use", "source")
WAITS = counter("river_pool_acquire_waits_total", "Acquires that found no idle connection and got one", "source")
WAITED = counter("river_pool_wait_seconds_total", "Seconds those acquires waited", "source")
CANCELED = counter("river_pool_acquires_canceled_total", "Acquires that gave up", "source")
LONGEST = gauge("river_pool_longest_wait_seconds", "Longest wait for a connection in the window", "source")
WAITING = gauge("river_pool_clients_waiting", "Clients that wait for a connection now", "source")
