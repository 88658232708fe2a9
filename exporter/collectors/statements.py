"""Statements: pg_stat_statements by River's operations, accumulated from each entry's own differences.

Facts (PostgreSQL manual, "pg_stat_statements"): entries are evicted and reset, so a sum over them can fall; version 1.8
of the extension, not of the server, lacks `toplevel` and `pg_stat_statements_info`, and 1.3 to 1.7 have one time for
planning and execution; pg_upgrade keeps the old version. A cancelled statement never enters. Reading texts converts
those of all databases to this one's encoding, so one that cannot be converted fails the read of every text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.budget.evidence import Calls, Evidence
from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Context
from exporter.metrics.cumulative import CumulativeCounters, Differences
from exporter.metrics.metric import Counter, Sample, counter
from exporter.postgres.sessions import MARK, Session
from exporter.river.operations import OTHER, Statement, classify

CALLS = counter("river_statement_calls_total", "Finished executions, by River's operation", "schema", "operation")
SECONDS = counter(
    "river_statement_seconds_total",
    "Seconds in finished executions; canceled ones are not counted by pg_stat_statements",
    "schema",
    "operation",
)
ROWS = counter("river_statement_rows_total", "Rows returned or changed by finished executions", "schema", "operation")
BLOCKS = counter(
    "river_statement_blocks_total", "Shared blocks of finished executions, by source", "schema", "operation", "source"
)
FOLDED = counter("river_statements_folded_total", "Statements aggregated into `other_river` or `other`", "operation")
DEALLOCATED = counter("river_statements_deallocated_total", "Times pg_stat_statements evicted its least used entries")
SOURCES = ("hit", "read", "dirtied", "written")
_FOLDS = ("other_river", "other")


@dataclass(frozen=True, slots=True)
class _Row:
    userid: int
    queryid: int
    toplevel: bool
    calls: float
    seconds: float
    rows: float
    hit: float
    read: float
    dirtied: float
    written: float


@dataclass(frozen=True, slots=True)
class _Text:
    queryid: int
    query: str


@dataclass(frozen=True, slots=True)
class _Info:
    deallocated: float
    reset: float | None


class StatementsCollector(DatabaseCollector):
    """Reads the numbers every time, and texts only of ids it has not seen; the exporter's own are left out."""

    name = "statements"
    interval = 15.0
    needs = ("pg_monitor", "pg_stat_statements")
    metrics = (CALLS, SECONDS, ROWS, BLOCKS, FOLDED, DEALLOCATED)
    evidence = (Calls,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._differences: Differences[tuple[int, int, bool]] = Differences(newborn=True)
        self._statements: dict[int, Statement | None] = {}
        self._calls, self._seconds, self._rows, self._blocks = map(Counter, (CALLS, SECONDS, ROWS, BLOCKS))
        self._folded = Counter(FOLDED)
        for operation in _FOLDS:
            self._folded.add(0, operation)
        self._deallocated = CumulativeCounters(DEALLOCATED)
        self._rose: dict[str, dict[str, float]] = {}
        self._wrapped: dict[str, bool] = {}

    def read(self, session: Session) -> Iterator[Sample | Evidence]:
        """Add what each entry rose by to its operation."""
        target = self.context.target
        parameters = {"database": target.database}
        source = self.identity(session)
        rows = session.rows(_Row, _query(target.statements_version), parameters, schema=target.statements_schema)
        self._recognise(session, {row.queryid for row in rows})
        reset = None
        if target.statements_version >= (1, 9):
            with self.optional("pg_stat_statements_info"):
                (info,) = session.rows(_Info, "statements_info", schema=target.statements_schema)
                reset = info.reset
                self._deallocated.take((source, reset), {(DEALLOCATED, ()): info.deallocated})
                yield from self._deallocated.samples()
        reading = {(row.userid, row.queryid, row.toplevel): self._numbers(row) for row in rows}
        rises = self._differences.take(source, reading, reset)
        for (_, queryid, _), rise in rises.items():
            # without its text an entry is not counted at all: as `other` it would hide what River does
            if (statement := self._statements.get(queryid)) is not None:
                self._add(statement, rise)
        for each in (self._calls, self._seconds, self._rows, self._blocks, self._folded):
            yield from each.samples()
        now = self.context.clock()
        for schema in target.schemas:
            yield Calls(schema, now, dict(self._rose.get(schema, {})), self._wrapped.get(schema))

    def _recognise(self, session: Session, ids: set[int]) -> None:
        unseen = sorted(ids - self._statements.keys())
        self._statements = {each: known for each, known in self._statements.items() if each in ids}
        if not unseen:
            return
        target = self.context.target
        parameters = {"database": target.database, "ids": unseen}
        for row in self._texts(session, parameters):
            own = MARK in row.query
            statement = self._statements[row.queryid] = None if own else classify(row.query)
            if statement and statement.in_transaction is not None and (schema := statement.schema or target.default):
                self._wrapped[schema] = statement.in_transaction
            if statement and statement.operation in _FOLDS:
                self._folded.add(1, statement.operation)

    def _texts(self, session: Session, parameters: Mapping[str, object]) -> list[_Text]:
        """The texts of the ids; where one entry makes the whole read fail, those that sessions show."""
        with self.optional("pg_stat_statements_texts"):
            return session.rows(_Text, "statements_texts", parameters, schema=self.context.target.statements_schema)
        return session.rows(_Text, "statements_shown", {"ids": parameters["ids"]})

    def _add(self, statement: Statement, rise: tuple[float, ...]) -> None:
        operation = statement.operation
        schema = "" if operation == OTHER.operation else statement.schema or self.context.target.default or ""
        calls, seconds, rows, *blocks = rise
        self._calls.add(calls, schema, operation)
        if calls and schema in self.context.target.schemas:
            self._rose.setdefault(schema, {})[operation] = self.context.clock()
        self._seconds.add(seconds, schema, operation)
        self._rows.add(rows, schema, operation)
        for source, count in zip(SOURCES, blocks, strict=True):
            self._blocks.add(count, schema, operation, source)

    @staticmethod
    def _numbers(row: _Row) -> tuple[float, ...]:
        return (row.calls, row.seconds, row.rows, row.hit, row.read, row.dirtied, row.written)


def statements_read(context: Context) -> bool:
    """Whether the calls of statements are read, and their texts: maintenance shows at work by nothing else."""
    age = context.snapshot.age(StatementsCollector.name)
    settings = context.config.collector(StatementsCollector.name)
    recent = 2 * float(settings.interval or StatementsCollector.interval)
    return age is not None and age <= recent and not context.refusals.missing("pg_stat_statements_texts")


def _query(version: tuple[int, ...]) -> str:
    """The query for a version of the extension."""
    return "statements" if version >= (1, 9) else "statements_18" if version >= (1, 8) else "statements_13"
