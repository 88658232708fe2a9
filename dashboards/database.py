"""PostgreSQL as River meets it: its statements, locks, waits, the job table, vacuum, storage and replication."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.frame import dashboard as frame
from dashboards.frame import line
from dashboards.panels import gauges, number, plot, rows, states
from dashboards.queries import Query, best, grown, highest, lowest, rate, ratio, river, server, top_rate, total, worst

CALLS = river("river_statement_calls_total")
TIME = river("river_statement_seconds_total")
COMPLETING = 'operation=~"JobSet.*|JobCompleteTx"'
"""Operations that write the end of jobs."""

OPERATIONS = 6
"""Operations, or indexes, that are drawn by themselves: more is noise."""


def dashboard() -> model.Dashboard:
    """River database."""
    return frame(
        "database",
        "River database",
        "What River's statements cost, what they wait for, and how healthy the tables below them are.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(8, (8, _calls()), (8, _time_per_call()), (8, _busy()), title="Statements"),
            line(8, (6, _blocks_per_job()), (6, _rows_per_call()), (6, _reads()), (6, _folded())),
            line(8, (6, _waits()), (6, _sessions()), (6, _lock_waits()), (6, _waiters()), title="Sessions and locks"),
            line(8, (6, _table_rows()), (6, _size()), (6, _per_row()), (6, _scans()), title="River's job table"),
            line(8, (6, _updates()), (6, _index_size()), (6, _index_use()), (6, _index_valid())),
            line(
                7,
                (5, _overdue()),
                (4, _autovacuum()),
                (5, _held_back()),
                (5, _held_back_age()),
                (5, _last_vacuum()),
                title="Vacuum",
            ),
            line(7, (5, _wal()), (5, _wal_time()), (5, _checkpoints()), (5, _io()), (4, _io_time()), title="Storage"),
            line(7, (6, _standbys()), (6, _standby_lag()), (6, _connections()), (6, _trouble()), title="Server"),
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
                    total(rate(river("river_statement_seconds_total", COMPLETING)), over=("operation",)),
                    total(rate(river("river_statement_calls_total", COMPLETING)), over=("operation",)),
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
            Query(worst(server("river_vacuum_held_back_seconds")), "held back"),
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


def _by_operation(expr: str) -> str:
    """Draw what took most time in the window, operation by operation; no rest, as ratios don't add up."""
    return best(expr, grown(TIME, "operation"), "operation", OPERATIONS)


