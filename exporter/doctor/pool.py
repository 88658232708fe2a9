"""River's pool: what is free, who waits, and whether it is large enough for its workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.doctor.context import DoctorContext
from exporter.doctor.finding import Check, Finding
from exporter.humanize import count, seconds, share
from exporter.metrics.values import Values

FREE = Check(
    "pool-free",
    "Free connections of River's pool (from `river.metrics_urls`) and of PgBouncer's pool for River's user (from "
    "`pgbouncer.url`): none free is a problem, a fifth or less, or acquires that wait, a warning.",
    "with one connection free completions are as fast as ever, with none they stop at once",
)
SIZE = Check(
    "pool-size",
    "Connections of River's pool against the jobs its clients may run at once. No more connections than workers is a "
    "warning, with the numbers to set.",
    "when all jobs use the database at once, none is left for completions",
)
SERVER = Check(
    "server-connections",
    "Connections of the server in use: 80 % is a warning, 95 % a problem.",
    "River cannot open a connection that the server has not",
)
CHECKS = (FREE, SIZE, SERVER)

OWN = 5
"""Connections River itself needs beside its workers: completer, fetching, elector, listener, maintenance."""

SCARCE = 0.3
"""Share of free connections from which RiverPoolNearlyExhausted speaks."""


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
class _Connections:
    used: int
    most: int


def pools(values: Values) -> list[Pool]:
    """The pools that somebody spoke of, and how full they are; the exporter's own connections are none."""
    sources = {labels["source"] for labels, _ in values.all("river_pool_connections")} - {"exporter"}
    if not values.all("river_pool_free_ratio", source="sessions"):
        sources -= {"sessions"}
    return [
        Pool(
            source,
            values.one("river_pool_max_connections", source=source),
            values.one("river_pool_connections", source=source, state="acquired"),
            values.one("river_pool_free_ratio", source=source),
            values.total("river_pool_clients_waiting", source=source),
            values.one("river_pool_longest_wait_seconds", source=source) or 0.0,
            values.total("river_pool_acquires_canceled_total", source=source),
        )
        for source in sorted(sources)
    ]


def examine(doctor: DoctorContext) -> Iterator[Finding]:
    """All checks of this group."""
    found = pools(doctor.values)
    yield from judge_free(found, doctor.config.river.metrics_urls, doctor.failures.get("pgxpool", ""), doctor.warning)
    size = max((pool.most for pool in found if pool.most and pool.source != "pgbouncer"), default=None)
    size = size or doctor.context.river.pool_max_connections()
    workers = doctor.config.river.workers or doctor.values.one("river_workers_max")
    yield judge_size(size, workers, known=doctor.config.river.workers is not None)
    if doctor.session and doctor.context.capable("pg_monitor"):
        (row,) = doctor.session.rows(_Connections, "pool_connections")
        yield judge_connections(row.used, row.most)


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
            "River's own pool is not to be seen from here",
            remedy="expose its statistics and set river.metrics_urls: docs/pool-statistics.md",
        )
    for pool in found:
        used = f"{pool.source}: {pool.acquired or 0:.0f} of {pool.most or 0:.0f} connections in use"
        evidence = [f"longest wait {seconds(pool.longest)}"] if pool.longest else []
        evidence += [f"{count(pool.waiting, 'client')} waiting"] if pool.waiting else []
        evidence += [f"{count(pool.canceled, 'acquire')} given up while doctor looked"] if pool.canceled else []
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


def judge_size(size: float | None, workers: float | None, *, known: bool) -> Finding:
    """Whether the pool is larger than the number of jobs at once.

    Args:
        known: whether the workers are configured; else they are the most that were seen running.
    """
    seen = "" if known else ", by what was seen running (set river.workers to be sure)"
    if not size or not workers:
        missing = "the pool's size" if not size else "the number of workers"
        return SIZE.note(
            f"{missing} is not known",
            remedy="set river.metrics_urls, or pool_max_conns in river.url, and river.workers (the sum of MaxWorkers)",
        )
    if size > workers:
        return SIZE.ok(f"{count(size, 'connection')} for {count(workers, 'worker')}{seen}")
    return SIZE.warning(
        f"{count(size, 'connection')} for {count(workers, 'worker')}{seen}",
        f"River itself needs about {OWN} beside its workers",
        remedy=f"set pool_max_conns to {workers + OWN:.0f} or more, or MaxWorkers to {max(1, size - OWN):.0f} or fewer",
    )


def judge_connections(used: int, most: int) -> Finding:
    """Whether the server has connections left."""
    return SERVER.graded(
        used / most, 0.8, 0.95, f"{used} of {count(most, 'connection')} in use",
        remedy="end idle sessions, put a pooler in front, or raise max_connections",
    )  # fmt: skip
