"""Panels about River's statements: what they cost, and what they wait for."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.panels import plot
from dashboards.queries import Query, best, highest, mean, rate, river, server, total, weight, worst

CALLS = river("namespace_job_schema_operation:river_statement_calls:rate2m")
TIME = river("namespace_job_schema_operation:river_statement_seconds:rate2m")
PER_CALL = river("namespace_job_schema_operation:river_statement_seconds_per_call:rate2m")
ROWS_PER_CALL = river("namespace_job_schema_operation:river_statement_rows_per_call:rate2m")
COMPLETING = 'operation=~"JobSet.*|JobCompleteTx"'
"""Operations that write the end of jobs."""

OPERATIONS = 6
"""Operations that are drawn by themselves: more is noise."""


def _by_operation(expr: str) -> str:
    """Draw what took most time in the window, operation by operation; no rest, as ratios don't add up."""
    return best(expr, weight(TIME, "operation"), "operation", OPERATIONS)


def calls() -> model.Panel:
    """Make the panel *Calls*."""
    calls = total(mean(CALLS), "operation")
    return plot(
        "Calls",
        "River's statements by operation, with the names they have in River's source.",
        Query(best(calls, weight(CALLS, "operation"), "operation", OPERATIONS), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.PER_SECOND,
        empty=style.NOT_RECORDED,
    )


def time_per_call() -> model.Panel:
    """Make the panel *Time per call*."""
    return plot(
        "Time per call",
        "Mean execution time of the operations that take most time, in the schema where it is longest (logarithmic "
        "scale).",
        Query(_by_operation(worst(mean(PER_CALL), "operation")), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.SECONDS,
        logarithmic=True,
        empty=style.NOT_RECORDED,
    )


def busy() -> model.Panel:
    """Make the panel *Time in statements*."""
    return plot(
        "Execution time",
        "Seconds of execution per second, of the operations that take most: 1 is one connection that is always busy.",
        Query(_by_operation(total(mean(TIME), "operation")), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.SECONDS,
        stack=True,
        empty=style.NOT_RECORDED,
    )


def blocks_per_job() -> model.Panel:
    """Make the panel *Blocks per completed job*."""
    blocks = total(
        rate(river("river_statement_blocks_total", 'source=~"hit|read"', COMPLETING)), "source", over=("operation",)
    )
    done = total(rate(river("river_statement_rows_total", COMPLETING)), over=("operation",))
    return plot(
        "Blocks per completed job",
        "Blocks that the completing statement reads for each row. Steady with a good plan; a jump means a bad plan, a "
        "slow rise means bloat.",
        Query(f"{blocks} / scalar({done} > 0)", "{{source}}"),
        unit=style.COUNT,
        colours={"hit": style.SERIES[0], "read": style.SERIES[1]},
        stack=True,
        empty="no completion in this window",
    )


def rows_per_call() -> model.Panel:
    """Make the panel *Rows per call*."""
    return plot(
        "Rows per call",
        "For the completer: jobs per batch, in the schema with most. Its limit is 5,000.",
        Query(_by_operation(worst(mean(ROWS_PER_CALL), "operation")), "{{operation}}"),
        colours=style.OPERATIONS,
        unit=style.COUNT,
        empty=style.NOT_RECORDED,
    )


def reads() -> model.Panel:
    """Make the panel *Blocks read*."""
    read = river("namespace_job_schema_operation:river_statement_blocks_read:rate2m")
    reads = total(mean(read), "operation")
    return plot(
        "Blocks read",
        "Blocks that were not in shared buffers, by the operations that read most. None once the buffers are warm.",
        Query(best(reads, weight(read, "operation"), "operation", OPERATIONS), "{{operation}}"),
        unit=style.PER_SECOND,
        colours=style.OPERATIONS,
        empty=style.NOT_RECORDED,
    )


def folded() -> model.Panel:
    """Make the panel *Evicted and aggregated statements*."""
    evicted = worst(rate(server("river_statements_deallocated_total")))
    folded = worst(rate(server("river_statements_folded_total")), "operation")
    return plot(
        "Evicted and aggregated statements",
        "Entries that pg_stat_statements evicted (raise pg_stat_statements.max), and statements aggregated into other.",
        Query(evicted, "evicted"),
        Query(folded, "aggregated into {{operation}}"),
        unit=style.PER_SECOND,
    )


def waits() -> model.Panel:
    """Make the panel *Time of River's sessions by wait type*."""
    seconds = river("namespace_job_schema_wait_event_type:river_session_seconds:rate2m")
    return plot(
        "Time of River's sessions by wait type",
        "Seconds per second of its sessions by wait event type; CPU is no wait. Idle sessions are left out.",
        Query(
            f"label_replace({total(mean(seconds), 'wait_event_type')}, "
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
        empty=f"River's sessions were idle, or {style.NO_RULES}",
    )


def sessions() -> model.Panel:
    """Make the panel *River's sessions*."""
    return plot(
        "River's sessions",
        "By state, as last sampled. A session that is idle in transaction keeps its connection and its locks.",
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


def lock_waits() -> model.Panel:
    """Make the panel *Longest lock wait by blocker*."""
    return plot(
        "Longest lock wait by blocker",
        "By the kind of the root blocker.",
        Query(worst(river("river_lock_wait_seconds"), "blocker"), "{{blocker}}"),
        unit=style.SECONDS,
        colours=style.BLOCKERS,
        bars=True,
        empty="no statement of River's waits for a lock",
    )


def waiters() -> model.Panel:
    """Make the panel *Longest lock wait by operation*."""
    wait = river("river_lock_wait_seconds")
    return plot(
        "Longest lock wait by operation",
        "The longest current wait of each operation.",
        Query(highest(worst(wait, "operation"), wait, "operation", OPERATIONS), "{{operation}}"),
        unit=style.SECONDS,
        colours=style.OPERATIONS,
        bars=True,
        empty="no statement of River's waits for a lock",
    )
