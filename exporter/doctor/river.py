"""River itself: its version and what that loses, its leader, orphaned running jobs, paused queues, late maintenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.collectors.jobs import JOBS, OLDEST
from exporter.collectors.maintenance import LATE
from exporter.collectors.river import BACKLOG as BACKLOG_JOBS
from exporter.collectors.river import LEADER as LEADER_PRESENT
from exporter.collectors.river import LEASE, MIGRATION
from exporter.collectors.river import PAUSED as PAUSED_SECONDS
from exporter.collectors.stuck import STUCK as STUCK_JOBS
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.rules import threshold
from exporter.humanize import count, seconds
from exporter.metrics.values import Values
from exporter.river.facts import BACKLOG_PRESSURE, LEADER_TTL, MIGRATION_SINCE, REQUEUES_SINCE

AGED = threshold("RiverQueueAgeing", "seconds")
"""Seconds that the oldest job of a queue may wait."""

BACKLOG_JOBS_LIMIT = threshold("RiverCompleterBacklog", "jobs")
"""Finished jobs that may wait for the completer."""

VERSION = Check(
    "river-version",
    "Which version River is at least, by its migrations, and what happens to a batch that River abandons after three "
    "attempts. Perhaps older than 0.40 is a note.",
    "before 0.40 such a batch is lost: its jobs stay running until the rescuer takes them, and run again; from 0.40 it "
    "is put back",
)
LEADER = Check(
    "leader",
    "Whether a River client holds the lease as leader. None while jobs are there is a warning.",
    "the elector's timeout is 5 s, so it fails before the completer: an expired lease is a first sign. Without a "
    "leader nothing is scheduled, rescued or cleaned",
)
STUCK = Check(
    "stuck-jobs",
    "Orphaned running jobs: marked running, while their client is gone or they take far longer than their kind does: a "
    "warning. Not examined while completions are not committed.",
    "their completion was lost, or their worker died; River runs them again after an hour",
)
BACKLOG = Check(
    "completer-backlog",
    "Jobs marked running beyond what the clients may run, where that is known: "
    f"{BACKLOG_JOBS_LIMIT:,.0f} are a warning, {BACKLOG_PRESSURE:,} a problem: there River makes its workers wait.",
    "they are finished, and wait in memory for the completer: they are lost when the process ends",
)
MAINTENANCE = Check(
    "maintenance",
    "Services of River's leader that are overdue: a warning.",
    "without the cleaner the table grows, without the rescuer lost jobs stay lost",
)
PAUSED = Check(
    "paused-queues",
    "Queues that are paused: a note.",
    "a queue that was paused in an incident and forgotten looks like a failed worker",
)
AGE = Check(
    "queue-age",
    "How long the oldest available job of each queue that is not paused has waited: from "
    f"{seconds(AGED)} on a warning.",
    "where completions are late, workers wait too, and queues age; else more jobs arrive than workers take",
)


def examine(doctor: DoctorContext) -> Iterator[tuple[str, Finding]]:
    """All checks of this group, by schema."""
    for schema in doctor.schemas:
        for finding in judge(doctor.values, schema, completing=doctor.completing(schema)):
            yield schema, finding


def judge(values: Values, schema: str, *, completing: bool) -> Iterator[Finding]:
    """What River's small tables and its running jobs say; what could not be read is left out.

    Args:
        completing: whether completions are committed; else jobs that wait for theirs look like orphaned ones.
    """
    if (migration := values.one(MIGRATION.name, schema=schema)) is not None:
        yield judge_version(int(migration))
    busy = values.total(JOBS.name, schema=schema, state="running") + values.total(
        JOBS.name, schema=schema, state="available"
    )
    present = values.one(LEADER_PRESENT.name, schema=schema)
    if present is not None:
        yield judge_leader(present, values.one(LEASE.name, schema=schema), busy)
    if stuck := values.all(STUCK_JOBS.name, schema=schema):
        yield judge_stuck({labels["reason"]: number for labels, number in stuck}, completing=completing)
    backlog = values.one(BACKLOG_JOBS.name, schema=schema)
    if backlog is not None:
        yield BACKLOG.graded(
            backlog,
            BACKLOG_JOBS_LIMIT,
            BACKLOG_PRESSURE,
            f"{count(backlog, 'job')} running beyond what the clients may run",
            remedy="see budget",
        )
    late = {labels["service"]: value for labels, value in values.all(LATE.name, schema=schema)}
    yield from _maintenance(late)
    paused = [
        f"{labels['queue']}: {seconds(value)}"
        for labels, value in values.all(PAUSED_SECONDS.name, schema=schema)
        if value > 0
    ]
    if paused:
        yield PAUSED.note(
            f"{count(len(paused), 'queue')} paused", *paused, remedy="resume them with Client.QueueResume"
        )
    else:
        yield PAUSED.ok("no queue is paused")
    if oldest := values.all(OLDEST.name, schema=schema):
        yield judge_age(values, schema, {labels["queue"]: age for labels, age in oldest})


def judge_version(migration: int) -> Finding:
    """What a migration shows of the version."""
    since = max((version for number, version in MIGRATION_SINCE.items() if migration >= number), default=None)
    if since and since >= REQUEUES_SINCE:
        return VERSION.ok(
            f"River {since[0]}.{since[1]} or later by its migration {migration}: abandoned batches are put back"
        )
    return VERSION.note(
        f"migration {migration}: River is perhaps older than 0.40, where an abandoned batch is lost",
        remedy="upgrade River to 0.40 or later and run its migrations",
    )


def judge_leader(present: float, lease: float | None, busy: float) -> Finding:
    """Whether there is a leader."""
    if present:
        return LEADER.ok(f"there is a leader, its lease lasts another {seconds(lease or 0.0)} of {seconds(LEADER_TTL)}")
    since = f", the last lease ran out {seconds(-lease)} ago" if lease is not None and lease < 0 else ""
    if not busy:
        return LEADER.note(f"River has no leader{since}; nothing runs or waits")
    return LEADER.warning(
        f"River has no leader{since}",
        remedy="is a River client running? If so, see budget: the same fault may hold it up",
    )


def judge_stuck(reasons: dict[str, float], *, completing: bool) -> Finding:
    """Whether running jobs are orphaned; not reported while finished jobs wait for their completion."""
    jobs = sum(reasons.values())
    evidence = [f"{reason.replace('_', ' ')}: {number:,.0f}" for reason, number in reasons.items() if number]
    if not jobs:
        return STUCK.ok("no orphaned running job was seen")
    if not completing:
        return STUCK.not_examined(
            "while completions are not committed, jobs that wait for theirs look like orphaned ones",
            remedy="see budget",
        )
    return STUCK.warning(
        f"{count(jobs, 'job')} marked running without a worker, as far as can be seen", *evidence,
        remedy="River's rescuer takes them after an hour; look into the log of the worker that had them",
    )  # fmt: skip


def judge_age(values: Values, schema: str, oldest: Mapping[str, float]) -> Finding:
    """Whether queues keep up; `oldest` is how long each one's oldest available job has waited, in seconds."""

    def jobs(queue: str, state: str) -> float:
        return values.total(JOBS.name, schema=schema, queue=queue, state=state)

    def paused(queue: str) -> bool:
        return values.total(PAUSED_SECONDS.name, schema=schema, queue=queue) > 0

    aged = sorted((queue for queue, age in oldest.items() if age >= AGED and not paused(queue)), key=oldest.__getitem__)
    if not aged:
        return AGE.ok(f"the oldest available job has waited {seconds(max(oldest.values()))}")
    return AGE.warning(
        f"{count(len(aged), 'queue')} with jobs that have waited for {seconds(AGED)} or longer",
        *(
            f"{queue}: {seconds(oldest[queue])}, {count(jobs(queue, 'available'), 'job')} available, "
            f"{jobs(queue, 'running'):,.0f} running"
            for queue in reversed(aged)
        ),
        remedy="none running: no client works that queue; else more comes than its workers take: see budget first, "
        "then add workers",
    )


def _maintenance(late: dict[str, float]) -> Iterator[Finding]:
    overdue = {service: value for service, value in late.items() if value > 0}
    for service, value in overdue.items():
        yield MAINTENANCE.warning(
            f"the {service} is overdue by {seconds(value)}", remedy="see leader: only the leader does maintenance"
        )
    if late and not overdue:
        yield MAINTENANCE.ok(f"on time: {', '.join(sorted(late))}")


GROUP = Group("River", (VERSION, LEADER, STUCK, BACKLOG, MAINTENANCE, PAUSED, AGE), examine)
