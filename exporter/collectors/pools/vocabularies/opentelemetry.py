"""OpenTelemetry's semantic conventions for database clients, old names and new, as Prometheus exporters spell them.

The wait time is a histogram of all acquires, those that waited for nothing included; whether it also holds the acquires
that timed out is up to the instrumentation. Some give no maximum: then there is no free share to watch. JavaScript's
exporter leaves units out of the names.
"""

from __future__ import annotations

from exporter.collectors.pools.vocabulary import Field, Vocabulary

_STATES: dict[str, Field] = {"used": "acquired", "idle": "idle"}
_STATE_LABELS = ("state", "db_client_connection_state", "db_client_connections_state")

STABLE = Vocabulary(
    library="OpenTelemetry",
    source="otel",
    series={
        "db_client_connection_max": ("limit", 1),
        "db_client_connection_pending_requests": ("pending", 1),
        "db_client_connection_timeouts_total": ("canceled", 1),
        "db_client_connection_wait_time_seconds_count": ("acquires", 1),
        "db_client_connection_wait_time_seconds_sum": ("waited", 1),
        "db_client_connection_wait_time_count": ("acquires", 1),
        "db_client_connection_wait_time_sum": ("waited", 1),
    },
    states={"db_client_connection_count": _STATES},
    state_labels=_STATE_LABELS,
    proofs=("acquires",),
    counts_timeouts=True,
)

OLD = Vocabulary(
    library="OpenTelemetry (until 2024)",
    source="otel",
    series={
        "db_client_connections_max": ("limit", 1),
        "db_client_connections_pending_requests": ("pending", 1),
        "db_client_connections_timeouts_total": ("canceled", 1),
        "db_client_connections_wait_time_milliseconds_count": ("acquires", 1),
        "db_client_connections_wait_time_milliseconds_sum": ("waited", 1e-3),
        "db_client_connections_wait_time_count": ("acquires", 1),
        "db_client_connections_wait_time_sum": ("waited", 1e-3),
    },
    states={"db_client_connections_usage": _STATES},
    state_labels=_STATE_LABELS,
    proofs=("acquires",),
    counts_timeouts=True,
)
