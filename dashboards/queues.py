"""River's queues: depth, age and throughput, and the maintenance services of River's leader."""

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
        "Depth, age and throughput of queues, and River's maintenance services.",
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
            "Jobs that a worker could start now.",
            Query(total(queue("river_jobs", 'state="available"'), over=("queue", "state")), "available"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            trend=True,
            decimals=0,
        ),
        number(
            "Oldest available job",
            "Time that the oldest available job has waited, in the slowest queue.",
            Query(worst(queue("river_queue_oldest_available_seconds")), "oldest"),
            unit=style.SECONDS,
            empty="none waits",
            trend=True,
        ),
        number(
            "Completed",
            "Jobs that were observed to be completed, per second.",
            Query(total(rate(queue("river_queue_completed_total")), over=("queue",)), "completed"),
            unit=style.JOBS_PER_SECOND,
            empty=style.NO_DATA,
        ),
        number(
            "Discarded in this window",
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
            "A paused queue starts no job until it is resumed.",
            Query(f"count({worst(queue('river_queue_paused_seconds'), 'schema', 'queue')} > 0) or vector(0)", "paused"),
            unit=style.COUNT,
            empty="none",
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Leader",
            "Whether River has a leader in every selected schema. Without one no job is scheduled, retried, rescued or "
            "deleted.",
            Query(f"min({worst(river('river_leader_present'), 'schema')})", "leader"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            words={"1": ("present", "good"), "0": ("MISSING", "critical")},
        ),
    ]


def _depth() -> model.Panel:
    return plot(
        "Jobs available by queue",
        "The ten deepest queues of this window, and the sum of the others.",
        Query(top_gauge(queue(JOBS, 'state="available"'), "queue", over=("state",)), "{{drawn}}"),
        unit=style.COUNT,
        stack=True,
        empty=style.NOT_RECORDED,
    )


def _age() -> model.Panel:
    oldest = queue(OLDEST)
    return plot(
        "Oldest available job by queue",
        "Time that the oldest available job has waited, in the ten slowest queues of this window.",
        Query(highest(worst(oldest, "queue"), oldest, "queue"), "{{queue}}"),
        unit=style.SECONDS,
        empty=f"no job waited, or {style.NO_RULES}",
    )


def _throughput() -> model.Panel:
    return plot(
        "Completed by queue",
        "The ten busiest queues of this window, and the sum of the others.",
        Query(top_mean(queue(COMPLETED), "queue"), "{{drawn}}"),
        unit=style.JOBS_PER_SECOND,
        stack=True,
        empty=style.NOT_RECORDED,
    )


def _states() -> model.Panel:
    panel = plot(
        "Jobs by state",
        "Jobs that are not finished (logarithmic scale). Finished jobs are not counted: the cost would grow with them.",
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
        "Finished jobs",
        "By final state.",
        Query(total(rate(river("river_jobs_finished_total")), "state"), "{{state}}"),
        unit=style.JOBS_PER_SECOND,
        colours=style.JOB_STATES,
    )


def _workers() -> model.Panel:
    return plot(
        "Workers",
        "Jobs in state running at once (highest of the last 60 s; finished jobs that wait for the completer included), "
        "and the limit of workers (logarithmic scale).",
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
        "New leaders. One at each deployment is normal; many mean a leader that cannot renew its lease.",
        Query(changes, "{{schema}}"),
        unit=style.COUNT,
        reach=1,
        bars=True,
        legend=False,
    )


def _late() -> model.Panel:
    return plot(
        "Maintenance delay",
        "Time by which each of the leader's services is overdue; 0 while it is on time.",
        Query(worst(river("river_maintenance_late_seconds"), "service"), "{{service}}"),
        unit=style.SECONDS,
        reach=10,
    )


def _paused() -> model.Panel:
    paused = f"{worst(queue('river_queue_paused_seconds'), 'schema', 'queue')} > 0"
    return gauges(
        "Paused queues",
        "Time since they were paused, the twenty longest.",
        Query(f"topk({style.SERIES_LIMIT}, {paused})", "{{schema}} {{queue}}", "instant"),
        style.SECONDS,
        steps={0: "good", 3600: "warning"},
        empty="no queue is paused",
    )


def _stuck() -> model.Panel:
    return plot(
        "Orphaned running jobs",
        "Jobs in state running whose client is gone, or that run far longer than their kind does. The rescuer takes "
        "them later.",
        Query(total(river("river_jobs_stuck"), "reason"), "{{reason}}"),
        unit=style.COUNT,
        empty="none",
        reach=1,
        colours={"client_gone": style.SERIES[4], "too_long": style.SERIES[1]},
    )


def _clients() -> model.Panel:
    return plot(
        "Clients and aggregated queues",
        "River clients that are alive, where River records them, else those with a running job; and queues beyond the "
        "exporter's limit, which are aggregated into other.",
        Query(total(river("river_clients")), "clients"),
        Query(total(river("river_queues_folded")), "queues aggregated into other"),
        unit=style.COUNT,
    )


def _migration() -> model.Panel:
    return gauges(
        "Migration",
        "Version of River's schema.",
        Query(worst(river("river_migration_version"), "schema"), "{{schema}}", "instant"),
        style.COUNT,
    )
