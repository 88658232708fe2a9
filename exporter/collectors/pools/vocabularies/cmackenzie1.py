"""cmackenzie1/pgxpool-prometheus: counts the acquires that waited, not for how long."""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="cmackenzie1/pgxpool-prometheus",
    source="pgxpool",
    series={
        "pgx_pool_acquire_connections": ("acquired", 1),
        "pgx_pool_idle_connections": ("idle", 1),
        "pgx_pool_total_connections": ("total", 1),
        "pgx_pool_max_connections": ("limit", 1),
        "pgx_pool_constructing_connections": ("constructing", 1),
        "pgx_pool_empty_acquire_count": ("empty", 1),
        "pgx_pool_canceled_acquire_count": ("canceled", 1),
    },
    proofs=("empty",),
)
