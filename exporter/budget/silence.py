"""Silence: a completion is due and none is committed.

Nothing in the database shows an empty pool, a dead network or a completion that is refused: there is no statement that
lasts. What is missing shows them. Committed rows alone end a silence; what River's sessions do meanwhile does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from exporter.river.facts import ELECT_INTERVAL, RESCUE_AFTER

PATIENCE = 1.25
"""A run may take this much longer than the longest of its kind before its completion counts as due."""

BATCH_SECONDS = 0.5
"""From a job's end to its completion's commit when all is well: the batch interval and a statement."""

SLACK = 2.0
"""A job due this long before the last completion and still running is a long or an orphaned one, and shows nothing."""

HEARD_WITHIN = ELECT_INTERVAL + 0.75
"""A healthy River sends a statement within so many seconds, when its leader renews its term. Fetches come each second
or each minute, as it is configured, and none while every worker has its job: their absence alone proves nothing.
"""

ON_TIME = 3.0
"""Seconds from `finalized_at` to the first sight of its commit within which a completion is on time: River's batch
interval, a statement and the interval of the looks take less than 1.7 s."""

BASELINE_SECONDS = 600.0
"""Seconds for which the quickest completion shows how far the worker's clock is from the database's."""

REFUSALS = 2
"""Completing statements that end without a commit, or transactions rolled back, before completions count as refused:
the first one's commit may be about to show."""

ROLLBACKS = 3.0
"""How many times as often as in a healthy time the database's transactions roll back where completions are refused.
Few of River's sessions still show the statement that was refused when they are looked at: another came after it."""

HEALTHY_SECONDS = 60.0
"""Seconds before the last commit in which rollbacks are counted as usual."""

RESCUED = 300.0
"""Seconds past due after which a job that runs no longer may have been rescued, and not completed."""

LISTED = 200
"""Running jobs that a look returns at most; where there are more, how many is not known."""

MAX_KINDS = 500

GAP_WINDOW = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs.

    Attributes:
        id: of the job.
        kind: of the job.
        age: seconds since it was fetched.
        attempted: when that was, Unix time.
    """

    id: int
    kind: str
    age: float
    attempted: float


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest job of one final state.

    Attributes:
        state: completed, cancelled or discarded.
        finalized: its `finalized_at`, Unix time of a worker's clock.
        age: seconds since then by the database's clock.
        run: seconds from its fetch to its end; None when it never ran.
    """

    state: str
    finalized: float
    age: float
    run: float | None

    def by_completer(self, rescued_after: float) -> bool:
        """Whether the completer wrote it: a job that is cancelled before it ran, or rescued, ends without one."""
        return self.state == "completed" or (self.run is not None and self.run < rescued_after)


@dataclass(frozen=True, slots=True)
class AttemptTotals:
    """What the sessions show of the completer's attempts.

    Attributes:
        oldest: age of the oldest one in flight, in seconds.
        ended: completing statements seen to end, a running total.
        timed_out: attempts that ended at the deadline, a running total.
        slow: monotonic seconds at which an attempt was last seen to be slow.
        oldest_session: start of River's longest-standing session, Unix time; None without any.
        rollbacks: `pg_stat_database.xact_rollback`; None where it is not known.
    """

    oldest: float = 0.0
    ended: int = 0
    timed_out: int = 0
    slow: float = float("-inf")
    oldest_session: float | None = None
    rollbacks: int | None = None


