"""River's queues: what waits, what gets done, and whether River's leader keeps house."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.frame import column, line
from dashboards.frame import dashboard as frame
from dashboards.panels import gauges, number, plot, states
from dashboards.queries import (
    Query,
    all_queues,
    highest,
    increase,
    queue,
    rate,
    river,
    top_gauge,
    top_mean,
    total,
    worst,
)

JOBS = "namespace_job_schema_queue_state:river_jobs:max"
OLDEST = "namespace_job_schema_queue:river_queue_oldest_available_seconds:max"
COMPLETED = "namespace_job_schema_queue:river_queue_completed:rate2m"

DISCARDED = river("river_jobs_finished_total", 'state="discarded"')


def dashboard() -> model.Dashboard:
    """River queues."""
    return frame(
        "queues",
        "River queues",
        "Depth, age and throughput of queues, and River's own housekeeping.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(8, (8, _depth()), (8, _age()), (8, _throughput())),
            line(8, (8, _states()), (8, _finished()), (8, _workers())),
            line(
                7,
                (8, column((3, _leader()), (4, _elections()))),
                (8, _late()),
                (8, _paused()),
                title="Leader and maintenance",
            ),
            line(6, (8, _stuck()), (8, _clients()), (8, _migration())),
        ],
        variables=("schema", "queue"),
        window="3h",
    )


def _answers() -> list[model.Panel]:
    return [
        number(
            "Jobs available",
            "Jobs that could be worked at once.",
            Query(total(queue("river_jobs", 'state="available"'), over=("queue", "state")), "available"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            trend=True,
            decimals=0,
        ),
        number(
            "Oldest available job",
            "How long the job at the head of the slowest queue has waited.",
            Query(worst(queue("river_queue_oldest_available_seconds")), "oldest"),
            unit=style.SECONDS,
            empty="none waits",
            trend=True,
        ),
        number(
            "Completed",
            "Jobs that were seen completed, per second.",
            Query(total(rate(queue("river_queue_completed_total")), over=("queue",)), "completed"),
            unit=style.JOBS_PER_SECOND,
            empty=style.NO_DATA,
        ),
        number(
            "Failed for good in this window",
            "Jobs that were discarded after their last attempt.",
            Query(
                f"round({total(increase(DISCARDED), over=('state',))})",
                "discarded",
                "instant",
            ),
            unit=style.COUNT,
            empty="none",
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Queues paused",
            "Somebody paused them and has to resume them.",
            Query(f"count({worst(queue('river_queue_paused_seconds'), 'schema', 'queue')} > 0) or vector(0)", "paused"),
            unit=style.COUNT,
            empty="none",
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Leader",
            "Whether River has a leader in every schema chosen. Without one nobody schedules, retries, rescues "
            "or cleans.",
            Query(f"min({worst(river('river_leader_present'), 'schema')})", "leader"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            words={"1": ("present", "good"), "0": ("MISSING", "critical")},
        ),
    ]


def _depth() -> model.Panel:
    return plot(
        "Jobs available, by queue",
        "The ten deepest queues of this window; the others together.",
        Query(top_gauge(queue(JOBS, 'state="available"'), "queue", over=("state",)), "{{drawn}}"),
        unit=style.COUNT,
        stack=True,
        empty=style.NOT_RECORDED,
    )


def _age() -> model.Panel:
    oldest = queue(OLDEST)
    return plot(
        "Oldest available job, by queue",
        "How long the job at the head has waited, in the ten slowest queues of this window.",
        Query(highest(worst(oldest, "queue"), oldest, "queue"), "{{queue}}"),
        unit=style.SECONDS,
        empty=f"no job waited, or {style.NO_RULES}",
    )


def _throughput() -> model.Panel:
    return plot(
        "Completed, by queue",
        "The ten busiest queues of this window; the others together.",
        Query(top_mean(queue(COMPLETED), "queue"), "{{drawn}}"),
        unit=style.JOBS_PER_SECOND,
        stack=True,
        empty=style.NOT_RECORDED,
    )


def _states() -> model.Panel:
    panel = plot(
        "Jobs by state",
        "States that a job can leave; finished jobs are not counted here, which would cost as much as there are (on a "
        "logarithmic scale).",
        Query(all_queues(queue(JOBS), "state"), "{{state}}"),
        unit=style.COUNT,
        empty=style.NOT_RECORDED,
        colours=style.JOB_STATES,
        logarithmic=True,
    )
    panel.max_data_points = 48  # every queue has every state: five times as many series as the panels beside it
    return panel


def _finished() -> model.Panel:
    return plot(
        "Finished",
        "Jobs that ended, by how.",
        Query(total(rate(river("river_jobs_finished_total")), "state"), "{{state}}"),
        unit=style.JOBS_PER_SECOND,
        colours=style.JOB_STATES,
    )


def _workers() -> model.Panel:
    return plot(
        "Workers",
        "Jobs marked running at once (highest of the window; those that wait for the completer are among them) and the "
        "workers there may be (on a logarithmic scale).",
        Query(total(river("river_workers_running")), "running"),
        Query(total(river("river_workers_max")), "max"),
        unit=style.COUNT,
        colours={"running": style.SERIES[0], "max": style.CRITICAL},
        logarithmic=True,
    )


def _leader() -> model.Panel:
    return states(
        "Leader over time",
        "Whether each schema has a leader whose lease has not expired.",
        Query(worst(river("river_leader_present"), "schema"), "{{schema}}"),
        words={"1": ("present", "good"), "0": ("missing", "critical")},
    )


def _elections() -> model.Panel:
    changes = total(f"increase({river('river_leader_changes_total')}[$__rate_interval])", "schema")
    return plot(
        "Elections",
        "New leaders. One at each deploy is normal; many are a leader that can't renew its lease.",
        Query(changes, "{{schema}}"),
        unit=style.COUNT,
        reach=1,
        bars=True,
        legend=False,
    )


def _late() -> model.Panel:
    return plot(
        "Maintenance late by",
        "How long each of the leader's services is overdue; 0 while it is on time.",
        Query(worst(river("river_maintenance_late_seconds"), "service"), "{{service}}"),
        unit=style.SECONDS,
        reach=10,
    )


def _paused() -> model.Panel:
    paused = f"{worst(queue('river_queue_paused_seconds'), 'schema', 'queue')} > 0"
    return gauges(
        "Paused queues",
        "For how long; the twenty that are paused longest.",
        Query(f"topk({style.SERIES_LIMIT}, {paused})", "{{schema}} {{queue}}", "instant"),
        style.SECONDS,
        steps={0: "good", 3600: "warning"},
        empty="no queue is paused",
    )


def _stuck() -> model.Panel:
    return plot(
        "Stuck jobs",
        "Running, with nobody working on them or for longer than their kind ever takes; the rescuer takes them later.",
        Query(total(river("river_jobs_stuck"), "reason"), "{{reason}}"),
        unit=style.COUNT,
        empty="none",
        reach=1,
        colours={"client_gone": style.SERIES[4], "too_long": style.SERIES[1]},
    )


def _clients() -> model.Panel:
    return plot(
        "Clients and folded queues",
        "River clients that are alive, where River records them, else those with a running job; and queues beyond the "
        "exporter's cap, which are counted as other.",
        Query(total(river("river_clients")), "clients"),
        Query(total(river("river_queues_folded")), "queues folded into other"),
        unit=style.COUNT,
    )


def _migration() -> model.Panel:
    return gauges(
        "Migration",
        "The version of River's schema.",
        Query(worst(river("river_migration_version"), "schema"), "{{schema}}", "instant"),
        style.COUNT,
    )
