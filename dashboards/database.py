"""PostgreSQL as River uses it: its statements, locks, waits, the job table, vacuum, storage and replication."""

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
        "Cost and waits of River's statements, and the health of its tables. Open a row for its panels.",
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
                collapsed=True,
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
                collapsed=True,
            ),
            line(
                7,
                (5, server.wal()),
                (5, server.wal_time()),
                (5, server.checkpoints()),
                (5, server.io()),
                (4, server.io_time()),
                title="Storage",
                collapsed=True,
            ),
            line(
                7,
                (6, server.standbys()),
                (6, server.standby_lag()),
                (6, server.connections()),
                (6, server.trouble()),
                title="Replication and connections",
                collapsed=True,
            ),
        ],
        variables=("schema",),
        window="3h",
    )


def _answers() -> list[model.Panel]:
    return [
        number(
            "Completing statement",
            "Mean execution time of calls that ended. Calls that are canceled at the timeout are in no statistics.",
            Query(
                ratio(
                    total(rate(river("river_statement_seconds_total", statements.COMPLETING)), over=("operation",)),
                    total(rate(river("river_statement_calls_total", statements.COMPLETING)), over=("operation",)),
                ),
                "mean",
            ),
            unit=style.SECONDS,
            empty="no completion in this rate window",
            trend=True,
        ),
        number(
            "Sessions waiting for a lock",
            "River's sessions that wait for a lock now.",
            Query(total(river("river_lock_waiting_sessions")), "waiting"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Vacuum held back",
            "Time for which a snapshot has kept vacuum from removing dead rows.",
            Query(worst(about_server("river_vacuum_held_back_seconds")), "held back"),
            unit=style.SECONDS,
            empty="not held back",
            steps={0: "good", 900: "warning", 3600: "critical"},
        ),
        number(
            "Dead rows over autovacuum threshold",
            "At 100 % autovacuum starts. Far above: it does not run, or does not finish.",
            Query(worst(river("river_table_vacuum_overdue_ratio")), "overdue"),
            unit=style.RATIO,
            empty=style.NO_DATA,
            steps={0: "good", 2: "warning", 5: "critical"},
            decimals=0,
        ),
        number(
            "Invalid indexes",
            "Left by a REINDEX CONCURRENTLY that did not finish: they cost every write and serve no read.",
            Query(total(river("river_indexes_invalid")), "invalid"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Transaction ID wraparound",
            "The age of River's tables over the age at which PostgreSQL refuses writes.",
            Query(worst(river("river_table_wraparound_ratio")), "used"),
            unit=style.RATIO,
            empty=style.NO_DATA,
            steps={0: "good", 0.5: "warning", 0.8: "critical"},
            decimals=1,
        ),
    ]