@dataclass(slots=True)
class Silence:
    """What is known of one River's completions. Moments are monotonic seconds unless noted.

    Attributes:
        rescued_after: seconds after its attempt from which River's rescuer may end a job.
        changed: when a newer completion was last seen committed, or of the first look.
        on_time: when one was last seen that was not late.
        age: seconds since the newest completion by the database's clock, as of the last look.
        refused: completing statements that ended and completed nothing although a completion was due, a running total.
    """

    rescued_after: float = RESCUE_AFTER
    latest: float | None = None
    changed: float | None = None
    on_time: float | None = None
    age: float | None = None
    refused: int = 0
    polled: float = float("-inf")
    longest: dict[str, float] = field(default_factory=dict)
    gaps: deque[tuple[float, float]] = field(default_factory=deque)
    overdue: bool = False
    idle: bool = True
    _baseline: deque[tuple[float, float]] = field(default_factory=deque)
    _attempts: AttemptTotals = field(default_factory=AttemptTotals)
    _ended: int = 0
    _refusals: int = 0
    _timed_out: int = 0
    _crowded: float | None = None
    _is_refused: bool = False
    _rollbacks: deque[tuple[float, int]] = field(default_factory=deque)
    _awaited: frozenset[int] | None = None
    _overdue: dict[int, float] = field(default_factory=dict)

    def completed(self, now: float, rows: Sequence[Latest], attempts: AttemptTotals) -> None:
        """Take a look at what is committed."""
        newest = max(
            (row for row in rows if row.by_completer(self.rescued_after)), key=lambda row: row.finalized, default=None
        )
        latest, first = newest.finalized if newest else None, self.changed is None
        self.age, self._attempts = newest.age if newest else None, attempts
        if first:
            self._commit(now, on_time=False)
        elif newest and latest != self.latest:
            self._commit(now, on_time=newest.age - self._offset(now, newest.age) <= ON_TIME)
        self.latest = latest

    def _commit(self, now: float, *, on_time: bool) -> None:
        """A completion was committed since the last look."""
        if self.changed is not None:
            self.gaps.append((now, now - self.changed))
        self.changed = now
        self._ended, self._refusals, self._timed_out = self._attempts.ended, 0, self._attempts.timed_out
        self._crowded, self._is_refused = None, False
        if self._attempts.rollbacks is not None:
            self._rollbacks.append((now, self._attempts.rollbacks))
        while len(self._rollbacks) > 2 and now - self._rollbacks[1][0] > HEALTHY_SECONDS:
            self._rollbacks.popleft()
        if on_time:
            self.on_time = now

    def _offset(self, now: float, age: float) -> float:
        """How far the worker's clock seems behind: the least age that a completion had at first sight."""
        while len(self._baseline) > 1 and now - self._baseline[0][0] > BASELINE_SECONDS:
            self._baseline.popleft()
        offset = min((least for _, least in self._baseline), default=0.0)
        self._baseline = deque(each for each in self._baseline if each[1] < age)
        self._baseline.append((now, age))
        return min(offset, age)

    def poll(self, at: float | None) -> None:
        """Workers got a connection and an answer at `at`: neither pool nor network keeps a completion away since."""
        if at is not None:
            self.polled = max(self.polled, at)

    def gap(self, now: float) -> float:
        """The longest time between two completions of the last `GAP_WINDOW` seconds."""
        while self.gaps and now - self.gaps[0][0] > GAP_WINDOW:
            self.gaps.popleft()
        return max((seconds for _, seconds in self.gaps), default=0.0)

    def ran(self, kind: str, seconds: float) -> None:
        """Take the length of a run that completed; the longest of each kind is remembered."""
        if kind in self.longest or len(self.longest) < MAX_KINDS:
            self.longest[kind] = max(seconds, self.longest.get(kind, 0.0))

    def since(self, now: float) -> float:
        """Seconds since the last completion, or since the first look when there was none."""
        return now - self.changed if self.changed is not None else 0.0

    def seconds(
        self, now: float, running: Iterable[Running], workers: int | None = None, trouble: float | None = None
    ) -> float | None:
        """Seconds that a completion has been due for while none was committed; None when none is due.

        Args:
            running: jobs that run, at most `LISTED` of them.
            workers: how many jobs River runs at once where the configuration or `river_client` has it.
            trouble: when the state left `ok`, monotonic seconds; None while it is `ok`. From then on a job that is due
                suffices, since nothing else shows an outage in which no attempt is made.
        """
        jobs = list(running)
        overdue = {job.id: seconds for job in jobs if (seconds := self._due(job)) > 0}
        self._take_away(now, jobs, overdue)
        self._await(jobs, overdue, trouble=trouble is not None)
        telling = self._telling(jobs, self.since(now))
        crowded = self._is_crowded(now, jobs, workers)
        due = [*self._by_attempts(now, due=bool(telling) or crowded)]
        if telling and now - self.polled > HEARD_WITHIN:
            due.append(now - min(max(telling), now - self.polled))
        if self._crowded is not None:
            due.append(self._crowded)
        if trouble is not None and overdue:
            due.append(trouble)
        return max(0.0, min(now - min(due), self.since(now))) if due else None

    def _due(self, job: Running) -> float:
        """Seconds since the job's completion was due, negative before; a kind never seen to complete is never due."""
        longest = self.longest.get(job.kind)
        return job.age - longest * PATIENCE - BATCH_SECONDS if longest is not None else -1.0

    def _take_away(self, now: float, jobs: Sequence[Running], overdue: dict[int, float]) -> None:
        """A job that was due and runs no longer was completed, be it to be retried, which moves no `finalized_at`."""
        left = self._overdue.keys() - {job.id for job in jobs} if len(jobs) < LISTED else set()
        late = [seconds for number in left if (seconds := self._overdue[number]) < RESCUED]
        if late:
            self._commit(now, on_time=max(late) <= ON_TIME)
        self._overdue, self.overdue = overdue, bool(overdue)

    def _telling(self, jobs: Sequence[Running], since: float) -> list[float]:
        """How long completions have been due, of jobs that a session of now fetched and no earlier commit left out."""
        oldest = self._attempts.oldest_session
        if oldest is None:
            return []
        found = [self._due(job) for job in jobs if job.attempted >= oldest]
        return [seconds for seconds in found if 0 < seconds <= since + SLACK]

    def _is_crowded(self, now: float, jobs: Sequence[Running], workers: int | None) -> bool:
        """Whether more jobs were fetched since the last commit than River runs at once: some of them have ended."""
        since = self.since(now)
        if workers is None or sum(job.age < since for job in jobs) <= workers:
            return False
        self._crowded = now if self._crowded is None else self._crowded
        return True

    def _by_attempts(self, now: float, *, due: bool) -> Iterator[float]:
        """Since when the attempts themselves show that a completion is due."""
        attempts, changed = self._attempts, now - self.since(now)
        if attempts.oldest > 1.0:
            yield now - attempts.oldest
        if attempts.timed_out > self._timed_out:
            yield changed
        if due and attempts.slow < changed:
            self._refuse(now)
        if self._is_refused:
            yield changed

    def _refuse(self, now: float) -> None:
        """A completion is due and no attempt at it lasts: whether attempts end without a commit."""
        ended = self._attempts.ended - self._ended
        if ended >= REFUSALS and ended > self._refusals:
            self.refused += ended - max(self._refusals, REFUSALS - 1)
            self._refusals, self._is_refused = ended, True
        if self._rolled_back(now) and not self._is_refused:
            self.refused += 1
            self._is_refused = True

    def _rolled_back(self, now: float) -> bool:
        """Whether River sends statements, and far more transactions roll back since the last commit than before it."""
        rollbacks = self._attempts.rollbacks
        if rollbacks is None or not self._rollbacks or now - self.polled > HEARD_WITHIN:
            return False
        (first, before), (last, base) = self._rollbacks[0], self._rollbacks[-1]
        # over a minute at least: what a start rolls back within a few seconds is no rate
        usual = (base - before) / max(last - first, HEALTHY_SECONDS)
        return rollbacks - base > REFUSALS + ROLLBACKS * usual * self.since(now)

    def _await(self, jobs: Sequence[Running], overdue: dict[int, float], *, trouble: bool) -> None:
        """While there is trouble: whether a job still runs that ran when it began, or is due, or might be."""
        ids = frozenset(job.id for job in jobs)
        if not trouble:
            self._awaited, self.idle = None, not ids
            return
        unknown = frozenset(job.id for job in jobs if job.kind not in self.longest)
        self._awaited = ids if self._awaited is None else (self._awaited & ids) | overdue.keys() | unknown
        self.idle = len(jobs) < LISTED and not self._awaited

    @property
    def is_refused(self) -> bool:
        """Whether completing statements have ended without a commit since the last one."""
        return self._is_refused
