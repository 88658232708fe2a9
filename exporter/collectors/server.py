"""Server: connections against their limit, and the database's temporary files and deadlocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Context
from exporter.metrics.cumulative import CumulativeCounters, Reading
from exporter.metrics.metric import Sample, counter, gauge
from exporter.postgres.sessions import Session

CONNECTIONS = gauge("river_postgres_connections", "Connections to all of the server's databases")
MAXIMUM = gauge("river_postgres_max_connections", "max_connections of the server")
TEMP_FILES = counter("river_postgres_temp_files_total", "Temporary files written by queries of the database")
TEMP_BYTES = counter("river_postgres_temp_bytes_total", "Bytes written to temporary files by queries of the database")
DEADLOCKS = counter("river_postgres_deadlocks_total", "Deadlocks in the database")


@dataclass(frozen=True, slots=True)
class _Server:
    reset: float | None
    connections: float
    most: float
    temp_files: float
    temp_bytes: float
    deadlocks: float


class ServerCollector(DatabaseCollector):
    """Reads pg_stat_database."""

    name = "server"
    interval = 15.0
    metrics = (CONNECTIONS, MAXIMUM, TEMP_FILES, TEMP_BYTES, DEADLOCKS)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._counters = CumulativeCounters(TEMP_FILES, TEMP_BYTES, DEADLOCKS)

    def read(self, session: Session) -> Iterator[Sample]:
        """One row."""
        with self.optional("pg_stat_database"):
            yield from self._samples(session)

    def _samples(self, session: Session) -> Iterator[Sample]:
        (row,) = session.rows(_Server, "server")
        yield CONNECTIONS.sample(row.connections)
        yield MAXIMUM.sample(row.most)
        reading: Reading = {
            (TEMP_FILES, ()): row.temp_files,
            (TEMP_BYTES, ()): row.temp_bytes,
            (DEADLOCKS, ()): row.deadlocks,
        }
        self._counters.take(self.identity(session).started, reading, row.reset)
        yield from self._counters.samples()
