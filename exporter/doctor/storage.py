"""Storage: whether commits wait for a standby, for checkpoints or for the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.storage import required
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.humanize import count, seconds

STANDBY = Check(
    "synchronous-standby",
    "Whether the standbys that `synchronous_standby_names` requires are connected, and how far they are behind. One "
    "missing is a problem.",
    "every commit waits for them, without end; a completion is one",
)
CHECKPOINTS = Check(
    "checkpoints",
    "Checkpoints that were asked for rather than due, while doctor looked: two or more are a warning; more "
    "of them than timed ones since the statistics' reset a note.",
    "a checkpoint writes and syncs in bursts that commits wait behind",
)
WAITS = Check(
    "storage-waits",
    "The time completing attempts waited for disk, WAL or a standby while doctor looked, graded by the thresholds.",
    "the commit counts against the attempt's timeout",
)


@dataclass(frozen=True, slots=True)
class Replication:
    """Synchronous replication; `behind` is the longest replay lag of a synchronous standby in seconds."""

    names: str
    commit: str
    connected: int
    waiting: int
    behind: float | None


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Counters since the statistics' reset; times in seconds, `max_wal` is `max_wal_size` in MB."""

    timed: float
    requested: float
    writing: float
    syncing: float
    max_wal: float


def checkpoints(doctor: DoctorContext) -> Checkpoints:
    """The server's checkpoints so far."""
    return doctor.needed().rows(Checkpoints, "storage_checkpoints")[0]


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """All checks of this group."""
    before: Checkpoints | None = doctor.before.get(GROUP.title)
    session = doctor.needed()
    yield judge_standby(session.rows(Replication, "storage_replication")[0], doctor.warning)
    yield judge_checkpoints(before, checkpoints(doctor))
    worst = 0.0
    for schema in doctor.schemas:
        verdict = doctor.seen(schema).verdict
        worst = max(worst, verdict.seconds.get("storage", 0.0) if verdict else 0.0)
    yield judge_waits(worst, doctor)


def judge_standby(replication: Replication, warning: float) -> Finding:
    """Whether the standbys that are waited for are there."""
    wanted = required(replication.names)
    if not wanted:
        return STANDBY.ok("no commit waits for a standby")
    waiting = f"{count(replication.waiting, 'session')} waiting for a standby now"
    evidence = [
        f"synchronous_standby_names = '{replication.names}', synchronous_commit = {replication.commit}",
        waiting,
    ]
    if replication.connected < wanted:
        return STANDBY.problem(
            f"synchronous standbys: {wanted} required, {replication.connected} connected",
            *evidence,
            remedy="start the standby again; or require none, after which commits are on one machine only and a "
            "failover may lose them",
            sql="ALTER SYSTEM SET synchronous_standby_names = '';\nSELECT pg_reload_conf();",
        )
    behind = replication.behind or 0.0
    return STANDBY.graded(
        behind, warning, 3 * warning, f"{count(replication.connected, 'synchronous standby', 'synchronous standbys')}, "
        f"{seconds(behind)} behind", *evidence, remedy="look at the standby's disk and at the network to it",
    )  # fmt: skip


def judge_checkpoints(before: Checkpoints | None, after: Checkpoints) -> Finding:
    """Whether checkpoints come in bursts."""
    asked = after.requested - before.requested if before else 0.0
    evidence = (
        f"since the statistics' reset: {after.timed:,.0f} timed, {after.requested:,.0f} asked for, "
        f"{seconds(after.writing)} writing, {seconds(after.syncing)} syncing"
    )
    remedy = "allow more WAL between checkpoints, which takes as much disk; and see whether a client runs CHECKPOINT"
    sql = f"ALTER SYSTEM SET max_wal_size = '{max(2 * after.max_wal, 4096):.0f}MB';\nSELECT pg_reload_conf();"
    if asked >= 2:
        return CHECKPOINTS.warning(
            f"{asked:,.0f} checkpoints were asked for while doctor looked", evidence, remedy=remedy, sql=sql
        )
    if after.requested > after.timed and after.requested >= 10:
        return CHECKPOINTS.note("more checkpoints are asked for than are due", evidence, remedy=remedy, sql=sql)
    return CHECKPOINTS.ok("checkpoints come when they are due", evidence)


def judge_waits(worst: float, doctor: DoctorContext) -> Finding:
    """How long the worst attempt waited for storage."""
    return WAITS.graded(
        worst, doctor.warning, doctor.critical, f"the worst attempt waited {seconds(worst)} for storage",
        remedy="see synchronous-standby and checkpoints; look at the disk's latency and write load",
    )  # fmt: skip


GROUP = Group("Storage", (STANDBY, CHECKPOINTS, WAITS), examine, before=checkpoints)
