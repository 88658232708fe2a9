"""The dashboard to open first: are completions committed, how close are they to their timeout, why, since when."""

from grafana_foundation_sdk.models import dashboard as model

from config.source.render import RUNBOOKS
from dashboards import style
from dashboards.frame import column, line, link
from dashboards.frame import dashboard as frame
from dashboards.panels import gauges, heat, number, plot, rows, states
from dashboards.queries import (
    OWN,
    Query,
    alerts,
    buckets,
    highest,
    incident,
    increase,
    lines,
    river,
    threshold,
    timeout,
    total,
    used,
    worst,
)

USED = used()
RECORDED = incident("namespace_schema:river_completer_budget_used:ratio")
RATIO = river("river_completer_budget_used_ratio")
WAITERS = river("river_lock_waiters")
TIMEOUTS = river("river_completer_timeouts_total")

STATES = {
    "0": ("OK", "good"),
    "1": ("SLOW", "warning"),
    "2": ("UNKNOWN", "warning"),
    "3": ("STALLED", "critical"),
    "4": ("FAILING", "critical"),
}
"""What the states are drawn as, from best to worst."""

OPERATIONS = 8
"""Operations that are drawn by themselves."""


def dashboard() -> model.Dashboard:
    """River completer."""
    return frame(
        "completer",
        "River completer",
        "Share of the timeout that completion attempts take, and its causes. Open this one first.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(9, (16, _budget()), (8, column((3, _alerts()), (3, _states()), (3, _cause())))),
            line(8, (7, _lag()), (6, _ages()), (5, _timeouts()), (6, _left_behind())),
            line(7, (8, _blockers()), (8, _waiters()), (8, _sources()), title="Evidence"),
            line(7, (6, _exporters()), (5, _slo()), (5, _stuck()), (4, _elector()), (4, _skew())),
        ],
        variables=("schema",),
        window="1h",
    )


def _answers() -> list[model.Panel]:
    """The six answers at the top."""
    state = number(
        "Completions",
        "The worst state of the selected schemas. Stalled: completions are due and none is committed. Failing: "
        "attempts time out or are refused. Unknown: cannot be observed. Only a committed completion brings OK back.",
        Query(worst(_levels()), "state"),
        unit=style.COUNT,
        empty=style.NOT_RECORDED,
        words=STATES,
    )
    share = number(
        "Share of the timeout",
        "Share of the timeout that the slowest attempt of the last 60 s took, all causes together. At 100 % attempts "
        "time out.",
        Query(USED, "share"),
        unit=style.RATIO,
        empty=style.NOT_RECORDED,
        trend=True,
        decimals=0,
    )
    growth = f"deriv({RECORDED}[2m])"
    left = f"(1 - {RECORDED}) / ({growth} > 0.0005)"
    forecast = number(
        "Time to first timeout",
        "Time until attempts time out if the share of the timeout keeps growing as in the last two minutes. It cannot "
        "forecast sudden outages.",
        Query(f"(clamp_min(min({left}), 0) < 3600) or 0 * ({USED} >= 1)", "left"),
        unit=style.SECONDS,
        empty="not growing",
        steps={0: "critical", 60: "warning", 600: "good"},
        decimals=0,
    )
    cause = number(
        "Dominant cause",
        "Pool, network, lock, execution or storage takes most of the slowest attempt. Refused: completing statements "
        "end without completing a row. Unknown: nothing observed explains it.",
        Query(f"topk(1, {worst(incident('namespace_schema_cause:river_completer_cause:max'), 'cause')})", "{{cause}}"),
        unit=style.COUNT,
        empty="none",
        names=True,
        colours=style.DOMINANT,
    )
    below = f"time() * ({USED} < bool {_one(threshold('warning'))})"
    since = number(
        "Above the warning threshold for",
        "Time since the share of the timeout was last below the warning threshold, within this window.",
        Query(
            f"clamp_max(time() - max_over_time(({below})[$__range:$__interval]), $__range_s) > 15",
            "since",
        ),
        unit=style.SECONDS,
        empty="below it",
        steps={0: "warning", 120: "critical"},
    )
    timeouts = number(
        "Timeouts in this window",
        "Completion attempts that were observed to reach the timeout.",
        Query(f"round({total(increase(TIMEOUTS), over=('cause',))})", "timeouts"),
        unit=style.COUNT,
        empty=style.NO_DATA,
        steps={0: "good", 1: "critical"},
        decimals=0,
    )
    return [link(panel, "pool", "Pool and connections") for panel in (state, share, forecast, cause, since, timeouts)]


