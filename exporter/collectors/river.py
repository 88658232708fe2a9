"""River itself: its leader, its clients and how many jobs they may run and do, paused queues, the migration.

Facts (River v0.16 to v0.51): the leader renews its lease of 15 s every 5 s, with a limit of 5 s, so it fails before the
completer does. Open-source River never fills river_client and river_client_queue, and v0.48 drops them: empty says
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.budget.state import CompleterState
from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.collectors.queues import Queues
from exporter.collectors.schema_state import RUNNING
from exporter.metrics.metric import Counter, Sample, counter, gauge
from exporter.metrics.peak import Peak
from exporter.postgres.sessions import Session

LEADER = gauge("river_leader_present", "1 when a River client holds an unexpired lease as leader", "schema")
LEASE = gauge(
    "river_leader_lease_seconds",
    "Seconds until the lease of River's leader expires, negative once it has expired",
    "schema",
)
ELECTED = gauge("river_leader_elected_timestamp_seconds", "Unix time at which River's leader was elected", "schema")
CHANGES = counter("river_leader_changes_total", "Elections of a River leader observed after the first", "schema")
WORKERS = gauge(
    "river_workers_max",
    "Jobs that River's clients may run at once: from River's tables, else configured, else the maximum "
    "observed within an hour",
    "schema",
)
CLIENTS = gauge("river_clients", "River clients alive by River's own tables, else clients with a running job", "schema")
BACKLOG = gauge(
    "river_completer_backlog_jobs",
    "Jobs in state running beyond River's workers, a lower bound of the completer's backlog; absent while"
    " the workers are not known",
    "schema",
)
PAUSED = gauge(
    "river_queue_paused_seconds", "Seconds since the queue was paused, 0 when it is not paused", "schema", "queue"
)
MIGRATION = gauge("river_migration_version", "Newest migration of River's main line", "schema")

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class _Leader:
    leader: str
    elected: float
    lease: float


@dataclass(frozen=True, slots=True)
class _Queue:
    queue: str
    paused: float | None


@dataclass(frozen=True, slots=True)
class _Migration:
    version: int | None


@dataclass(frozen=True, slots=True)
class _Running:
    running: int
    clients: int


@dataclass(frozen=True, slots=True)
class _Clients:
    clients: int | None
    workers: int | None


class _Schema:
    """What is kept of one schema between two readings."""

    def __init__(self) -> None:
        self.leader: tuple[str, float] | None = None
        self.queues = Queues()
        self.hour = Peak(HOUR)


class RiverCollector(SchemaCollector):
    """Reads River's small tables and counts what runs."""

    name = "river"
    interval = 5.0
    metrics = (LEADER, LEASE, ELECTED, CHANGES, WORKERS, RUNNING, CLIENTS, BACKLOG, PAUSED, MIGRATION)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._schemas: dict[str, _Schema] = {}
        self._changes = Counter(CHANGES)

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """Each part that the role may see."""
        kept = self._schemas.get(schema)
        if kept is None:
            kept = self._schemas[schema] = _Schema()
        capable = self.context.capable
        if all(capable(each, schema) for each in columns("attempted_by")):
            with self.part():
                yield from self._workers(session, schema, kept)
        if capable("river_leader", schema):
            with self.part():
                yield from self._leader(session, schema, kept)
        if capable("river_queue", schema):
            with self.part():
                yield from self._queues(session, schema, kept)
        if capable("river_migration", schema):
            with self.part():
                (migration,) = session.rows(_Migration, "river_migration", schema=schema)
                if migration.version is not None:
                    yield MIGRATION.sample(migration.version, schema)

    def _leader(self, session: Session, schema: str, kept: _Schema) -> Iterator[Sample]:
        rows = session.rows(_Leader, "river_leader", schema=schema)
        self._changes.add(0, schema)
        for row in rows:
            term = (row.leader, row.elected)
            if kept.leader not in (None, term):
                self._changes.add(1, schema)
            kept.leader = term
            yield LEASE.sample(row.lease, schema)
            yield ELECTED.sample(row.elected, schema)
        yield LEADER.sample(float(any(row.lease > 0 for row in rows)), schema)
        yield from (sample for sample in self._changes.samples() if sample.labels == (schema,))

    def _queues(self, session: Session, schema: str, kept: _Schema) -> Iterator[Sample]:
        limit = self.context.config.limits.queues
        longest: dict[str, float] = {}
        for row in session.rows(_Queue, "river_queues", schema=schema):
            label = kept.queues.label(row.queue, limit)
            longest[label] = max(longest.get(label, 0.0), row.paused or 0.0)
        for queue, seconds in longest.items():
            yield PAUSED.sample(seconds, schema, queue)

    def _workers(self, session: Session, schema: str, kept: _Schema) -> Iterator[Sample]:
        now = self.context.clock()
        (row,) = session.rows(_Running, "river_running", schema=schema)
        self.context.schema_state(schema).running.see(now, row.running, schema)
        if not self._stalled(schema):
            kept.hour.see(now, row.running)
        clients = None
        if self.context.capable("river_client", schema):
            (clients,) = session.rows(_Clients, "river_clients", schema=schema)
        if alive := (clients and clients.clients) or row.clients:  # without a running job it is unknown
            yield CLIENTS.sample(alive, schema)
        known = (clients and clients.workers) or self.context.config.river.workers
        if known:
            yield BACKLOG.sample(max(0, row.running - known), schema)
        if workers := known or kept.hour.value(now):
            yield WORKERS.sample(workers, schema)

    def _stalled(self, schema: str) -> bool:
        """Whether jobs may be marked running that have ended: such a peak proves nothing about the workers."""
        condition = self.context.schema_state(schema).condition
        return condition is not None and condition.state is not CompleterState.OK
