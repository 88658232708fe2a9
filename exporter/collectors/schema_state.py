"""What the samplers last saw of one River, kept between them and the budget.

Each field is replaced whole by the thread that owns it, so a reader sees one sample's truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.budget import Attempts, Budget, Verdict
from exporter.budget.evidence import LagSummary
from exporter.budget.history import History
from exporter.metrics.metric import gauge
from exporter.metrics.peak import Peak
from exporter.river.facts import COMPLETER_ATTEMPTS, COMPLETER_INTERVAL, COMPLETER_SLEEPS

INFLIGHT = gauge(
    "river_completer_inflight_seconds", "Age of the oldest completing statement, highest in the window", "schema"
)
WAITERS = gauge(
    "river_lock_waiters", "River's sessions that waited for a lock, most in the window", "schema", "operation"
)
WAIT = gauge(
    "river_lock_wait_seconds",
    "Longest wait for a lock in the window, by the kind of session at the root of the queue",
    "schema",
    "operation",
    "blocker",
)
RUNNING = gauge("river_workers_running", "Most jobs marked running at once within the window", "schema")


@dataclass(frozen=True, slots=True)
class Sessions:
    """River's sessions as of one sample.

    Attributes:
        at: monotonic seconds of the sample.
        total: how many River has open.
        users: who River logs in as.
        oldest_start: start of the longest-standing one, Unix time; None without any.
        waiting: pids that wait for a lock, with their operation.
        worst: the oldest attempt in flight by cause, in seconds; empty without one.
        inflight: age of that attempt in seconds; 0 without one.
        finished: the longest completing statement that ended since the sample before, by cause, in seconds.
        completed: monotonic seconds at which a completing statement last ended, as far as a session still shows one.
        polled: monotonic seconds at which workers last fetched jobs or renewed their lead; None when not seen.
        trips: round trips of one completion of this River on a connection that is open: pgxpool (pgx 5, `ShouldPing`)
            pings one that was idle for over a second before it lends it; up to River v0.22 BEGIN and COMMIT are two
            more.
        opened: whether River opened connections lately.
    """

    at: float
    total: int = 0
    users: frozenset[str] = frozenset()
    oldest_start: float | None = None
    waiting: Mapping[int, str] = field(default_factory=dict)
    worst: Mapping[str, float] = field(default_factory=dict)
    inflight: float = 0.0
    finished: Mapping[str, float] = field(default_factory=dict)
    completed: float | None = None
    polled: float | None = None
    trips: int = 1
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Completions:
    """Whether completions come.

    Attributes:
        at: monotonic seconds of the sample.
        seconds: since a completion was due and none came; 0 while they come, None when none is due.
        due: whether one stays away: how long it has been depends on when River was last heard.
    """

    at: float
    seconds: float | None
    due: bool = False


@dataclass(frozen=True, slots=True)
class Blocking:
    """One session of River's that waits for a lock, and who is at the root of it."""

    pid: int
    operation: str
    seconds: float
    lock: str
    blocker_pid: int
    blocker: str
    application: str
    state: str
    since_seconds: float
    depth: int


class Stalls:
    """Attempts that a stalled pool has let run into the deadline, one at a time, as one completer makes them.

    What a stall's length alone allows is counted only as far as cancelled acquires bear it out, so it is never above
    what River itself counts.

    Args:
        timeout: of one attempt, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._counted = 0
        self._canceled = 0.0

    def take(self, stalled: float, canceled: float) -> int:
        """Attempts that ended since the last look.

        Args:
            stalled: seconds that the pool has been stalled for now; 0 when it is not.
            canceled: acquires cancelled since the last look.
        """
        if stalled <= 0:
            self._counted, self._canceled = 0, 0.0
            return 0
        self._canceled += canceled
        allowed, ends = 0, 0.0
        for sleep in (0.0, *COMPLETER_SLEEPS):
            ends += sleep * 1.1 + self._timeout
            allowed += stalled >= ends + COMPLETER_INTERVAL
        ended = min(allowed, COMPLETER_ATTEMPTS, int(self._canceled)) - self._counted
        self._counted += max(ended, 0)
        return max(ended, 0)


@dataclass(slots=True)
class SchemaState:
    """One River, by its schema.

    Attributes:
        inflight, lock_waiters, lock_waits, running: what is held of its metric, by its labels.
        timeouts: attempts seen to end at the deadline so far, by cause.
        heard: when the calls of an operation were last seen to rise in pg_stat_statements, monotonic seconds.
        cut: the last attempt that ended at the deadline, by cause, until the budget has taken it.
        wrapped: whether this River's completer sends BEGIN and COMMIT around its statement; None until one was seen.
        gap: the longest time between two completions of late, in seconds.
        verdict: what the budget said last.
        history: what it said within the last half an hour.
    """

    schema: str
    attempts: Attempts
    budget: Budget
    inflight: Peak
    lock_waiters: Peak
    lock_waits: Peak
    running: Peak
    sessions: Sessions | None = None
    completions: Completions | None = None
    blocking: tuple[Blocking, ...] = ()
    timeouts: dict[str, int] = field(default_factory=dict)
    lag: LagSummary | None = None
    heard: dict[str, float] = field(default_factory=dict)
    cut: Mapping[str, float] = field(default_factory=dict)
    wrapped: bool | None = None
    gap: float = 0.0
    verdict: Verdict | None = None
    history: History = field(default_factory=History)
    _slow: float = float("-inf")

    def configure(self, timeout: float, window: float, warning: float) -> None:
        """Take new settings: seconds of an attempt and of the window, and the share to name a cause from."""
        self.attempts.timeout = self.budget.timeout = timeout
        self.budget.window, self.budget.warning = window, warning

    def time_out(self, cause: str, attempts: int, now: float) -> None:
        """Count attempts that ended at the deadline, at `now` (monotonic seconds)."""
        self.timeouts = {**self.timeouts, cause: self.timeouts.get(cause, 0) + attempts}
        self._slow = max(self._slow, now)

    def slow(self, now: float) -> None:
        """An attempt in the database was seen to be slow, at `now` (monotonic seconds)."""
        self._slow = max(self._slow, now)

    def slow_since(self, since: float) -> bool:
        """Whether an attempt was seen to be slow, or to end at the deadline, after `since` (monotonic seconds)."""
        return self._slow > since

    def forget(self) -> None:
        """Another exporter speaks for the database now: nothing that was seen of it is held any longer."""
        self.sessions = self.completions = self.verdict = None
        self.blocking = ()
        self.attempts = Attempts(self.attempts.timeout)
        self.budget = Budget(self.budget.timeout, self.budget.window, self.budget.warning)
        for peak in (self.inflight, self.lock_waiters, self.lock_waits, self.running):
            peak.clear()
