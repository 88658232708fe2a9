"""Attempts in the database: each transaction of the completer, its time split by what it waited for, sample by sample.

A completing statement that is cancelled never enters pg_stat_statements; only looking at it in flight shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from exporter.budget.causes import cause_of

OLD = 0.5
"""Seconds from which an attempt is looked at more often."""

DROPPED = 1.0
"""Seconds past the deadline after which a statement that still runs is one that its client has abandoned without a
cancel, as River for Rust does: the retry runs beside it."""

_FIRST = 0.0005
_LIKELY_FIRST = 0.02
_MAYBE_FIRST = 1.0
"""How long after its transaction a completing statement may start and still be its first statement, in seconds.

A statement sent alone starts its transaction at its Bind message and itself at Execute: the time between is what it
takes to read its parameters, and on an overloaded server to be given a processor. Up to River v0.22 a BEGIN goes before
it, a round trip earlier, in which a user's own transaction may do something as well. So beyond `_FIRST`, and always
behind a BEGIN, the transaction's locks decide; unless they were looked up, it is the completer's up to `_LIKELY_FIRST`.
"""


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as one sample of pg_stat_activity shows it; ages are the server's, in seconds.

    Attributes:
        backend: pid and backend start, which together never come again.
        transaction: start of the present transaction, Unix time; None outside one.
        statement: `completing` when the statement, present or last, is the one that completes jobs; `control` for
            BEGIN, COMMIT and ROLLBACK; else `other`.
        wrapped: whether this River version's completer sends BEGIN and COMMIT around it; None where unknown.
        statement_age: since the present statement began, or the last one while idle.
        transaction_age: since the present transaction began.
        idle_since: since the state last changed.
        deadline: whether the runtime that sends this statement limits an attempt at all; Java and Ruby do not.
        foreign: whether its transaction's locks show that it is not the completer's; None when they were not looked up.
    """

    backend: tuple[int, float]
    state: str
    wait_event_type: str | None = None
    wait_event: str | None = None
    transaction: float | None = None
    statement: Literal["completing", "control", "other"] = "other"
    wrapped: bool | None = None
    statement_age: float = 0.0
    transaction_age: float = 0.0
    idle_since: float = 0.0
    foreign: bool | None = None
    deadline: bool = True

    @property
    def slow(self) -> bool:
        """Whether its transaction has lasted long enough to be worth a closer look."""
        return self.state == "active" and self.transaction_age > OLD


@dataclass(slots=True)
class Attempt:
    """One transaction of the completer, while it lasts."""

    backend: tuple[int, float]
    transaction: float
    age: float
    seen: float
    wrapped: bool | None
    deadline: bool = True
    timed_out: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    def within(self, timeout: float) -> dict[str, float]:
        """Its time by cause, as far as the attempt lasted: a statement that its client abandoned runs on without it."""
        excess = self.age - timeout if self.deadline else 0.0
        leading = self.leading()
        return {
            cause: max(0.0, seconds - excess) if cause == leading and excess > 0 else seconds
            for cause, seconds in self.seconds.items()
        }

    def leading(self) -> str:
        """The cause it spent most of its time on."""
        return max(self.seconds, key=lambda cause: self.seconds[cause])


@dataclass(frozen=True, slots=True)
class TimedOut:
    """An attempt that ended at the deadline: the cause it spent most of its time on, its last age and its split."""

    cause: str
    seconds: float
    split: Mapping[str, float] = field(default_factory=dict, compare=False)

    def whole(self, timeout: float) -> dict[str, float]:
        """The whole budget by cause: what was not seen any more counts to the cause that led."""
        unseen = max(0.0, timeout - sum(self.split.values()))
        return {**self.split, self.cause: self.split.get(self.cause, 0.0) + unseen}


