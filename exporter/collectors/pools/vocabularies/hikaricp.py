"""HikariCP by Micrometer. Its timer of acquires counts those that timed out too (`recordBorrowTimeoutStats`)."""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="HikariCP (Micrometer)",
    source="hikaricp",
    series={
        "hikaricp_connections_active": ("acquired", 1),
        "hikaricp_connections_idle": ("idle", 1),
        "hikaricp_connections": ("total", 1),
        "hikaricp_connections_max": ("limit", 1),
        "hikaricp_connections_pending": ("pending", 1),
        "hikaricp_connections_timeout_total": ("canceled", 1),
        "hikaricp_connections_acquire_seconds_count": ("acquires", 1),
        "hikaricp_connections_acquire_seconds_sum": ("waited", 1),
    },
    proofs=("acquires",),
    counts_timeouts=True,
)
