"""Node's pg-pool as node-postgres-prometheus-exporter names it: how many wait now, not for how long."""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="pg-pool (node-postgres-prometheus-exporter)",
    source="pg_pool",
    series={
        "pg_pool_active_connections": ("acquired", 1),
        "pg_pool_idle_connections": ("idle", 1),
        "pg_pool_size": ("total", 1),
        "pg_pool_max": ("limit", 1),
        "pg_pool_waiting_connections": ("pending", 1),
    },
)
