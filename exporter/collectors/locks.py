"""Locks: which of River's sessions wait for one, for how long, and what kind of session is at the root of the queue.

pg_locks is read only while a session of River's waits.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.budget.evidence import Blocking, Evidence, Locks
from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Context
from exporter.collectors.schema_state import WAIT, WAITERS, SchemaState
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session
from exporter.river.operations import classify, without_comments

log = logging.getLogger("exporter.locks")

WAITING = gauge("river_lock_waiting_sessions", "River's sessions that wait for a lock now", "schema")
BLOCKERS = ("idle_in_transaction", "active", "river", "ddl", "autovacuum", "prepared_transaction", "other")

MOST = 20
"""Waiting sessions looked at in one sample: those behind the same lock have the same root."""

_DDL = re.compile(
    r"\s*(alter|create|drop|truncate|lock|reindex|cluster|refresh|comment|vacuum\s*(\(.*full|full))\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Row:
    waiter: int
    blocker: int
    depth: int
    lock: str
    seconds: float
    backend_type: str
    started: float
    application: str
    state: str
    since: float
    query: str


class LocksCollector(DatabaseCollector):
    """Looks behind the waits that the sessions' sample showed."""

    name = "locks"
    interval = 1.0
    lane = "sampler"
    needs = ("pg_monitor", "track_activities", "track_activity_query_size")
    metrics = (WAITING, WAITERS, WAIT)
    evidence = (Locks,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._told: set[tuple[int, int]] = set()

    def pace(self) -> float:
        """As often as sessions are sampled."""
        return self.context.sample_pace(self.name)

    def read(self, session: Session) -> Iterator[Sample | Evidence]:
        """Read the lock queues if a session waits."""
        now, found = self.context.clock(), list[Blocking]()
        for schema in self.context.led():
            state = self.context.schema_state(schema)
            sessions = state.sessions
            waiting = dict(sessions.waiting) if sessions else {}
            blocking: tuple[Blocking, ...] = ()
            if waiting:
                with self.optional("pg_locks"):
                    blocking = tuple(self._look(session, waiting))
            found.extend(blocking)
            self._see(now, state, blocking, waiting)
            yield Locks(schema, now, blocking)
            yield WAITING.sample(len(waiting), schema)
        self._tell(found)

    def _look(self, session: Session, waiting: dict[int, str]) -> Iterator[Blocking]:
        for row in session.rows(_Row, "locks", {"pids": sorted(waiting)[:MOST]}):
            yield Blocking(
                pid=row.waiter,
                operation=waiting[row.waiter],
                seconds=row.seconds,
                lock=row.lock,
                blocker_pid=row.blocker,
                blocker=kind_of(row.blocker, row.backend_type, row.state, row.query),
                application=row.application,
                state=row.state,
                since_seconds=row.since,
                depth=row.depth,
            )

    @staticmethod
    def _see(now: float, state: SchemaState, blocking: Sequence[Blocking], waiting: dict[int, str]) -> None:
        for operation in set(waiting.values()):
            state.lock_waiters.see(now, sum(each == operation for each in waiting.values()), state.schema, operation)
        for each in blocking:
            state.lock_waits.see(now, each.seconds, state.schema, each.operation, each.blocker)

    def _tell(self, blocking: Sequence[Blocking]) -> None:
        """One line per pair of waiter and blocker, when the wait crosses the warning threshold."""
        config = self.context.config
        limit = config.thresholds.warning * config.river.timeout
        for each in blocking:
            if each.seconds >= limit and (each.pid, each.blocker_pid) not in self._told:
                self._told.add((each.pid, each.blocker_pid))
                log.warning(
                    "River waits for a lock",
                    extra={
                        "operation": each.operation,
                        "pid": each.pid,
                        "wait_seconds": round(each.seconds, 3),
                        "lock": each.lock,
                        "blocker": each.blocker,
                        "blocker_pid": each.blocker_pid,
                        "blocker_application": each.application,
                        "blocker_state": each.state,
                        "blocker_seconds": round(each.since_seconds, 3),
                        "queue": each.depth,
                    },
                )
        self._told &= {(each.pid, each.blocker_pid) for each in blocking}


def kind_of(pid: int, backend_type: str, state: str, query: str) -> str:
    """What kind of session a blocker is, one of BLOCKERS; its state goes before what it last ran."""
    if pid == 0:
        return "prepared_transaction"
    if backend_type == "autovacuum worker":
        return "autovacuum"
    if state.startswith("idle in transaction"):
        return "idle_in_transaction"
    if state != "active":
        return "other"
    if _DDL.match(without_comments(query)):  # frameworks write one before their statements
        return "ddl"
    statement = classify(query)
    return "river" if statement.certain or statement.completes else "active"
