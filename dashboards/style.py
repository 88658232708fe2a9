"""The house style: units, colours, words. A cause, a severity or a state looks the same on every dashboard.

The colours of causes and of severities are told apart under the common colour-vision deficiencies and on Grafana's
dark and light background; a test simulates both. Nothing is said by colour alone: legends, words or dashes say it too.
"""

from collections.abc import Mapping

SECONDS = "s"
RATIO = "percentunit"
BYTES = "bytes"
BYTES_PER_SECOND = "Bps"
COUNT = "short"
PER_SECOND = "suffix: /s"
JOBS_PER_SECOND = "suffix: jobs/s"
"""Units by Grafana's ids; `suffix:` is Grafana's custom unit."""

UNITS = (
    SECONDS,
    RATIO,
    BYTES,
    BYTES_PER_SECOND,
    COUNT,
    PER_SECOND,
    JOBS_PER_SECOND,
)
"""Every unit a panel may have."""

CAUSES: Mapping[str, str] = {
    "pool": "#3274B5",
    "network": "#C58AB8",
    "lock": "#D1495B",
    "execution": "#E0A030",
    "storage": "#2A9D8F",
}
"""The five causes of the budget, in the order they are stacked."""

QUIET = "#8A8F98"
"""For comparison: the rest, the past, an empty state."""

DOMINANT: Mapping[str, str] = {**CAUSES, "refused": "#7A6FD0", "unknown": QUIET}
"""What a dominant cause can be besides those of the budget."""

GOOD, WARNING, CRITICAL, TIMEOUT = "#4C9BE8", "#E8B200", "#C4162A", "#8C6BB1"
"""States and lines. Good is blue and not green, which some can't tell from red."""

NO_FILL = "transparent"
"""What a number is drawn on while nothing is wrong."""

SEVERITIES: Mapping[str, str] = {"good": GOOD, "warning": WARNING, "critical": CRITICAL}

LINES: Mapping[str, str] = {"warning": WARNING, "critical": CRITICAL, "timeout": TIMEOUT}
"""Threshold lines by legend name: drawn dashed, never stacked or filled."""

SERIES = (
    "#4C9BE8",
    "#E0A030",
    "#2A9D8F",
    "#C58AB8",
    "#D1495B",
    "#7A6FD0",
    "#8AB833",
    "#B07B4F",
    "#5FC4C9",
    "#E07A3F",
)
"""Colours of series that have none of their own, in this order, for panels that name their series."""

PERCENTILES: Mapping[str, str] = {"p50": SERIES[0], "p95": SERIES[1], "p99": SERIES[4]}

BLOCKERS: Mapping[str, str] = {
    "idle_in_transaction": "#D1495B",
    "active": "#E0A030",
    "ddl": "#7A6FD0",
    "river": "#3274B5",
    "autovacuum": "#2A9D8F",
    "prepared_transaction": "#C58AB8",
    "other": QUIET,
}
"""Kinds of root blockers."""

JOB_STATES: Mapping[str, str] = {
    "available": "#E0A030",
    "running": "#4C9BE8",
    "retryable": "#D1495B",
    "scheduled": "#7A6FD0",
    "pending": QUIET,
    "completed": "#2A9D8F",
    "cancelled": "#B07B4F",
    "discarded": "#C4162A",
}
"""River's job states."""

OPERATIONS: Mapping[str, str] = {
    "JobSetStateIfRunningMany": "#4C9BE8",
    "JobGetAvailable": "#E0A030",
    "JobInsertFastMany": "#2A9D8F",
    "JobInsertFastManyNoReturning": "#2A9D8F",
    "JobInsertFastManyCopyFrom": "#2A9D8F",
    "JobSchedule": "#8AB833",
    "LeaderAttemptReelect": "#C58AB8",
    "PGNotifyMany": "#7A6FD0",
    "BEGIN": "#B07B4F",
    "COMMIT": "#5FC4C9",
    "other": QUIET,
}
"""River's most frequent statements."""

POOL_STATES: Mapping[str, str] = {"acquired": "#E0A030", "constructing": "#C58AB8", "idle": "#4C9BE8", "max": CRITICAL}
"""Connections of a pool; `max` is the line they cannot cross."""

SOURCES: Mapping[str, str] = {
    "pgxpool": "#3274B5",
    "pgbouncer": "#E0A030",
    "exporter": "#2A9D8F",
    "sql": "#C58AB8",
    "otel": "#5FC4C9",
    "hikaricp": "#B07B4F",
    "pg_pool": "#8FA858",
    "activerecord": "#D4735E",
    "sqlx": "#7C6FBF",
    "sessions": QUIET,
}
"""Where a pool's numbers come from."""

SERIES_LIMIT = 20
"""No panel draws more series."""

NO_DATA = "no data: is the exporter up?"
"""What a panel says that should never be empty."""

NO_RULES = "config/alerts.yaml is not loaded in Prometheus"
"""Why a panel that asks for what a recording rule made may be empty."""

NOT_RECORDED = f"no data: is the exporter up? Or {NO_RULES}"
"""What such a panel says that should never be empty."""
