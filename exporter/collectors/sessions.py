"""Sessions: what each of River's sessions does, sampled every second, and more often while a completion is slow.

Time between two samples is added to counters, so that what happens between two scrapes is not lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from exporter.budget import Attempts, SessionRow, Wait
from exporter.budget.attempts import OLD
from exporter.budget.evidence import Calls, Cut, Evidence, Sessions, Waiting
from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Context
from exporter.collectors.listening import Listening, Shown
from exporter.collectors.pools import metrics as pool
from exporter.collectors.pools.sessions import Connection, look
from exporter.collectors.schema_state import INFLIGHT
from exporter.metrics.metric import Counter, Sample, counter, gauge
from exporter.postgres.address import APPLICATION
from exporter.postgres.sessions import Session
from exporter.river.operations import Statement, classify
from exporter.river.supported import NO_DEADLINE

SECONDS = counter(
    "river_session_seconds_total",
    "Sampled seconds of River's sessions, by operation, state and wait event type",
    "schema",
    "operation",
    "state",
    "wait_event_type",
)
COUNT = gauge("river_sessions", "River's sessions by state in the last sample", "schema", "state")
LISTENERS = gauge(
    "river_listeners", "River's sessions that LISTEN for new jobs, as of the last sample; 0 without any", "schema"
)
SOURCE = "sessions"
"""Of the pool's metrics: what can be seen of River's pools from the server, all pods together."""
FASTEST = 0.25
"""Seconds between two samples while an attempt is older than half a second."""

_POLLS = {"JobGetAvailable", "LeaderAttemptElect", "LeaderAttemptReelect"}
"""What only workers send, by the same pool as their completer."""

YOUNG = 60.0
"""Seconds in which a connection of River's counts as opened recently: a request waited for it."""

_CONTROL = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"}
_STATES = ("active", "idle", "idle in transaction", "idle in transaction (aborted)")


@dataclass(frozen=True, slots=True)
class _Row:
    pid: int
    started: float
    usename: str
    application: str
    address: str
    state: str
    wait_event_type: str | None
    wait_event: str | None
    transaction: float | None
    statement: float
    transaction_age: float | None
    statement_age: float
    idle_since: float
    query: str
    age: float


@dataclass(frozen=True, slots=True)
class _Locks:
    foreign: bool
    triggers: bool
    updates: bool
    inserts: bool
    notifies: bool

    @property
    def completes(self) -> bool:
        """Whether the transaction does what the completer's does: rows of river_job are updated, and nothing else."""
        return self.updates and not self.others

    @property
    def others(self) -> bool:
        """Whether it did what the completer never does."""
        return self.inserts or self.notifies or (self.foreign and not self.triggers)

    @property
    def tell(self) -> bool:
        """Whether they prove anything: a trigger of river_job's may have touched any table."""
        return self.others or not self.foreign


@dataclass(slots=True)
class _Followed:
    """What the sampler keeps of one River between two samples.

    Attributes:
        seen: the start of the statement that each idle session last showed, by backend.
    """

    attempts: Attempts
    wrapped: bool | None = None
    recognised: bool = False
    seen: dict[tuple[int, float], float] = field(default_factory=dict)
    polled: float | None = None
    ended: int = 0
    timeouts: dict[str, int] = field(default_factory=dict)
    cut: Cut = field(default_factory=Cut)
    slow: float = float("-inf")