def _calls() -> model.Panel:
    calls = total(rate(CALLS), "operation")
    return plot(
        "Calls",
        "River's statements by operation, by the names that River's source gives them.",
        Query(best(calls, grown(CALLS, "operation"), "operation", OPERATIONS), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.PER_SECOND,
    )


def _time_per_call() -> model.Panel:
    return plot(
        "Time per call",
        "Mean time of calls that ended, of the operations that take most time (on a logarithmic scale).",
        Query(_by_operation(ratio(total(rate(TIME), "operation"), total(rate(CALLS), "operation"))), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.SECONDS,
        logarithmic=True,
    )


def _busy() -> model.Panel:
    return plot(
        "Time in statements",
        "Seconds of execution per second: 1 is one connection busy all the time.",
        Query(top_rate(TIME, "operation", OPERATIONS), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.SECONDS,
        stack=True,
    )


def _blocks_per_job() -> model.Panel:
    blocks = total(
        rate(river("river_statement_blocks_total", 'source=~"hit|read"', COMPLETING)), "source", over=("operation",)
    )
    done = total(rate(river("river_statement_rows_total", COMPLETING)), over=("operation",))
    return plot(
        "Blocks per completed job",
        "Blocks the completing statement looks at for each row. Steady with a good plan; a jump is a bad plan, and a "
        "slow rise is bloat.",
        Query(f"{blocks} / scalar({done} > 0)", "{{source}}"),
        unit=style.COUNT,
        colours={"hit": style.SERIES[0], "read": style.SERIES[1]},
        stack=True,
        empty="no completion in this window",
    )


def _rows_per_call() -> model.Panel:
    counted = total(rate(river("river_statement_rows_total")), "operation")
    return plot(
        "Rows per call",
        "For the completer: jobs per batch. 5,000 is the most it sends.",
        Query(_by_operation(ratio(counted, total(rate(CALLS), "operation"))), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.COUNT,
    )


def _reads() -> model.Panel:
    read = river("river_statement_blocks_total", 'source="read"')
    ranking = grown(read, "operation", over=("source",))
    reads = total(rate(read), "operation", over=("source",))
    return plot(
        "Blocks read",
        "Blocks that were not in shared buffers, by the operations that read most. None, once the buffers are warm.",
        Query(best(reads, ranking, "operation", OPERATIONS), "{{operation}}"),
        unit=style.PER_SECOND,
        colours=style.OPERATIONS,
    )


def _waits() -> model.Panel:
    seconds = river("river_session_seconds_total", 'state!="idle"')
    return plot(
        "What River's sessions do",
        "Seconds per second that its sessions spend waiting, by the type of wait; CPU is no wait. Idle sessions are "
        "left "
        "out.",
        Query(
            f"label_replace({total(rate(seconds), 'wait_event_type', over=('operation', 'state'))}, "
            '"wait_event_type", "CPU", "wait_event_type", "")',
            "{{wait_event_type}}",
        ),
        unit=style.COUNT,
        stack=True,
        colours={
            "CPU": style.CAUSES["execution"],
            "Lock": style.CAUSES["lock"],
            "LWLock": style.SERIES[6],
            "IO": style.CAUSES["storage"],
            "IPC": style.SERIES[7],
            "Client": style.CAUSES["network"],
            "Timeout": style.QUIET,
        },
        empty="River's sessions were idle",
    )


def _sessions() -> model.Panel:
    return plot(
        "River's sessions",
        "By state, as last sampled. Many idle in a transaction are connections that nobody else can use.",
        Query(total(river("river_sessions"), "state"), "{{state}}"),
        unit=style.COUNT,
        stack=True,
        colours={
            "idle": style.POOL_STATES["idle"],
            "active": style.BLOCKERS["active"],
            "idle in transaction": style.BLOCKERS["idle_in_transaction"],
            "idle in transaction (aborted)": style.SERIES[7],
            "fastpath function call": style.SERIES[5],
        },
    )


def _lock_waits() -> model.Panel:
    return plot(
        "Longest wait for a lock",
        "By what stands at the root of the chain of waits.",
        Query(worst(river("river_lock_wait_seconds"), "blocker"), "{{blocker}}"),
        unit=style.SECONDS,
        colours=style.BLOCKERS,
        bars=True,
        empty="nothing of River's waits for a lock",
    )


def _waiters() -> model.Panel:
    wait = river("river_lock_wait_seconds")
    return plot(
        "Waits for a lock, by operation",
        "The longest of each operation that waits.",
        Query(highest(worst(wait, "operation"), wait, "operation", OPERATIONS), "{{operation}}"),
        unit=style.SECONDS,
        colours=style.OPERATIONS,
        bars=True,
        empty="nothing of River's waits for a lock",
    )


def _table_rows() -> model.Panel:
    return plot(
        "Rows",
        "Rows of river_job by the statistics; dead ones wait for vacuum.",
        Query(total(river("river_table_rows"), "kind"), "{{kind}}"),
        unit=style.COUNT,
        colours={"live": style.SERIES[0], "dead": style.SERIES[4]},
    )


def _size() -> model.Panel:
    return plot(
        "Size",
        "river_job on disk, by part.",
        Query(total(river("river_table_size_bytes"), "part"), "{{part}}"),
        unit=style.BYTES,
        stack=True,
        colours=dict(zip(("heap", "indexes", "toast"), style.SERIES, strict=False)),
    )


def _per_row() -> model.Panel:
    return plot(
        "Size per live row",
        "Steady in a healthy table; a rise over days is bloat.",
        Query(worst(river("river_table_bytes_per_row"), "schema"), "{{schema}}"),
        unit=style.BYTES,
    )


def _scans() -> model.Panel:
    return plot(
        "Rows read",
        "By the type of scan. Sequential scans of a large river_job are a bad plan, or a report that someone runs.",
        Query(total(rate(river("river_table_rows_read_total")), "type"), "{{type}} rows"),
        Query(total(rate(river("river_table_scans_total")), "type"), "{{type}} scans"),
        unit=style.PER_SECOND,
        colours={
            "index rows": style.SERIES[0],
            "sequential rows": style.SERIES[4],
            "index scans": style.SERIES[2],
            "sequential scans": style.SERIES[1],
        },
        logarithmic=True,
        empty="nothing was read",
    )


def _updates() -> model.Panel:
    return plot(
        "Updates",
        "HOT updates touch no index; River's can seldom be, as they change indexed columns.",
        Query(total(rate(river("river_table_updates_total")), "type"), "{{type}}"),
        unit=style.PER_SECOND,
        stack=True,
        colours={"hot": style.SERIES[2], "other": style.QUIET},
    )


def _index_size() -> model.Panel:
    size = river("river_index_size_bytes")
    return plot(
        "Index size",
        "The largest indexes of river_job.",
        Query(highest(total(size, "index"), size, "index", OPERATIONS), "{{index}}"),
        unit=style.BYTES,
    )


def _index_use() -> model.Panel:
    scans = river("river_index_scans_total")
    return plot(
        "Index scans",
        "The indexes used most. One that stops being used shows that a plan has changed.",
        Query(best(total(rate(scans), "index"), grown(scans, "index"), "index", OPERATIONS), "{{index}}"),
        unit=style.PER_SECOND,
    )


def _index_valid() -> model.Panel:
    valid = river("river_index_valid")
    return states(
        "River's indexes",
        "Whether each index that River makes is there and valid; without the one for fetching or for the state, "
        "statements read the whole table.",
        Query(lowest(f"min by (index) ({valid})", valid, "index", style.SERIES_LIMIT), "{{index}}"),
        words={"1": ("valid", "good"), "0": ("MISSING", "critical")},
    )


def _folded() -> model.Panel:
    evicted = worst(rate(server("river_statements_deallocated_total")))
    folded = worst(rate(server("river_statements_folded_total")), "operation")
    return plot(
        "Statements that are not told apart",
        "Entries that pg_stat_statements evicted (raise pg_stat_statements.max), and statements counted as other.",
        Query(evicted, "evicted"),
        Query(folded, "folded into {{operation}}"),
        unit=style.PER_SECOND,
    )


def _overdue() -> model.Panel:
    return plot(
        "Dead rows over autovacuum's mark",
        "1 is where autovacuum starts; the bars show when one was running.",
        Query(worst(river("river_table_vacuum_overdue_ratio"), "schema"), "{{schema}}"),
        Query(f"{worst(river('river_table_vacuum_running'))} > 0", "vacuum running"),
        unit=style.COUNT,
        colours={"vacuum running": style.QUIET},
    )


def _autovacuum() -> model.Panel:
    return plot(
        "Autovacuum workers",
        "At work, and how many there may be: when all are busy, River's table waits its turn.",
        Query(worst(server("river_autovacuum_workers"), "state"), "{{state}}"),
        unit=style.COUNT,
        colours={"running": style.SERIES[0], "max": style.CRITICAL},
    )


def _held_back() -> model.Panel:
    return gauges(
        "Who holds vacuum back",
        "For how long, by what holds the oldest snapshot.",
        Query(worst(server("river_vacuum_held_back_seconds"), "holder"), "{{holder}}", "instant"),
        style.SECONDS,
        steps={0: "good", 900: "warning", 3600: "critical"},
        empty="nobody",
    )


def _held_back_age() -> model.Panel:
    return plot(
        "Transactions since the oldest snapshot",
        "Rows that died since can't be removed.",
        Query(worst(server("river_vacuum_held_back_transactions"), "holder"), "{{holder}}"),
        unit=style.COUNT,
        empty="nobody holds vacuum back",
    )


def _last_vacuum() -> model.Panel:
    last = worst(river("river_table_last_vacuum_timestamp_seconds"), "schema", "type")
    return rows(
        "Last vacuum and analyze",
        "How long ago, by hand or by autovacuum.",
        Query(f"time() - {last}"),
        {"schema": "Schema", "type": "What", "Value": "Ago"},
        unit=style.SECONDS,
        empty="none since the statistics were reset",
    )


def _wal() -> model.Panel:
    return plot(
        "WAL and temporary files",
        "Bytes written to the log by every database of the server, and to temporary files by this one: a sort or a "
        "hash that did not fit in work_mem.",
        Query(worst(rate(server("river_server_wal_bytes_total"))), "WAL"),
        Query(worst(rate(server("river_server_temp_bytes_total"))), "temporary files"),
        unit=style.BYTES_PER_SECOND,
        colours={"WAL": style.SERIES[0], "temporary files": style.SERIES[1]},
    )


def _wal_time() -> model.Panel:
    return plot(
        "Time in WAL and checkpoints",
        "Seconds per second; that of WAL needs track_wal_io_timing. A checkpoint's writes are spread out, its syncs "
        "hold up commits.",
        Query(worst(rate(server("river_server_wal_write_seconds_total")), "phase"), "WAL {{phase}}"),
        Query(worst(rate(server("river_server_checkpoint_seconds_total")), "phase"), "checkpoint {{phase}}"),
        unit=style.SECONDS,
    )


def _checkpoints() -> model.Panel:
    begun = f"increase({server('river_server_checkpoints_total')}[$__rate_interval])"
    full = f"increase({server('river_server_wal_buffers_full_total')}[$__rate_interval])"
    return plot(
        "Checkpoints",
        "By what began them, in each step: requested ones come when max_wal_size is too small. And how often WAL had "
        "to be written early because wal_buffers were full.",
        Query(worst(begun, "type"), "{{type}}"),
        Query(worst(full), "WAL buffers full"),
        unit=style.COUNT,
        colours={"timed": style.SERIES[0], "requested": style.SERIES[1], "WAL buffers full": style.SERIES[3]},
        bars=True,
        reach=1,
    )


def _io() -> model.Panel:
    return plot(
        "I/O operations",
        "By every backend of the server (PostgreSQL 16 and later).",
        Query(worst(rate(server("river_server_io_operations_total")), "operation"), "{{operation}}"),
        unit=style.PER_SECOND,
        empty="needs PostgreSQL 16",
    )


def _io_time() -> model.Panel:
    return plot(
        "Time per I/O operation",
        "Needs track_io_timing (PostgreSQL 16 and later). An fsync of 100 ms is a commit of 100 ms.",
        Query(
            worst(
                ratio(rate(server("river_server_io_seconds_total")), rate(server("river_server_io_operations_total"))),
                "operation",
            ),
            "{{operation}}",
        ),
        unit=style.SECONDS,
        empty="needs track_io_timing and PostgreSQL 16",
    )


def _standbys() -> model.Panel:
    return plot(
        "Synchronous standbys",
        "Fewer connected than required: every commit waits.",
        Query(worst(server("river_server_synchronous_standbys"), "state"), "{{state}}"),
        unit=style.COUNT,
        colours={"required": style.CRITICAL, "connected": style.GOOD},
        reach=1,
    )


def _standby_lag() -> model.Panel:
    return plot(
        "Lag of standbys",
        "The slowest standby; flush is what a commit waits for under synchronous_commit = on.",
        Query(worst(server("river_standby_lag_seconds"), "phase"), "{{phase}}"),
        unit=style.SECONDS,
        empty="no standby",
    )


def _connections() -> model.Panel:
    return plot(
        "Connections",
        "Of all clients, against max_connections.",
        Query(worst(server("river_server_connections")), "connections"),
        Query(worst(server("river_server_max_connections")), "max"),
        unit=style.COUNT,
        colours={"connections": style.SERIES[0], "max": style.CRITICAL},
    )


def _trouble() -> model.Panel:
    files = f"increase({server('river_server_temp_files_total')}[$__rate_interval])"
    deadlocks = f"increase({server('river_server_deadlocks_total')}[$__rate_interval])"
    return plot(
        "Temporary files and deadlocks",
        "How many in each step, in the whole database.",
        Query(worst(files), "temporary files"),
        Query(worst(deadlocks), "deadlocks"),
        unit=style.COUNT,
        colours={"temporary files": style.SERIES[1], "deadlocks": style.SERIES[4]},
        bars=True,
        reach=1,
    )