def _levels() -> str:
    """The state of each schema as a number, by the order of `STATES`."""
    state = "namespace_schema_state:river_completer_state:max"
    names = ("ok", "slow", "unknown", "stalled", "failing")
    each = [
        f"{level} * ({incident(state, f'state={chr(34)}{name}{chr(34)}')} == 1)" for level, name in enumerate(names)
    ]
    return " or ".join(each)


def _one(expr: str) -> str:
    """A number for comparisons, without labels to match."""
    return f"scalar({expr})"


def _budget() -> model.Panel:
    causes = worst(river("river_completer_budget_seconds"), *OWN, "cause")
    panel = plot(
        "Slowest attempt by cause",
        "Seconds of the slowest attempt of the last 60 s by cause, with the thresholds and the timeout. Start with the "
        "largest part.",
        Query(worst(causes, "cause"), "{{cause}}"),
        *lines(seconds=True),
        unit=style.SECONDS,
        colours=style.CAUSES,
        stack=True,
        table_legend=True,
        empty="no completion attempt was observed",
    )
    link(panel, "pool", "pool, network: pool and connections")
    return link(panel, "database", "lock, execution, storage: database")


def _alerts() -> model.Panel:
    return rows(
        "Alerts firing",
        "A click on an alert opens its runbook.",
        Query(worst(alerts("firing"), "alertname", "severity", *OWN)),
        {"alertname": "Alert (runbook)", "severity": "Severity", "schema": "Schema"},
        unit=style.COUNT,
        empty="no alert fires",
        link=("Alert (runbook)", "Runbook", f"{RUNBOOKS}/${{__value.raw}}.md"),
    )


def _states() -> model.Panel:
    return states(
        "State of completions over time",
        "By schema, the worst of each step.",
        Query(worst(_levels(), *OWN), "{{schema}}"),
        words=STATES,
        empty=style.NOT_RECORDED,
    )


def _cause() -> model.Panel:
    return states(
        "Dominant cause over time",
        "The dominant cause while the state was not ok or the share of the timeout above the warning threshold.",
        Query(worst(river("river_completer_cause"), "cause"), "{{cause}}"),
        colours=style.DOMINANT,
        empty="below the warning threshold throughout",
    )


def _blockers() -> model.Panel:
    panel = plot(
        "Longest lock wait by blocker",
        "The longest wait of River's statements for a lock, by the kind of the root blocker.",
        Query(worst(river("river_lock_wait_seconds"), "blocker"), "{{blocker}}"),
        unit=style.SECONDS,
        colours=style.BLOCKERS,
        bars=True,
        empty="no statement of River's waits for a lock",
    )
    return link(panel, "database", "Locks")


def _lag() -> model.Panel:
    return heat(
        "Completion lag",
        "From the end of a job to the commit of its completion. Healthy: below 0.5 s. A job also waits for the batch "
        "before its own, so the lag can exceed the timeout without an attempt that does.",
        Query(buckets(river("river_completer_lag_seconds_bucket")), form="heatmap"),
        unit=style.SECONDS,
        empty="no completion was observed",
    )


def _ages() -> model.Panel:
    return plot(
        "Attempt age and time since last completion",
        "The oldest completing statement (highest of the last 60 s), the current attempt, and the time since the last "
        "completion while one is due.",
        Query(worst(river("river_completer_inflight_seconds")), "statement"),
        Query(worst(river("river_completer_attempt_seconds")), "current attempt"),
        Query(worst(river("river_completer_silence_seconds")), "since last completion"),
        Query(timeout(), "timeout"),
        unit=style.SECONDS,
        colours={
            "statement": style.SERIES[0],
            "current attempt": style.SERIES[4],
            "since last completion": style.SERIES[3],
        },
    )