class SessionsCollector(DatabaseCollector):
    """Follows River's sessions and the completer's attempts among them."""

    name = "sessions"
    interval = 1.0
    lane = "sampler"
    needs = ("pg_monitor", "track_activities", "track_activity_query_size")
    metrics = (SECONDS, COUNT, LISTENERS, INFLIGHT, pool.CONNECTIONS, pool.MAX, pool.FREE)
    evidence = (Sessions, Waiting)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._seconds = Counter(SECONDS)
        self._sampled: float | None = None
        self._rivers: dict[tuple[int, float], str] = {}
        self._listening = Listening()
        self._listeners: Mapping[str, int] = {}
        self._followed: dict[str, _Followed] = {}
        self._free = pool.MinimumUse()

    def pace(self) -> float:
        """A second, or less while an attempt is slow or a completion is due."""
        # each is read once: the budget's lane may forget it, or it may age, between two readings
        slow = any(
            ((sessions := state.sessions) and sessions.inflight > OLD)
            or ((completions := state.completions) and completions.overdue)
            for state in self.context.schema_states.values()
        )
        base = self.context.sample_pace(self.name)
        return min(base, FASTEST) if slow else base

    def followed(self, schema: str) -> Attempts:
        """The attempts of the River in `schema`."""
        return self._kept(schema).attempts

    def read(self, session: Session) -> Iterator[Sample | Evidence]:
        """Take one sample."""
        rows = session.rows(_Row, "sessions")
        now = self.context.clock()
        elapsed = min(now - self._sampled, 10.0) if self._sampled is not None else 0.0
        by_schema = self._by_schema(rows)
        led = self.context.led()
        for schema in led:
            kept, mine = self._kept(schema), by_schema.get(schema, [])
            yield self._follow(session, schema, kept, mine, now, elapsed)
            self._add(schema, kept, mine, elapsed)
            yield from self._count(schema, mine)
            yield LISTENERS.sample(self._listeners.get(schema, 0), schema)
        for schema in self._followed.keys() - set(led):
            self._followed[schema].attempts = Attempts(float(self.context.config.river.timeout))
        self._sampled = now
        yield from self._seconds.samples()
        yield from self._pool(now, [row for schema in led for row, _ in by_schema.get(schema, [])])

    def _kept(self, schema: str) -> _Followed:
        timeout = float(self.context.config.river.timeout)
        kept = self._followed.get(schema)
        if kept is None:
            kept = self._followed[schema] = _Followed(Attempts(timeout))
        kept.attempts.timeout = timeout
        calls = self.context.board.last(Calls, schema)
        if kept.wrapped is None and calls is not None:
            kept.wrapped = calls.wrapped
        return kept

    def _pool(self, now: float, rows: list[_Row]) -> Iterator[Sample | Evidence]:
        """River's connections as the server has them; how many there may be only where River's own URL has it."""
        busy = [row for row in rows if row.state != "idle"]
        yield pool.CONNECTIONS.sample(len(busy), SOURCE, "acquired")
        yield pool.CONNECTIONS.sample(len(rows) - len(busy), SOURCE, "idle")
        most = self.context.river.pool_max_connections()
        # the sessions of a pooler say nothing of the pools of its clients
        pools = look(map(_connection, rows), most) if most and not self.context.behind_pooler() else None
        if most and pools:
            yield Waiting(SOURCE, now, Wait(SOURCE, 0.0, pools.stalled, now))
            yield pool.MAX.sample(most * pools.processes, SOURCE)
            yield pool.FREE.sample(self._free.observe(now, pools.free_ratio), SOURCE)

    def _by_schema(self, rows: list[_Row]) -> dict[str, list[tuple[_Row, Statement]]]:
        """River's sessions by schema: those seen running a statement of its, and those the configuration names."""
        found: dict[str, list[tuple[_Row, Statement]]] = {}
        rivers = {}
        shown = []
        for row in rows:
            statement, key = classify(row.query), (row.pid, row.started)
            schema = self._rivers.get(key)
            if statement.in_transaction is not None and (known := schema or self.context.target.default):
                self._kept(known).wrapped = statement.in_transaction
            if statement.certain or statement.completes:
                schema = statement.schema or schema or self.context.target.default
            elif schema is None and self._named(row):
                schema = self.context.target.default
            client = (row.address, row.usename, row.application)
            shown.append(Shown(key, client, statement.operation, row.query, row.statement, schema))
            if schema is not None:
                rivers[key] = schema
                found.setdefault(schema, []).append((row, statement))
        self._rivers, self._listeners = rivers, self._listening.update(shown)
        return found

    def _named(self, row: _Row) -> bool:
        patterns = self.context.config.river.sessions
        return row.application != APPLICATION and any(
            pattern is not None and re.search(pattern, text) is not None
            for pattern, text in ((patterns.application_name, row.application), (patterns.user, row.usename))
        )

    def _add(self, schema: str, kept: _Followed, rows: list[tuple[_Row, Statement]], elapsed: float) -> None:
        for row, statement in rows:
            operation = "" if row.state == "idle" else self._operation(kept, row, statement)
            self._seconds.add(elapsed, schema, operation, row.state, row.wait_event_type or "")

    @staticmethod
    def _operation(kept: _Followed, row: _Row, statement: Statement) -> str:
        """What a session in a transaction runs: the completer's statement outside its attempts is JobCompleteTx."""
        if statement.completes and not kept.attempts.follows((row.pid, row.started)):
            return "JobCompleteTx"
        return statement.operation

    def _count(self, schema: str, rows: list[tuple[_Row, Statement]]) -> Iterator[Sample]:
        for state in _STATES:
            yield COUNT.sample(sum(row.state == state for row, _ in rows), schema, state)

    def _follow(
        self,
        session: Session,
        schema: str,
        kept: _Followed,
        rows: list[tuple[_Row, Statement]],
        now: float,
        elapsed: float,
    ) -> Sessions:
        sample = [self._row(session, kept, row, statement) for row, statement in rows]
        for end in kept.attempts.update(now, sample):
            kept.timeouts = {**kept.timeouts, end.cause: kept.timeouts.get(end.cause, 0) + 1}
            kept.cut, kept.slow = Cut(kept.cut.number + 1, end.whole(kept.attempts.timeout)), now
        worst = kept.attempts.oldest()
        age = worst.age if worst else 0.0
        self.context.schema_state(schema).inflight.see(now, age, schema)
        if age > OLD:
            kept.slow = now
        ended = self._ended(kept, rows, now, elapsed)
        splits = [kept.attempts.finished(found) for found in sample if found.backend in ended]
        return Sessions(
            key=schema,
            at=now,
            total=len(rows),
            users=frozenset(row.usename for row, _ in rows),
            oldest_start=min((row.started for row, _ in rows), default=None),
            waiting={
                row.pid: self._operation(kept, row, statement)
                for row, statement in rows
                if row.wait_event_type == "Lock"
            },
            worst=worst.within(kept.attempts.timeout) if worst else {},
            inflight=age,
            finished=max(splits, key=lambda split: sum(split.values()), default={}),
            ended=kept.ended,
            polled=kept.polled,
            trips=4 if kept.wrapped else 2,
            opened=any(row.age < YOUNG for row, _ in rows),
            timeouts=kept.timeouts,
            cut=kept.cut,
            slow=kept.slow,
            stuck=max(
                (
                    row.statement_age
                    for row, statement in rows
                    if row.state == "active" and (statement.certain or statement.completes)
                ),
                default=0.0,
            ),
            recognised=kept.recognised,
        )

    @staticmethod
    def _ended(
        kept: _Followed, rows: list[tuple[_Row, Statement]], now: float, elapsed: float
    ) -> set[tuple[int, float]]:
        """Sessions whose completing statement ended since the sample before.

        A session that was seen idle with the same `query_start` has ended nothing, whatever its `state_change` is:
        sqlx pings an idle connection by a bare Sync, which moves that alone.
        """
        ended, seen = set(), {}
        for row, statement in rows:
            backend = (row.pid, row.started)
            kept.recognised |= statement.completes
            if row.state != "idle":
                continue
            seen[backend] = row.statement
            if kept.seen.get(backend) == row.statement:
                continue
            if statement.operation in _POLLS:
                kept.polled = max(kept.polled or float("-inf"), now - row.idle_since)
            if row.idle_since > elapsed:
                continue
            rolled_back = kept.wrapped and statement.operation == "ROLLBACK"
            if statement.completes or rolled_back:
                kept.ended += 1
            if statement.completes:
                ended.add(backend)
        kept.seen = seen
        return ended

    def _row(self, session: Session, kept: _Followed, row: _Row, statement: Statement) -> SessionRow:
        kind: Literal["completing", "control", "other"] = (
            "completing" if statement.completes else "control" if statement.operation in _CONTROL else "other"
        )
        found = SessionRow(
            backend=(row.pid, row.started),
            state=row.state,
            wait_event_type=row.wait_event_type,
            wait_event=row.wait_event,
            transaction=row.transaction,
            statement=kind,
            wrapped=statement.in_transaction,
            statement_age=row.statement_age,
            transaction_age=row.transaction_age or 0.0,
            idle_since=row.idle_since,
            deadline=statement.runtime not in NO_DEADLINE,
        )
        if kept.wrapped and statement.operation == "COMMIT" and kept.attempts.unknown(found) and found.slow:
            # its statement was too quick to be seen, but what it locked shows whose commit this is
            locks = self._locks(session, row)
            completes = locks is not None and locks.completes
            return replace(found, statement="completing" if completes else "other", wrapped=True, foreign=False)
        if row.state == "active" and kept.attempts.undecided(found):
            locks = self._locks(session, row)
            return replace(found, foreign=locks.others) if locks and locks.tell else found
        return found

    def _locks(self, session: Session, row: _Row) -> _Locks | None:
        """What a session's transaction has locked; None where the server refuses the query."""
        with self.optional("pg_locks"):
            (locks,) = session.rows(
                _Locks, "sessions_locks", {"pid": row.pid, "database": self.context.target.database}
            )
            return locks
        return None


def _connection(row: _Row) -> Connection:
    age = row.statement_age if row.transaction_age is None else row.transaction_age
    return Connection((row.address, row.usename, row.application), None if row.state == "idle" else age)
