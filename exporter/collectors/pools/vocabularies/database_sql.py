"""database/sql, as client_golang's DBStatsCollector names it; a maximum of 0, its default, is no limit.

It counts a wait when it begins, so only the time that waits have taken proves that one has ended well.
"""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="database/sql",
    source="sql",
    series={
        "go_sql_in_use_connections": ("acquired", 1),
        "go_sql_idle_connections": ("idle", 1),
        "go_sql_open_connections": ("total", 1),
        "go_sql_max_open_connections": ("limit", 1),
        "go_sql_wait_count_total": ("empty", 1),
        "go_sql_wait_duration_seconds_total": ("waited", 1),
    },
    proofs=("waited",),
)
