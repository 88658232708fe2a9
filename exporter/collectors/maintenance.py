"""Maintenance: whether River's leader cleans, rescues, schedules and reindexes on time, by what it leaves behind.

Facts (River v0.16 to v0.51): the leader's services run at fixed intervals, and each begins with a statement of its own,
so their calls in pg_stat_statements show them at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.collectors.statements import StatementsCollector
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session
from exporter.river.facts import MAINTENANCE

LATE = gauge(
    "river_maintenance_late_seconds",
    "How long a maintenance service is overdue, 0 when it is on time; absent until it was seen at work",
    "schema",
    "service",
)

SERVICES = ("cleaner", "rescuer", "scheduler", "reindexer")
"""The services that are told of."""

PATIENCE = 30.0
"""Seconds a service may be behind its interval: the calls are looked up every 15 s."""


@dataclass(frozen=True, slots=True)
class _Due:
    waited: float


@dataclass(frozen=True, slots=True)
class _Indexes:
    indexes: Sequence[int] | None


@dataclass(slots=True)
class _Schema:
    """What is kept of one schema; times are monotonic seconds.

    Attributes:
        at: of the reading before.
        since: since when readings have followed one another.
        indexes: the valid ones at the reading before.
        reindexed: when they were last seen to be others.
    """

    at: float = float("-inf")
    since: float = 0.0
    indexes: Sequence[int] | None = None
    reindexed: float = float("-inf")


class MaintenanceCollector(SchemaCollector):
    """Combines the statements' calls with what the tables show."""

    name = "maintenance"
    interval = 15.0
    metrics = (LATE,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._schemas: dict[str, _Schema] = {}

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """Each service that was seen at work, and the scheduler, whose omissions are seen at once."""
        if all(self.context.capable(each, schema) for each in columns("queue", "priority", "scheduled_at")):
            with self.part():
                (due,) = session.rows(_Due, "maintenance_due", schema=schema)
                yield LATE.sample(_late(due.waited, MAINTENANCE["scheduler"].interval), schema, "scheduler")
        (found,) = session.rows(_Indexes, "maintenance_indexes", {"schema": schema})
        kept = self._schemas.setdefault(schema, _Schema())
        now, seen_at_work = self.context.clock(), self._statements_read()
        if now - kept.at > 3 * self.pace():
            kept.since = now  # what happened meanwhile was another exporter's to see
        elif kept.indexes != found.indexes:
            kept.reindexed = now
        if not seen_at_work:
            kept.since = now  # what is not seen is not late
        kept.at, kept.indexes = now, found.indexes
        if not seen_at_work:
            return
        for name in SERVICES:
            service = MAINTENANCE[name]
            seen = self.context.schema_state(schema).rose(service.operation)
            if name == "reindexer":
                seen = max(seen, kept.reindexed)
            if name != "scheduler" and seen > float("-inf"):
                yield LATE.sample(_late(now - max(seen, kept.since), service.interval), schema, name)

    def _statements_read(self) -> bool:
        """Whether the calls of statements are read, and their texts: services show at work by nothing else."""
        age = self.context.snapshot.age("statements")
        recent = 2 * float(self.context.config.collector("statements").interval or StatementsCollector.interval)
        return age is not None and age <= recent and not self.context.refusals.missing("pg_stat_statements_texts")


def _late(waited: float, interval: float) -> float:
    """Seconds overdue of a service that has been waited for so long."""
    return waited - interval if waited > interval + PATIENCE else 0.0
