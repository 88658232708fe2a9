"""Table: the health of river_job: rows, sizes, scans, vacuum, indexes, distance to wraparound; all from the catalogue.

Facts (PostgreSQL manual): "The Cumulative Statistics System", "Routine Vacuuming"; 2^31 transactions are the limit.
Bloat shows as bytes per live row that grow: the role may not read the pages themselves. A GIN index shows its
pending list only through the extension pgstattuple (manual, "GIN Fast Update Technique"), where that is installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.base import SchemaCollector
from exporter.collectors.context import Context
from exporter.metrics.cumulative import CumulativeCounters
from exporter.metrics.metric import Metric, Sample, counter, gauge
from exporter.postgres.sessions import Session
from exporter.river.facts import INDEXES

ROWS = gauge("river_table_rows", "Rows of river_job by the cumulative statistics", "schema", "kind")
SIZE = gauge("river_table_size_bytes", "Bytes of river_job on disk", "schema", "part")
PER_ROW = gauge("river_table_bytes_per_row", "Bytes of river_job's heap per live row; grows with bloat", "schema")
SCANS = counter("river_table_scans_total", "Scans of river_job", "schema", "type")
READ = counter("river_table_rows_read_total", "Rows read by scans of river_job", "schema", "type")
UPDATES = counter(
    "river_table_updates_total", "Updated rows of river_job; HOT updates touch no index", "schema", "type"
)
OVERDUE = gauge(
    "river_table_vacuum_overdue_ratio", "Dead rows over autovacuum's threshold; a vacuum is due above 1", "schema"
)
VACUUMED = gauge(
    "river_table_last_vacuum_timestamp_seconds",
    "Unix time of the last vacuum or analyze of river_job",
    "schema",
    "type",
)
VACUUMING = gauge("river_table_vacuum_running", "1 while a vacuum of river_job runs", "schema")
WRAPAROUND = gauge("river_table_wraparound_ratio", "Age of river_job's oldest transaction ID over 2^31", "schema")
INDEX_SIZE = gauge("river_index_size_bytes", "Size of an index of river_job", "schema", "index")
INDEX_SCANS = counter("river_index_scans_total", "Scans of an index of river_job", "schema", "index")
INDEX_VALID = gauge("river_index_valid", "1 when River's index exists and is valid", "schema", "index")
INVALID = gauge(
    "river_indexes_invalid", "Invalid indexes of river_job, as left by a failed REINDEX CONCURRENTLY", "schema"
)
PENDING = gauge(
    "river_index_gin_pending_pages",
    "Pages in the pending list of a GIN index of river_job; absent without pgstattuple",
    "schema",
    "index",
)

OTHER = "other"
"""The label of all indexes that are not River's."""


@dataclass(frozen=True, slots=True)
class _Table:
    live: float
    dead: float
    sequential_scans: float
    index_scans: float
    sequential_rows: float
    index_rows: float
    hot_updates: float
    other_updates: float
    vacuumed: float | None
    analyzed: float | None
    overdue: float
    wraparound: float


@dataclass(frozen=True, slots=True)
class _Size:
    heap: float
    indexes: float
    toast: float


@dataclass(frozen=True, slots=True)
class _Index:
    index: str
    valid: bool
    size: float
    scans: float


@dataclass(frozen=True, slots=True)
class _Pending:
    index: str
    pages: float


@dataclass(frozen=True, slots=True)
class _Vacuum:
    running: bool


class TableCollector(SchemaCollector):
    """Reads the catalogue's statistics of river_job."""

    name = "table"
    interval = 30.0
    metrics = (
        ROWS, SIZE, PER_ROW, SCANS, READ, UPDATES, OVERDUE, VACUUMED, VACUUMING, WRAPAROUND,
        INDEX_SIZE, INDEX_SCANS, INDEX_VALID, INVALID, PENDING,
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._counters: dict[str, CumulativeCounters] = {}

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """The table, its size, its indexes."""
        parameters = {"schema": schema}
        tables = session.rows(_Table, "table", parameters)
        if not tables:
            return  # dropped since the target was looked up
        (table,) = tables
        indexes = session.rows(_Index, "table_indexes", parameters)
        yield WRAPAROUND.sample(table.wraparound, schema)
        counted = self.context.capable("track_counts")
        if counted:
            yield from self._table(schema, table)
        if self.context.capable("pg_monitor"):
            with self.optional("pg_stat_progress_vacuum", schema):
                (vacuum,) = session.rows(_Vacuum, "table_vacuum", parameters)
                yield VACUUMING.sample(float(vacuum.running), schema)
        with self.part():  # it waits for a lock on the table, unlike the statistics
            (size,) = session.rows(_Size, "table_size", parameters)
            for part in ("heap", "indexes", "toast"):
                yield SIZE.sample(getattr(size, part), schema, part)
            if table.live and counted:
                yield PER_ROW.sample(size.heap / table.live, schema)
        scans = self._scans(schema, indexes)
        yield from self._indexes(schema, indexes)
        if extension := self.context.target.pgstattuple_schema:
            with self.optional("pgstattuple", schema):
                for row in session.rows(_Pending, "table_pending", parameters, schema=extension):
                    if row.index in INDEXES:
                        yield PENDING.sample(row.pages, schema, row.index)
        if not counted:
            return
        counters = self._counters.setdefault(schema, CumulativeCounters(SCANS, READ, UPDATES, INDEX_SCANS))
        counters.take(
            self.identity(session).started,
            {
                (SCANS, (schema, "sequential")): table.sequential_scans,
                (SCANS, (schema, "index")): table.index_scans,
                (READ, (schema, "sequential")): table.sequential_rows,
                (READ, (schema, "index")): table.index_rows,
                (UPDATES, (schema, "hot")): table.hot_updates,
                (UPDATES, (schema, "other")): table.other_updates,
                **scans,
            },
        )
        yield from counters.samples()

    @staticmethod
    def _table(schema: str, table: _Table) -> Iterator[Sample]:
        yield ROWS.sample(table.live, schema, "live")
        yield ROWS.sample(table.dead, schema, "dead")
        yield OVERDUE.sample(table.overdue, schema)
        for kind, at in (("vacuum", table.vacuumed), ("analyze", table.analyzed)):
            if at is not None:
                yield VACUUMED.sample(at, schema, kind)

    @staticmethod
    def _indexes(schema: str, indexes: list[_Index]) -> Iterator[Sample]:
        sizes: dict[str, float] = {}
        for row in indexes:
            label = _label(row.index)
            sizes[label] = sizes.get(label, 0.0) + row.size
        for index, size in sizes.items():
            yield INDEX_SIZE.sample(size, schema, index)
        valid = {row.index for row in indexes if row.valid}
        for index in INDEXES:
            yield INDEX_VALID.sample(float(index in valid), schema, index)
        yield INVALID.sample(sum(not row.valid for row in indexes), schema)

    @staticmethod
    def _scans(schema: str, indexes: list[_Index]) -> dict[tuple[Metric, tuple[str, ...]], float]:
        """Scans of River's own indexes; the others come and go, and their sum would fall."""
        return {(INDEX_SCANS, (schema, row.index)): row.scans for row in indexes if row.index in INDEXES}


def _label(index: str) -> str:
    return index if index in INDEXES else OTHER
