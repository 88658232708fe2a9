"""Ruby's ActiveRecord as prometheus_exporter names it: how many wait now, not for how long."""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    library="ActiveRecord (prometheus_exporter)",
    source="activerecord",
    series={
        "ruby_active_record_connection_pool_busy": ("acquired", 1),
        "ruby_active_record_connection_pool_idle": ("idle", 1),
        "ruby_active_record_connection_pool_connections": ("total", 1),
        "ruby_active_record_connection_pool_size": ("limit", 1),
        "ruby_active_record_connection_pool_waiting": ("pending", 1),
    },
)