def _timeouts() -> model.Panel:
    stalls, refused = river("river_completer_slow_attempts_total"), river("river_completer_refused_total")
    return plot(
        "Failed and slow attempts",
        "Attempts that reached the timeout, by dominant cause; refused: completing statements that ended without "
        "completing a row; slow: far above the critical threshold, or above it right after another one.",
        Query(total(f"increase({stalls}[$__rate_interval])"), "slow"),
        Query(total(f"increase({refused}[$__rate_interval])"), "refused"),
        Query(total(f"increase({TIMEOUTS}[$__rate_interval])", "cause"), "{{cause}}"),
        unit=style.COUNT,
        colours={"slow": style.QUIET, "refused": style.DOMINANT["refused"], **style.CAUSES},
        bars=True,
        reach=1,
    )


def _left_behind() -> model.Panel:
    return plot(
        "Backlog and orphaned jobs",
        "Backlog: finished jobs that wait for the completer (a lower bound, where the number of workers is known). "
        "Orphaned: jobs in state running that no worker runs.",
        Query(total(river("river_completer_backlog_jobs")), "backlog"),
        Query(total(river("river_jobs_stuck"), "reason"), "orphaned: {{reason}}"),
        unit=style.COUNT,
        colours={
            "backlog": style.SERIES[0],
            "orphaned: client_gone": style.SERIES[4],
            "orphaned: too_long": style.SERIES[1],
        },
        empty="none is known",
    )


def _sources() -> model.Panel:
    seconds = worst(river("river_completer_budget_seconds"), *OWN, "cause")
    source = worst(river("river_budget_source"), *OWN, "cause", "source")
    return rows(
        "Source of each cause",
        "Seconds of each cause in the slowest attempt of the last 60 s, and the source they were measured at.",
        Query(f"{source} * on ({', '.join(OWN)}, cause) group_left () {seconds}"),
        {"schema": "Schema", "cause": "Cause", "source": "Source", "Value": "Seconds"},
        unit=style.SECONDS,
        empty="no source: open the dashboard River exporter",
    )


def _waiters() -> model.Panel:
    return plot(
        "Sessions waiting for a lock",
        "River's sessions by the operation that waits. The completer's is JobSetStateIfRunningMany.",
        Query(highest(total(WAITERS, "operation"), WAITERS, "operation", OPERATIONS), "{{operation}}"),
        unit=style.COUNT,
        colours=style.OPERATIONS,
        bars=True,
        stack=True,
        empty="none waits",
    )


def _exporters() -> model.Panel:
    return plot(
        "Share of the timeout by exporter",
        "The ten highest exporters: the elected one measures all causes, the others pool and network of their own pod. "
        "One far above the others points at its pod.",
        Query(highest(worst(RATIO, "instance"), RATIO, "instance"), "{{instance}}"),
        *lines(seconds=False),
        unit=style.RATIO,
    )


def _slo() -> model.Panel:
    late = "namespace_schema:river_completions_late:ratio_rate"
    return plot(
        "Completions later than 1 s",
        "Share of the committed completions, over three windows of the burn-rate alerts. The objective is 0.1 %.",
        *(Query(worst(incident(f"{late}{window}")), window) for window in ("5m", "1h", "6h")),
        unit=style.RATIO,
        reach=0.002,
        empty=style.NOT_RECORDED,
    )


def _stuck() -> model.Panel:
    return gauges(
        "Time to rescue of orphaned jobs",
        "Time until River's rescuer takes the first orphaned job, which then runs again.",
        Query(worst(river("river_jobs_stuck_rescue_seconds"), "schema"), "{{schema}}", "instant"),
        style.SECONDS,
        empty="no job is orphaned",
    )


def _elector() -> model.Panel:
    return plot(
        "Lease of River's leader",
        "Time until the lease expires. The elector's limit is 5 s, so it fails before the completer does: a lease that "
        "runs out is an early warning.",
        Query(f"min by (schema) ({river('river_leader_lease_seconds')})", "{{schema}}"),
        unit=style.SECONDS,
        reach=0.1,
    )


def _skew() -> model.Panel:
    return plot(
        "Clock skew",
        "How far the workers' clocks run ahead of the database's. The lag is measured between the two.",
        Query(worst(river("river_clock_skew_seconds"), "schema"), "{{schema}}"),
        unit=style.SECONDS,
        reach=0.1,
    )
