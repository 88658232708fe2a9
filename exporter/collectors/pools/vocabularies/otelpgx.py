"""exaring/otelpgx: pgxpool's own counters as OpenTelemetry's Prometheus exporter names them."""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="exaring/otelpgx",
    source="pgxpool",
    series={
        "pgxpool_acquired_connections": ("acquired", 1),
        "pgxpool_idle_connections": ("idle", 1),
        "pgxpool_total_connections": ("total", 1),
        "pgxpool_max_connections": ("limit", 1),
        "pgxpool_constructing_connections": ("constructing", 1),
        "pgxpool_constructing_connections_milliseconds": ("constructing", 1),  # a count all the same, in older versions
        "pgxpool_acquires_total": ("acquires", 1),
        "pgxpool_empty_acquire_total": ("empty", 1),
        "pgxpool_empty_acquire_wait_time_nanoseconds_total": ("waited", 1e-9),
        "pgxpool_canceled_acquires_total": ("canceled", 1),
    },
    proofs=("acquires", "empty"),
)
