"""PostgreSQL as River meets it: its statements, locks, waits, the job table, vacuum, storage and replication."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import server, statements, style, table
from dashboards.frame import dashboard as frame
from dashboards.frame import line
from dashboards.panels import number
from dashboards.queries import Query, rate, ratio, river, total, worst
from dashboards.queries import server as about_server


def dashboard() -> model.Dashboard:
    """River database."""
    return frame(
        "database",
        "River database",
        "What River's statements cost, what they wait for, and how healthy the tables below them are.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(
                8, (8, statements.calls()), (8, statements.time_per_call()), (8, statements.busy()), title="Statements"
            ),
            line(
                8,
                (6, statements.blocks_per_job()),
                (6, statements.rows_per_call()),
                (6, statements.reads()),
                (6, statements.folded()),
            ),
            line(
                8,
                (6, statements.waits()),
                (6, statements.sessions()),
                (6, statements.lock_waits()),
                (6, statements.waiters()),
                title="Sessions and locks",
            ),
            line(
                8,
                (6, table.table_rows()),
                (6, table.size()),
                (6, table.per_row()),
                (6, table.scans()),
                title="River's job table",
            ),
            line(8, (6, table.updates()), (6, table.index_size()), (6, table.index_use()), (6, table.index_valid())),
            line(
                7,
                (5, table.overdue()),
                (4, table.autovacuum()),
                (5, table.held_back()),
                (5, table.held_back_age()),
                (5, table.last_vacuum()),
                title="Vacuum",
            ),
            line(
                7,
                (5, server.wal()),
                (5, server.wal_time()),
                (5, server.checkpoints()),
                (5, server.io()),
                (4, server.io_time()),
                title="Storage",
            ),
            line(
                7,
                (6, server.standbys()),
                (6, server.standby_lag()),
                (6, server.connections()),
                (6, server.trouble()),
                title="Server",
            ),
        ],
        variables=("schema",),
        window="3h",
    )


def _answers() -> list[model.Panel]:
    return [
        number(
            "Completing statement",
            "Mean time of a call that ended. Calls that were cancelled at the deadline are in no statistics.",
            Query(
                ratio(
                    total(rate(river("river_statement_seconds_total", statements.COMPLETING)), over=("operation",)),
                    total(rate(river("river_statement_calls_total", statements.COMPLETING)), over=("operation",)),
                ),
                "mean",
            ),
            unit=style.SECONDS,
            empty="no completion in the last minutes",
            trend=True,
        ),
        number(
            "Waiting for a lock",
            "River's sessions that wait for a lock at this moment.",
            Query(total(river("river_lock_waiting_sessions")), "waiting"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Vacuum held back",
            "For how long something has kept vacuum from removing dead rows.",
            Query(worst(about_server("river_vacuum_held_back_seconds")), "held back"),
            unit=style.SECONDS,
            empty="not held back",
            steps={0: "good", 900: "warning", 3600: "critical"},
        ),
        number(
            "Dead rows against autovacuum's mark",
            "1 is where autovacuum starts. Well above: it does not come, or does not get through.",
            Query(worst(river("river_table_vacuum_overdue_ratio")), "overdue"),
            unit=style.RATIO,
            empty=style.NO_DATA,
            steps={0: "good", 2: "warning", 5: "critical"},
            decimals=0,
        ),
        number(
            "Invalid indexes",
            "What a REINDEX CONCURRENTLY that was cut short left behind: it costs every write and serves no read.",
            Query(total(river("river_indexes_invalid")), "invalid"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Transaction ids used up",
            "The age of River's tables over the age at which PostgreSQL stops taking writes.",
            Query(worst(river("river_table_wraparound_ratio")), "used"),
            unit=style.RATIO,
            empty=style.NO_DATA,
            steps={0: "good", 0.5: "warning", 0.8: "critical"},
            decimals=1,
        ),
    ]
