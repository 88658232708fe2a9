"""The dashboard to open first: are we losing completions, how long until we do, why, and since when."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.frame import column, line, link
from dashboards.frame import dashboard as frame
from dashboards.panels import gauges, heat, number, plot, rows, states
from dashboards.queries import (
    OWN,
    Query,
    buckets,
    highest,
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
RATIO = river("river_completer_budget_used_ratio")
WAITERS = river("river_lock_waiters")
TIMEOUTS = river("river_completer_timeouts_total")
LOSING = f"{total(f'increase({TIMEOUTS}[1m])', over=('cause',))} > bool 0"

OPERATIONS = 8
"""Operations that are drawn by themselves."""


def dashboard() -> model.Dashboard:
    """River completer."""
    return frame(
        "completer",
        "River completer",
        "How much of the batch completer's ten seconds is used, and by what. Open this one first.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(9, (16, _budget()), (8, column((4, _cause()), (5, _blockers())))),
            line(8, (7, _lag()), (6, _ages()), (5, _timeouts()), (6, _left_behind())),
            line(7, (8, _sources()), (8, _waiters()), (8, _exporters()), title="Evidence"),
            line(7, (8, _stuck()), (8, _elector()), (8, _skew())),
        ],
        variables=("schema",),
        window="1h",
    )


def _answers() -> list[model.Panel]:
    """The six answers at the top."""
    level = f"({USED} > bool {_one(threshold('warning'))}) + ({USED} > bool {_one(threshold('critical'))})"
    losing = number(
        "Losing completions?",
        "Whether attempts end at the deadline (within the last minute), or how near the worst one is: at risk from the "
        "warning threshold on, about to from the critical one. The thresholds are the exporter's configuration.",
        Query(f"clamp_max(({level}) + 3 * ({LOSING}), 3)", "state"),
        unit=style.COUNT,
        empty=style.NO_DATA,
        words={
            "0": ("no", "good"),
            "1": ("at risk", "warning"),
            "2": ("about to", "critical"),
            "3": ("YES", "critical"),
        },
    )
    share = number(
        "Budget used",
        "The share of the timeout that the worst attempt of the last 60 s has used, all causes together. At 100 % "
        "attempts time out.",
        Query(USED, "used"),
        unit=style.RATIO,
        empty=style.NO_DATA,
        trend=True,
        decimals=0,
    )
    growth = f"deriv({RATIO}[2m])"
    left = f"(1 - {RATIO}) / ({growth} > 0.0005)"
    forecast = number(
        "Until the first timeout",
        "When the budget is used up if it keeps growing as in the last two minutes. Says nothing of sudden stalls.",
        Query(f"(clamp_min(min({left}), 0) < 3600) or 0 * ({USED} >= 1)", "left"),
        unit=style.SECONDS,
        empty="not growing",
        steps={0: "critical", 60: "warning", 600: "good"},
        decimals=0,
    )
    cause = number(
        "Leading cause",
        "The cause that has used most, once the warning threshold is passed.",
        Query(worst(river("river_completer_cause"), "cause"), "{{cause}}"),
        unit=style.COUNT,
        empty="none",
        names=True,
        colours=style.CAUSES,
    )
    below = f"time() * ({USED} < bool {_one(threshold('warning'))})"
    since = number(
        "Over the warning line for",
        "How long the budget used has been above the warning threshold without a break, within this window.",
        Query(
            f"clamp_max(time() - max_over_time(({below})[$__range:$__interval]), $__range_s) > 15",
            "since",
        ),
        unit=style.SECONDS,
        empty="not over it",
        steps={0: "warning", 120: "critical"},
    )
    timeouts = number(
        "Timeouts in this window",
        "Attempts of the completer that were seen to end at the deadline.",
        Query(f"round({total(increase(TIMEOUTS), over=('cause',))})", "timeouts"),
        unit=style.COUNT,
        empty=style.NO_DATA,
        steps={0: "good", 1: "critical"},
        decimals=0,
    )
    return [link(panel, "pool", "Pool and connections") for panel in (losing, share, forecast, cause, since, timeouts)]


def _one(expr: str) -> str:
    """A number for comparisons, without labels to match."""
    return f"scalar({expr})"


def _budget() -> model.Panel:
    causes = worst(river("river_completer_budget_seconds"), *OWN, "cause")
    panel = plot(
        "Where the worst attempt's time went",
        "Seconds of the worst attempt of the last 60 s by cause, against the thresholds and the timeout. The highest "
        "part is what to look at.",
        Query(worst(causes, "cause"), "{{cause}}"),
        *lines(seconds=True),
        unit=style.SECONDS,
        colours=style.CAUSES,
        stack=True,
        table_legend=True,
        empty="no attempt of the completer was seen",
    )
    link(panel, "pool", "pool, network: pool and connections")
    return link(panel, "database", "lock, execution, storage: database")


def _cause() -> model.Panel:
    return states(
        "Leading cause over time",
        "Which cause led, while the warning threshold was passed.",
        Query(worst(river("river_completer_cause"), "cause"), "{{cause}}"),
        colours=style.CAUSES,
        empty="below the warning threshold throughout",
    )


def _blockers() -> model.Panel:
    panel = plot(
        "What blocks, by kind",
        "The longest wait of River's statements for a lock, by what stands at the root of the chain of waits.",
        Query(worst(river("river_lock_wait_seconds"), "blocker"), "{{blocker}}"),
        unit=style.SECONDS,
        colours=style.BLOCKERS,
        bars=True,
        empty="nothing of River's waits for a lock",
    )
    return link(panel, "database", "Locks")


def _lag() -> model.Panel:
    return heat(
        "Completion lag",
        "From the end of a job to the commit that says so. Healthy: below 0.5 s. The lag holds the waiting for the "
        "batch "
        "before, so it may pass the timeout without one.",
        Query(buckets(river("river_completer_lag_seconds_bucket")), form="heatmap"),
        unit=style.SECONDS,
        empty="no completion was seen",
    )


def _ages() -> model.Panel:
    return plot(
        "In flight, stalled, silent",
        "The oldest completing statement (its highest in the window), the present stall, and how long no completion "
        "has come although one was due.",
        Query(worst(river("river_completer_inflight_seconds")), "in flight"),
        Query(worst(river("river_completer_attempt_seconds")), "stalled"),
        Query(worst(river("river_completer_silence_seconds")), "silent"),
        Query(timeout(), "timeout"),
        unit=style.SECONDS,
        colours={"in flight": style.SERIES[0], "stalled": style.SERIES[4], "silent": style.SERIES[3]},
    )


def _timeouts() -> model.Panel:
    stalls = river("river_completer_slow_attempts_total")
    return plot(
        "Timeouts and near misses",
        "Attempts that ended at the deadline, by the cause that led, and those that were far over the critical "
        "threshold, in each step of the picture.",
        Query(total(f"increase({stalls}[$__rate_interval])"), "over critical"),
        Query(total(f"increase({TIMEOUTS}[$__rate_interval])", "cause"), "{{cause}}"),
        unit=style.COUNT,
        colours={"over critical": style.QUIET, **style.CAUSES},
        bars=True,
        reach=1,
    )


def _left_behind() -> model.Panel:
    return plot(
        "Left behind",
        "Jobs that finished and wait for the completer (a lower bound; only where the workers are known), and jobs "
        "that "
        "say running with nobody working on them.",
        Query(total(river("river_completer_backlog_jobs")), "backlog"),
        Query(total(river("river_jobs_stuck"), "reason"), "stuck: {{reason}}"),
        unit=style.COUNT,
        colours={
            "backlog": style.SERIES[0],
            "stuck: client_gone": style.SERIES[4],
            "stuck: too_long": style.SERIES[1],
        },
        empty="nothing is known to be left behind",
    )


def _sources() -> model.Panel:
    seconds = worst(river("river_completer_budget_seconds"), *OWN, "cause")
    source = worst(river("river_budget_source"), *OWN, "cause", "source")
    return rows(
        "Where each cause was measured",
        "The seconds of each cause now, and the source that spoke for it.",
        Query(f"{source} * on ({', '.join(OWN)}, cause) group_left () {seconds}"),
        {"schema": "Schema", "cause": "Cause", "source": "Source", "Value": "Seconds"},
        unit=style.SECONDS,
        empty="no source: see the exporter's dashboard",
    )


def _waiters() -> model.Panel:
    return plot(
        "River's sessions that wait for a lock",
        "By the operation that waits. The completer's is JobSetStateIfRunningMany.",
        Query(highest(total(WAITERS, "operation"), WAITERS, "operation", OPERATIONS), "{{operation}}"),
        unit=style.COUNT,
        colours=style.OPERATIONS,
        bars=True,
        stack=True,
        empty="none waits",
    )


def _exporters() -> model.Panel:
    return plot(
        "Budget used, by exporter",
        "What each of the ten highest exporters sees by itself: the elected one all causes, the others their own pod's "
        "pool and network. One far above the others is a pod with a trouble of its own.",
        Query(highest(worst(RATIO, "instance"), RATIO, "instance"), "{{instance}}"),
        *lines(seconds=False),
        unit=style.RATIO,
    )


def _stuck() -> model.Panel:
    return gauges(
        "Until River rescues stuck jobs",
        "When the rescuer takes the first stuck job and it runs again.",
        Query(worst(river("river_jobs_stuck_rescue_seconds"), "schema"), "{{schema}}", "instant"),
        style.SECONDS,
        empty="no job is stuck",
    )


def _elector() -> model.Panel:
    return plot(
        "Lease of River's leader",
        "Time left until it expires. The elector gives up after 5 s and so fails before the completer does: a lease "
        "that "
        "runs out is an early sign.",
        Query(f"min by (schema) ({river('river_leader_lease_seconds')})", "{{schema}}"),
        unit=style.SECONDS,
        reach=0.1,
    )


def _skew() -> model.Panel:
    return plot(
        "Clocks",
        "How far the workers' clocks run ahead of the database's; the lag is measured between the two.",
        Query(worst(river("river_clock_skew_seconds"), "schema"), "{{schema}}"),
        unit=style.SECONDS,
        reach=0.1,
    )