class Attempts:
    """Follows every attempt of one River in the database.

    Args:
        timeout: the budget of an attempt, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._running: dict[tuple[int, float], Attempt] = {}
        self._others: dict[tuple[int, float], float] = {}
        self._ended: dict[tuple[int, float], Attempt] = {}

    def update(self, now: float, rows: Iterable[SessionRow]) -> list[TimedOut]:
        """Take one sample of all River's sessions, at `now` (monotonic seconds).

        Returns:
            The attempts that ended at the deadline since the last sample.
        """
        present = {row.backend: row for row in rows}
        timed_out, running, ended = [], {}, {}
        for backend, attempt in self._running.items():
            row = present.get(backend)
            if row is not None and row.transaction == attempt.transaction:
                running[backend] = attempt
                continue
            ended[backend] = attempt
            if attempt.deadline and not attempt.timed_out and self._at_deadline(attempt, row, now):
                timed_out.append(TimedOut(attempt.leading(), attempt.age, attempt.seconds))
        self._running, self._ended = running, ended
        for row in present.values():
            self._follow(now, row)
        for attempt in self._running.values():
            if attempt.deadline and not attempt.timed_out and attempt.age >= self.timeout + DROPPED:
                attempt.timed_out = True
                timed_out.append(TimedOut(attempt.leading(), self.timeout, attempt.within(self.timeout)))
        self._others = {backend: start for backend, start in self._others.items() if backend in present}
        return timed_out

    def running(self) -> list[Attempt]:
        """The attempts in flight, as of the last sample."""
        return list(self._running.values())

    def follows(self, backend: tuple[int, float]) -> bool:
        """Whether a session was in an attempt of the completer's, as of the last sample."""
        return backend in self._running

    def finished(self, row: SessionRow) -> dict[str, float]:
        """The time of the completing statement that a session ended since the sample before, by cause.

        What no sample observed was quicker than the samples, and counts as execution.
        """
        seconds = row.statement_age - row.idle_since
        attempt = self._ended.get(row.backend)
        if attempt is None:
            return {"execution": seconds}
        return TimedOut(attempt.leading(), attempt.age, attempt.seconds).whole(max(seconds, attempt.age))

    def oldest(self) -> Attempt | None:
        """The oldest attempt in flight."""
        return max(self._running.values(), key=lambda attempt: attempt.age, default=None)

    def undecided(self, row: SessionRow) -> bool:
        """Whether only the locks of the row's transaction can show if it is the completer's."""
        offset = row.transaction_age - row.statement_age
        doubtful = offset <= _MAYBE_FIRST and (bool(row.wrapped) or offset > _FIRST)
        return row.statement == "completing" and doubtful and self.unknown(row)

    def unknown(self, row: SessionRow) -> bool:
        """Whether nothing has been found out about the row's transaction yet."""
        return row.backend not in self._running and self._others.get(row.backend) != row.transaction

    def is_completers(self, row: SessionRow) -> bool:
        """Whether a completing statement is its transaction's first, so that River's deadline applies to it.

        `JobCompleteTx` runs the same statement inside its user's transaction, where it is not the first.
        """
        if row.transaction is None or self._others.get(row.backend) == row.transaction:
            return False
        offset = row.transaction_age - row.statement_age
        if row.foreign is not None:
            return not row.foreign
        return offset <= _LIKELY_FIRST

    def _follow(self, now: float, row: SessionRow) -> None:
        if row.transaction is None:
            return
        attempt = self._running.get(row.backend)
        if attempt is None:
            if row.statement != "completing" or row.state != "active" or not self.is_completers(row):
                if row.statement != "control":
                    self._others[row.backend] = row.transaction  # whatever it does later, it is not the completer's
                return
            attempt = Attempt(row.backend, row.transaction, 0.0, now, row.wrapped, row.deadline)
            self._running[row.backend] = attempt
        elif row.state.startswith("idle in transaction") and attempt.wrapped is False:
            # sent alone, it would have committed: a user's own transaction goes on
            del self._running[row.backend]
            self._others[row.backend] = row.transaction
            return
        cause = cause_of(row.state, row.wait_event_type, row.wait_event)
        gained = row.transaction_age - attempt.age
        attempt.seconds[cause] = attempt.seconds.get(cause, 0.0) + max(gained, 0.0)
        attempt.age, attempt.seen = row.transaction_age, now

    def _at_deadline(self, attempt: Attempt, row: SessionRow | None, now: float) -> bool:
        """Whether an attempt that ended was cut off by River, as far as can be known.

        River ends the session of an attempt that ran into the deadline. Through a pooler the session stays, and then
        its length shows it: what succeeds is shorter than the timeout.
        """
        if row is None:
            unseen = now - attempt.seen
            return attempt.age <= self.timeout + 1.0 and self.timeout - 0.05 <= attempt.age + unseen and unseen <= 2.0
        if row.transaction is not None or row.statement != "completing":
            return False
        return self.timeout <= row.statement_age - row.idle_since <= self.timeout + 1.0
