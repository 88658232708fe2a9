"""River's pool: what is free, who waits, and whether it is large enough for its workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.pools import metrics
from exporter.collectors.river import WORKERS
from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.doctor.group import Group
from exporter.doctor.remedy import rivers_sessions
from exporter.doctor.rules import threshold
from exporter.humanize import count, seconds, share
from exporter.metrics.values import Values

SCARCE = threshold("RiverPoolNearlyExhausted", "free")
"""Share of free connections from which a pool is nearly exhausted."""

NEAR_LIMIT, AT_LIMIT = 0.8, 0.95
"""Shares of the server's connections in use from which it is a warning, and a problem."""

FREE = Check(
    "pool-free",
    "Free connections of River's pool (from `river.metrics_urls`) and of PgBouncer's pool for River's user (from "
    f"`pgbouncer.url`): none free is a problem, {share(SCARCE)} or less, or acquires that wait, a warning.",
    "with one connection free completions are as fast as ever, with none they stop at once",
)
SIZE = Check(
    "pool-size",
    "Connections of River's pool against the jobs its clients may run at once: `river.workers`, or the most that ran "
    "while completions were committed. No more connections than workers is a warning; a larger pool is advised only as "
    "far as the server has connections for it.",
    "when all jobs use the database at once, none is left for completions",
)
SERVER = Check(
    "server-connections",
    f"Connections of the server in use: {share(NEAR_LIMIT)} is a warning, {share(AT_LIMIT)} a problem.",
    "River cannot open a connection that the server has not",
)
OWN = 5
"""Connections River itself needs beside its workers: completer, fetching, elector, listener, maintenance."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One source's view of a pool; None is what it does not say."""

    source: str
    most: float | None
    acquired: float | None
    free_ratio: float | None
    waiting: float
    longest: float
    canceled: float


@dataclass(frozen=True, slots=True)
class Connections:
    """Connections of the server; `limit` is what River's roles may have of them.

    `others` are those in use that are not River's.
    """

    used: int
    most: int
    others: int
    limit: int

    @property
    def room(self) -> int:
        """Connections River can have at once: what is there, less what others use."""
        return max(0, min(self.limit, self.most - self.others))


def pools(values: Values) -> list[Pool]:
    """The pools that a source reports, and how full they are; the exporter's own connections are none."""
    connections, free = metrics.CONNECTIONS.name, metrics.FREE.name
    sources = {labels["source"] for labels, _ in values.all(connections)} - {"exporter"}
    if not values.all(free, source="sessions"):
        sources -= {"sessions"}
    return [
        Pool(
            source,
            values.one(metrics.MAX.name, source=source),
            values.one(connections, source=source, state="acquired"),
            values.one(free, source=source),
            values.total(metrics.WAITING.name, source=source),
            values.one(metrics.LONGEST.name, source=source) or 0.0,
            values.total(metrics.CANCELED.name, source=source),
        )
        for source in sorted(sources)
    ]


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """All checks of this group."""
    found = pools(doctor.values)
    yield from judge_free(found, doctor.config.river.metrics_urls, doctor.failures.get("pgxpool", ""), doctor.warning)
    size = max((pool.most for pool in found if pool.most and pool.source != "pgbouncer"), default=None)
    size = size or doctor.context.river.pool_max_connections()
    connections, unseen = None, doctor.missing() or doctor.unseen_sessions()
    if doctor.session and not unseen:
        (connections,) = doctor.session.rows(
            Connections, "pool_connections", {"pids": sorted(rivers_sessions(doctor)), "users": doctor.river_users()}
        )
    yield judge_size(
        size, *_workers(doctor), room=connections.room if connections else None, pooled=doctor.context.behind_pooler()
    )
    if connections:
        yield judge_connections(connections.used, connections.most)
    elif doctor.session and doctor.schemas:
        yield SERVER.not_examined(unseen, remedy="see rights")


def _workers(doctor: DoctorContext) -> tuple[float | None, str]:
    """How many jobs may run at once, and by what that is known; None where only an outage shows how many run."""
    if doctor.config.river.workers is not None:
        return doctor.config.river.workers, "river.workers"
    if not all(doctor.completing(schema) for schema in doctor.schemas):
        return None, "jobs marked running during an outage are no workers"
    return doctor.values.one(WORKERS.name), "the most that were seen running (set river.workers to be sure)"


