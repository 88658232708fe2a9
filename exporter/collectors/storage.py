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
    started: float
    reset: float | None
    bytes: float
    buffers_full: float | None
    write_seconds: float | None
    sync_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Checkpoints:
    started: float
    reset: float | None
    timed: float
    requested: float
    write_seconds: float
    sync_seconds: float


@dataclass(frozen=True, slots=True)
class _Io:
    started: float
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
        self._wal = CumulativeCounters(WAL, WAL_SECONDS, WAL_FULL)
        self._checkpoints = CumulativeCounters(CHECKPOINTS, CHECKPOINT_SECONDS)
        self._io = CumulativeCounters(IO, IO_SECONDS)

    def read(self, session: Session) -> Iterator[Sample]:
        """All of it; the standbys only where the role may see them."""
        (wal,) = session.rows(_Wal, "storage_wal")
        self._wal.take(
            wal.started,
            {
                (WAL, ()): wal.bytes,
                (WAL_FULL, ()): wal.buffers_full,
                (WAL_SECONDS, ("write",)): wal.write_seconds,
                (WAL_SECONDS, ("sync",)): wal.sync_seconds,
            },
            wal.reset,
        )
        (checkpoints,) = session.rows(_Checkpoints, "storage_checkpoints")
        self._checkpoints.take(
            checkpoints.started,
            {
                (CHECKPOINTS, ("timed",)): checkpoints.timed,
                (CHECKPOINTS, ("requested",)): checkpoints.requested,
                (CHECKPOINT_SECONDS, ("write",)): checkpoints.write_seconds,
                (CHECKPOINT_SECONDS, ("sync",)): checkpoints.sync_seconds,
            },
            checkpoints.reset,
        )
        if io := session.rows(_Io, "storage_io"):
            reading: Reading = {
                (metric, (row.operation,)): value
                for row in io
                for metric, value in ((IO, row.operations), (IO_SECONDS, row.seconds))
            }
            self._io.take(io[0].started, reading, io[0].reset)
        for counters in (self._wal, self._checkpoints, self._io):
            yield from counters.samples()
        if self.context.capable("pg_monitor"):
            yield from self._standbys(session)

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
