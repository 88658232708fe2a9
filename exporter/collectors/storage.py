"""Storage: WAL, checkpoints, I/O, and the standbys that commits wait for; of the whole server.

Facts (PostgreSQL manual, "The Cumulative Statistics System"): pg_stat_wal is of 14 and lost its times to pg_stat_io in
18, pg_stat_checkpointer is of 17, pg_stat_io of 16; times are measured only with track_io_timing and
track_wal_io_timing. What a version lacks is absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Context
from exporter.metrics.cumulative import CumulativeCounters, Reading
from exporter.metrics.metric import Sample, counter, gauge
from exporter.postgres.sessions import Session

WAL = counter("river_postgres_wal_bytes_total", "WAL written by the server")
WAL_SECONDS = counter(
    "river_postgres_wal_write_seconds_total", "Time in writing and flushing WAL, with track_wal_io_timing", "phase"
)
WAL_FULL = counter("river_postgres_wal_buffers_full_total", "Times WAL was written because its buffers were full")
CHECKPOINTS = counter("river_postgres_checkpoints_total", "Checkpoints by what began them", "type")
CHECKPOINT_SECONDS = counter("river_postgres_checkpoint_seconds_total", "Time in checkpoints", "phase")
IO = counter("river_postgres_io_operations_total", "I/O on tables and indexes, from PostgreSQL 16 on", "operation")
IO_SECONDS = counter("river_postgres_io_seconds_total", "Time in that I/O, with track_io_timing", "operation")
STANDBYS = gauge(
    "river_postgres_synchronous_standbys",
    "Standbys each commit waits for: how many it needs, and how many stream",
    "state",
)
LAG = gauge("river_standby_lag_seconds", "Longest lag of a synchronous standby; 0 when it has confirmed all", "phase")


@dataclass(frozen=True, slots=True)
class _Wal:
    reset: float | None
    bytes: float
    buffers_full: float | None


@dataclass(frozen=True, slots=True)
class _WalTimes:
    reset: float | None
    write_seconds: float
    sync_seconds: float


@dataclass(frozen=True, slots=True)
class _Checkpoints:
    reset: float | None
    timed: float
    requested: float
    write_seconds: float
    sync_seconds: float


@dataclass(frozen=True, slots=True)
class _Io:
    reset: float | None
    operation: str
    operations: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Standbys:
    names: str
    connected: int
    write: float | None
    flush: float | None
    replay: float | None


class StorageCollector(DatabaseCollector):
    """Reads the server's statistics, each view with a reset of its own."""

    name = "storage"
    interval = 15.0
    metrics = (WAL, WAL_SECONDS, WAL_FULL, CHECKPOINTS, CHECKPOINT_SECONDS, IO, IO_SECONDS, STANDBYS, LAG)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._wal = CumulativeCounters(WAL, WAL_FULL)
        self._wal_times = CumulativeCounters(WAL_SECONDS)
        self._checkpoints = CumulativeCounters(CHECKPOINTS, CHECKPOINT_SECONDS)
        self._io = CumulativeCounters(IO, IO_SECONDS)

    def read(self, session: Session) -> Iterator[Sample]:
        """Each view on its own: some providers refuse some of them; the standbys only where the role may see them."""
        started = self.identity(session).started
        with self.optional("pg_stat_wal"):
            yield from self._wal_samples(session, started)
            if session.version < 180000:
                yield from self._wal_time_samples(session, started)
        with self.optional("pg_stat_checkpointer"):
            yield from self._checkpoint_samples(session, started)
        with self.optional("pg_stat_io"):
            yield from self._io_samples(session, started)
            if session.version >= 180000:
                yield from self._wal_time_samples(session, started)
        if self.context.capable("pg_monitor"):
            with self.optional("pg_stat_replication"):
                yield from self._standbys(session)

    def _wal_samples(self, session: Session, started: float | None) -> Iterator[Sample]:
        (wal,) = session.rows(_Wal, "storage_wal")
        self._wal.take(started, {(WAL, ()): wal.bytes, (WAL_FULL, ()): wal.buffers_full}, wal.reset)
        yield from self._wal.samples()

    def _wal_time_samples(self, session: Session, started: float | None) -> Iterator[Sample]:
        for row in session.rows(_WalTimes, "storage_wal_times"):
            reading: Reading = {
                (WAL_SECONDS, ("write",)): row.write_seconds,
                (WAL_SECONDS, ("sync",)): row.sync_seconds,
            }
            self._wal_times.take(started, reading, row.reset)
            yield from self._wal_times.samples()

    def _checkpoint_samples(self, session: Session, started: float | None) -> Iterator[Sample]:
        (checkpoints,) = session.rows(_Checkpoints, "storage_checkpoints")
        self._checkpoints.take(
            started,
            {
                (CHECKPOINTS, ("timed",)): checkpoints.timed,
                (CHECKPOINTS, ("requested",)): checkpoints.requested,
                (CHECKPOINT_SECONDS, ("write",)): checkpoints.write_seconds,
                (CHECKPOINT_SECONDS, ("sync",)): checkpoints.sync_seconds,
            },
            checkpoints.reset,
        )
        yield from self._checkpoints.samples()

    def _io_samples(self, session: Session, started: float | None) -> Iterator[Sample]:
        if io := session.rows(_Io, "storage_io"):
            reading: Reading = {
                (metric, (row.operation,)): value
                for row in io
                for metric, value in ((IO, row.operations), (IO_SECONDS, row.seconds))
            }
            self._io.take(started, reading, io[0].reset)
            yield from self._io.samples()

    @staticmethod
    def _standbys(session: Session) -> Iterator[Sample]:
        (standbys,) = session.rows(_Standbys, "storage_standbys")
        yield STANDBYS.sample(required(standbys.names), "required")
        yield STANDBYS.sample(standbys.connected, "connected")
        if standbys.connected:
            for phase in ("write", "flush", "replay"):
                yield LAG.sample(getattr(standbys, phase) or 0.0, phase)


def required(names: str) -> int:
    """How many standbys a commit waits for by `synchronous_standby_names`: `a, b`, `FIRST 2 (a, b, c)`, `ANY 1 (*)`."""
    if found := re.match(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", names, re.IGNORECASE):
        return int(found[1])
    return int(bool(names.strip()))