def judge_free(found: list[Pool], urls: tuple[str, ...], failure: str, warning: float) -> Iterator[Finding]:
    """Whether connections are free."""
    if failure:
        yield FREE.warning(
            "River's pool statistics cannot be read",
            failure,
            remedy="check river.metrics_urls: docs/pool-statistics.md",
        )
    elif not urls and not found:
        yield FREE.note(
            "not examined: River's own pool is not to be seen from here",
            remedy="expose its statistics and set river.metrics_urls: docs/pool-statistics.md",
        )
    for pool in found:
        used = f"{pool.source}: {_in_use(pool)}"
        evidence = [f"longest wait {seconds(pool.longest)}"] if pool.longest else []
        evidence += [f"{count(pool.waiting, 'client')} waiting"] if pool.waiting else []
        evidence += [f"{count(pool.canceled, 'canceled acquire')} while doctor looked"] if pool.canceled else []
        remedy = (
            "find what holds the connections: jobs that keep one for their run, rows or transactions never closed, "
            "or a pool that is too small (pool-size)"
        )
        if pool.free_ratio == 0 and (pool.waiting or pool.longest >= warning or pool.canceled):
            yield FREE.problem(f"{used}: none is free, and acquires wait", *evidence, remedy=remedy)
        elif pool.free_ratio is not None and pool.free_ratio <= SCARCE:
            yield FREE.warning(f"{used}: {share(pool.free_ratio)} free", *evidence, remedy=remedy)
        elif pool.waiting or pool.longest >= warning or pool.canceled:
            yield FREE.warning(f"{used}, and yet acquires wait", *evidence, remedy=remedy)
        else:
            yield FREE.ok(used, *evidence)


def _in_use(pool: Pool) -> str:
    if not pool.most:
        return f"{count(pool.acquired or 0, 'connection')} in use, without a limit"
    return f"{pool.acquired or 0:.0f} of {pool.most:.0f} connections in use"


def judge_size(
    size: float | None, workers: float | None, source: str, *, room: float | None, pooled: bool = False
) -> Finding:
    """Whether the pool is larger than the number of jobs at once.

    Args:
        source: by what the number of workers is known, or why it is not.
        room: connections that the server has for River; None where that could not be seen.
        pooled: whether a pooler stands between, whose clients are no connections of the server's.
    """
    if not size:
        return SIZE.not_examined(
            "the pool's size is not known", remedy="set river.metrics_urls, or pool_max_conns in river.url"
        )
    if not workers:
        return SIZE.not_examined(
            f"the number of workers is not known: {source}",
            remedy="set river.workers, the sum of MaxWorkers over all clients",
        )
    text = f"{count(size, 'connection')} for {count(workers, 'worker')}, by {source}"
    if size > workers:
        return SIZE.ok(text)
    enough = workers + OWN
    fewer = f"set MaxWorkers to {size - OWN:.0f} or fewer" if size > OWN else ""
    larger = f"set pool_max_conns to {enough:.0f} or more" if pooled or (room is not None and enough <= room) else ""
    evidence = [f"River itself needs about {OWN} beside its workers"]
    if room is not None and not pooled:
        evidence.append(f"the server has {count(room, 'connection')} for River: the rest is reserved, or others use it")
    remedy = ", or ".join(each for each in (larger, fewer) if each)
    return SIZE.warning(
        text, *evidence,
        remedy=remedy or "raise max_connections or put a pooler in front, then give the pool more connections",
    )  # fmt: skip


def judge_connections(used: int, most: int) -> Finding:
    """Whether the server has connections left."""
    return SERVER.graded(
        used / most, NEAR_LIMIT, AT_LIMIT, f"{used} of {count(most, 'connection')} in use",
        remedy="end idle sessions, put a pooler in front, or raise max_connections",
    )  # fmt: skip


GROUP = Group("Pools and connections", (FREE, SIZE, SERVER), examine, needs="nothing")
