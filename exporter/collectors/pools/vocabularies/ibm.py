"""IBM/pgxpoolprometheus: pgxpool's own counters, which count successful acquires only."""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="IBM/pgxpoolprometheus",
    source="pgxpool",
    series={
        "pgxpool_acquired_conns": ("acquired", 1),
        "pgxpool_idle_conns": ("idle", 1),
        "pgxpool_total_conns": ("total", 1),
        "pgxpool_max_conns": ("limit", 1),
        "pgxpool_constructing_conns": ("constructing", 1),
        "pgxpool_acquire_count": ("acquires", 1),
        "pgxpool_empty_acquire": ("empty", 1),
        "pgxpool_empty_acquire_wait_time_ns": ("waited", 1e-9),
        "pgxpool_canceled_acquire_count": ("canceled", 1),
    },
    proofs=("acquires", "empty"),
)
