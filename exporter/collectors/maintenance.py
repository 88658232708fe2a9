"""Maintenance: whether River's leader cleans, rescues, schedules and reindexes on time, by what it leaves behind.

Facts (River v0.16 to v0.51): the leader's services run at fixed intervals, and each begins with a statement of its own,
so their calls in pg_stat_statements show them at work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isinf

from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.collectors.statements import statements_read
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session
from exporter.river.facts import MAINTENANCE

LATE = gauge(
    "river_maintenance_late_seconds",
    "Seconds a maintenance service is overdue, 0 when it is on time; absent until it was observed at work, for the "
    "reindexer until its interval is configured or two runs were observed",
    "schema",
    "service",
)

PATIENCE = 30.0
"""Seconds a service may be behind its interval: the calls are looked up every 15 s."""


WAITING = ("scheduled", "retryable")
"""The states of jobs that wait for the scheduler."""

PAIRS = 1000
"""Pairs of queue and priority that one run visits, of each state; the next run goes on from there."""

KEPT = 20
"""Pairs found overdue that every run asks again."""

SAME_REINDEX = 3600.0
"""Indexes that change within so many seconds were changed by one run of the reindexer."""


@dataclass(frozen=True, slots=True)
class _Due:
    """The first job of a queue and priority; `waited` is negative before it is due."""

    queue: str
    priority: int
    waited: float
    hops: int


@dataclass(frozen=True, slots=True)
class _Waited:
    waited: float


Pair = tuple[str, int]
"""Queue and priority."""


@dataclass(slots=True)
class _Round:
    """A walk through all pairs of one state, over as many runs as it takes.

    Attributes:
        after: the pair at which the next run goes on; `START` for the beginning.
        overdue: pairs whose first job was overdue when last asked, with its seconds.
    """

    after: Pair
    overdue: dict[Pair, float] = field(default_factory=dict)


START: Pair = ("", -1)
"""Before every pair."""


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
        reindexes: when the last two runs of the reindexer began, as far as seen.
        rounds: the walks through what waits for the scheduler, by state.
    """

    at: float = float("-inf")
    since: float = 0.0
    indexes: Sequence[int] | None = None
    reindexed: float = float("-inf")
    reindexes: deque[float] = field(default_factory=lambda: deque(maxlen=2))
    rounds: dict[str, _Round] = field(default_factory=lambda: {state: _Round(START) for state in WAITING})

    def reindex(self, at: float) -> None:
        """The reindexer was at work then."""
        if at > self.reindexed + SAME_REINDEX:
            self.reindexes.append(at)
        self.reindexed = max(at, self.reindexed)

    def between_reindexes(self) -> float | None:
        """Seconds between the last two runs of the reindexer; None until two were seen."""
        return self.reindexes[1] - self.reindexes[0] if len(self.reindexes) == 2 else None


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
        kept = self._schemas.setdefault(schema, _Schema())
        if all(self.context.capable(each, schema) for each in columns("queue", "priority", "scheduled_at")):
            with self.part():
                waited = max(_due(session, schema, state, each) for state, each in kept.rounds.items())
                yield LATE.sample(_late(waited, MAINTENANCE["scheduler"].interval), schema, "scheduler")
        (found,) = session.rows(_Indexes, "maintenance_indexes", {"schema": schema})
        now, seen_at_work = self.context.clock(), statements_read(self.context)
        if now - kept.at > 3 * self.pace():
            kept.since = now  # what happened meanwhile was another exporter's to see
        elif kept.indexes != found.indexes:
            kept.reindex(now)
        kept.at, kept.indexes = now, found.indexes
        if not seen_at_work:
            kept.since = now  # what is not seen is not late
            return
        rose = self.context.schema_state(schema).rose
        for name in ("cleaner", "rescuer"):
            if (seen := rose(MAINTENANCE[name].operation)) > float("-inf"):
                yield LATE.sample(_late(now - max(seen, kept.since), MAINTENANCE[name].interval), schema, name)
        if (seen := rose(MAINTENANCE["reindexer"].operation)) > kept.since:
            kept.reindex(seen)
        if (interval := self._reindexer_interval(kept)) is not None:
            yield LATE.sample(_late(now - max(kept.reindexed, kept.since), interval), schema, "reindexer")

    def _reindexer_interval(self, kept: _Schema) -> float | None:
        """Seconds between two runs as configured, else as seen, but no less than River's own day; None is unknown."""
        configured = self.context.config.river.settings.reindexer
        if configured is not None:
            return None if isinf(configured) else float(configured)
        between = kept.between_reindexes()
        return None if between is None else max(between, MAINTENANCE["reindexer"].interval)


def _due(session: Session, schema: str, state: str, walk: _Round) -> float:
    """Seconds that the first due job of a state has waited, of all pairs visited so far; the walk goes on by one run.

    A pair found overdue is asked again in each run, so what the scheduler takes is not shown until the walk returns.
    """
    waited = {}
    for queue, priority in sorted(walk.overdue, key=lambda pair: -walk.overdue[pair])[:KEPT]:
        parameters = {"state": state, "queue": queue, "priority": priority}
        for row in session.rows(_Waited, "maintenance_due_again", parameters, schema=schema):
            waited[queue, priority] = row.waited
    parameters = {"state": state, "queue": walk.after[0], "priority": walk.after[1]}
    rows = session.rows(_Due, "maintenance_due", parameters, schema=schema)
    waited |= {(row.queue, row.priority): row.waited for row in rows}
    last = max(rows, key=lambda row: row.hops, default=None)
    walk.after = (last.queue, last.priority) if last and last.hops >= PAIRS else START
    walk.overdue = {pair: seconds for pair, seconds in waited.items() if seconds > 0}
    return max(walk.overdue.values(), default=0.0)


def _late(waited: float, interval: float) -> float:
    """Seconds overdue of a service that has been waited for so long."""
    return waited - interval if waited > interval + PATIENCE else 0.0
