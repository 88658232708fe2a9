"""What is known of one River at this moment, as its readers ask for it; collectors publish it as evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.budget import Verdict
from exporter.budget.evidence import Blocking, Board, Calls, Completions, Judgement, Lag, Locks, Sessions
from exporter.budget.history import History
from exporter.budget.state import Condition
from exporter.metrics.metric import gauge
from exporter.metrics.peak import Peak

INFLIGHT = gauge("river_completer_inflight_seconds", "Maximum age of a completing statement in the window", "schema")
WAITERS = gauge(
    "river_lock_waiters",
    "Maximum number of River's sessions that waited for a lock at once in the window",
    "schema",
    "operation",
)
WAIT = gauge(
    "river_lock_wait_seconds",
    "Longest lock wait in the window, by kind of the root blocker",
    "schema",
    "operation",
    "blocker",
)
RUNNING = gauge("river_workers_running", "Maximum number of jobs in state running at once in the window", "schema")


@dataclass(frozen=True, slots=True)
class SchemaState:
    """One River, by its schema. What is not known now is None.

    Attributes:
        inflight, lock_waiters, lock_waits, running: what is held of its metric, by its labels; each has one writer.
        history: the verdicts of the last half an hour; the budget's lane writes it.
    """

    schema: str
    board: Board
    clock: Callable[[], float]
    inflight: Peak
    lock_waiters: Peak
    lock_waits: Peak
    running: Peak
    history: History = field(default_factory=History)

    @property
    def sessions(self) -> Sessions | None:
        """River's sessions as of the last sample."""
        return self.board.latest(Sessions, self.schema, self.clock())

    @property
    def completions(self) -> Completions | None:
        """Whether completions are committed."""
        return self.board.latest(Completions, self.schema, self.clock())

    @property
    def blocking(self) -> tuple[Blocking, ...]:
        """Who waits for a lock, and behind whom; empty also where it is not known."""
        found = self.board.latest(Locks, self.schema, self.clock())
        return found.blocking if found else ()

    @property
    def lag(self) -> Lag | None:
        """The last completions and their lag."""
        return self.board.latest(Lag, self.schema, self.clock())

    @property
    def verdict(self) -> Verdict | None:
        """The budget's verdict."""
        found = self.board.latest(Judgement, self.schema, self.clock())
        return found.verdict if found else None

    @property
    def condition(self) -> Condition | None:
        """The completer's state with its cause."""
        found = self.board.latest(Judgement, self.schema, self.clock())
        return found.condition if found else None

    @property
    def timeouts(self) -> Mapping[str, int]:
        """Attempts in the database seen to end at the deadline, by cause, since the start."""
        found = self.board.last(Sessions, self.schema)
        return found.timeouts if found else {}

    def rose(self, operation: str) -> float:
        """When calls of an operation were last seen to rise, monotonic seconds; minus infinity when never."""
        found = self.board.last(Calls, self.schema)
        return found.rose.get(operation, float("-inf")) if found else float("-inf")

    def clear(self) -> None:
        """Another exporter is the elected leader: what this one saw of the database is held no longer."""
        for peak in (self.inflight, self.lock_waiters, self.lock_waits, self.running):
            peak.clear()
        self.board.forget((Sessions, Completions, Locks, Lag), self.schema)
