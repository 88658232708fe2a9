"""Stuck jobs: in state running, though their client is gone or their kind never took so long; the rescuer takes them.

Facts (River v0.16 to v0.51): a job whose client died, and up to v0.39 one whose completion was abandoned, stays
`running` until the rescuer finds it, `RescueStuckJobsAfter` after its attempt; it then runs again. The last of
`attempted_by` made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session

STUCK = gauge(
    "river_jobs_stuck",
    "Jobs in state running whose client is gone, or that take far longer than completed jobs of their kind did",
    "schema",
    "reason",
)
RESCUE = gauge(
    "river_jobs_stuck_rescue_seconds",
    "Seconds until River's rescuer may take the first stuck job, negative when overdue; absent without a stuck job and "
    "unless `river.settings` has rescue_after or job_timeout",
    "schema",
)

GONE_AFTER = 60.0
"""Seconds since its attempt after which a job whose client is gone is stuck: a shutdown waits for its jobs."""

LONG_AFTER = 900.0
TIMES_LONGEST = 3.0
"""A job is too long past so many times the longest run of its kind, at least LONG_AFTER seconds; one of a kind that was
never observed to complete is not too long, however old it is."""

KEPT = 500
"""Kinds, and clients, that are remembered."""


@dataclass(frozen=True, slots=True)
class _Running:
    kind: str
    client: str
    ages: Sequence[float]
    taken: float


@dataclass(frozen=True, slots=True)
class _Recent:
    kind: str
    client: str
    longest: float
    taken: float


@dataclass(frozen=True, slots=True)
class _Client:
    client: str


@dataclass(slots=True)
class _Schema:
    """What is known of one schema: the longest runs by kind, and when each client last took a job.

    Times are Unix times of the database; what was touched longest ago is forgotten first.
    """

    longest: dict[str, float] = field(default_factory=dict)
    taken: dict[str, float] = field(default_factory=dict)

    def ran(self, kind: str, seconds: float) -> None:
        """A job of this kind ran so long."""
        self.longest[kind] = max(seconds, self.longest.pop(kind, 0.0))
        if len(self.longest) > KEPT:
            del self.longest[next(iter(self.longest))]

    def took(self, client: str, at: float) -> None:
        """A client took a job then."""
        self.taken[client] = max(at, self.taken.pop(client, at))
        if len(self.taken) > KEPT:
            del self.taken[next(iter(self.taken))]

    def limit(self, kind: str) -> float:
        """From how many seconds on a job of this kind is too long."""
        return max(LONG_AFTER, TIMES_LONGEST * self.longest.get(kind, float("inf")))


class StuckCollector(SchemaCollector):
    """Judges running jobs by those that completed recently and by the clients that are alive."""

    name = "stuck"
    interval = 15.0
    needs = columns("kind", "attempted_at", "finalized_at", "attempted_by")
    metrics = (STUCK, RESCUE)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._schemas: dict[str, _Schema] = {}

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """Count by reason; the oldest is the first to be rescued."""
        kept = self._schemas.setdefault(schema, _Schema())
        running = session.rows(_Running, "stuck", schema=schema)
        for row in session.rows(_Recent, "stuck_recent", schema=schema):
            kept.ran(row.kind, row.longest)
            kept.took(row.client, row.taken)
        for each in running:
            kept.took(each.client, each.taken)
        alive: set[str] = set()
        if self.context.capable("river_client", schema):
            alive = {row.client for row in session.rows(_Client, "stuck_clients", schema=schema)}
        latest = max(kept.taken.values(), default=0.0)
        counts, oldest = {"client_gone": 0, "too_long": 0}, 0.0
        for each in running:
            gone = self._gone(schema, each.client, kept.taken[each.client], alive)
            limit = GONE_AFTER if gone else kept.limit(each.kind)
            stuck = [age for age in each.ages if age > limit]
            idle = kept.taken[each.client] < latest - LONG_AFTER
            counts["client_gone" if gone or idle else "too_long"] += len(stuck)
            oldest = max(oldest, *stuck, 0.0)
        for reason, jobs in counts.items():
            yield STUCK.sample(jobs, schema, reason)
        after = self.context.config.river.settings.rescued_after()
        if oldest and after is not None:
            yield RESCUE.sample(after - oldest, schema)

    def _gone(self, schema: str, client: str, taken: float, alive: set[str]) -> bool:
        """Whether a client is certainly gone: not in River's table, or its last job is older than all River's sessions.

        A client that lives keeps the session it listens on, unless the server restarts. One of several that died shows
        only by taking no more jobs.
        """
        if alive:
            return client not in alive
        sessions, started = self.context.schema_state(schema).sessions, self.context.target.started
        if sessions is None or started is None or taken < started:
            return False
        return sessions.oldest_start is None or taken < sessions.oldest_start
