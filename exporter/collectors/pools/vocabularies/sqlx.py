"""Rust's sqlx, which no crate exposes: the names of docs/pool-statistics.md. It counts no waits.

In use is what is neither idle nor free: `Pool::size()` less `Pool::num_idle()`.
"""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="sqlx",
    source="sqlx",
    series={
        "sqlx_pool_connections": ("total", 1),
        "sqlx_pool_idle_connections": ("idle", 1),
        "sqlx_pool_max_connections": ("limit", 1),
    },
)
