"""What collectors observed, as frozen values: the only way from a collector to the budget, the status page and doctor.

Each piece has the time of its observation and is trusted for `lifetime` seconds. The runner publishes those of one run
together; `Board.latest` is the one place that asks whether a piece is still fresh. What happened, such as an attempt
that ended at the deadline, is a running total or has a number, so no reader can miss it or count it twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from exporter.budget.model import Verdict, Wait
from exporter.budget.state import Condition

HANGS = 15.0
"""Seconds for which a question that hangs is trusted to hang: beyond the deadline of any."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation.

    Attributes:
        key: whose it is: a schema, or a source of waits.
        at: monotonic seconds.
        lifetime: seconds for which it counts as current.
    """

    lifetime: ClassVar[float] = 3.0

    key: str
    at: float

    def fresh(self, now: float) -> bool:
        """Whether it still counts as current at `now` (monotonic seconds)."""
        return now - self.at <= self.lifetime


@dataclass(frozen=True, slots=True)
class Cut:
    """An attempt that ended at the deadline; `number` counts those of the process, and the split is in seconds."""

    number: int = 0
    split: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sessions(Evidence):
    """River's sessions as of one sample.

    Attributes:
        total: how many River has open.
        users: who River logs in as.
        oldest_start: start of the longest-standing one, Unix time; None without any.
        waiting: pids that wait for a lock, with their operation.
        worst: the oldest attempt in flight by cause, in seconds; empty without one.
        inflight: age of that attempt in seconds; 0 without one.
        finished: the longest completing statement that ended since the sample before, by cause, in seconds.
        ended: completing statements seen to end, a running total.
        polled: monotonic seconds at which workers last fetched jobs or renewed their lead; None when not seen.
        trips: round trips of one completion of this River on a connection that is open: pgxpool (pgx 5, `ShouldPing`)
            pings one that was idle for over a second before it lends it; up to River v0.22 BEGIN and COMMIT are two
            more.
        opened: whether River opened connections recently.
        timeouts: attempts seen to end at the deadline, by cause, running totals.
        cut: the last of them.
        slow: monotonic seconds at which an attempt was last seen to be slow, or to end at the deadline.
        stuck: age of the oldest statement of River's own in flight, whatever it is, in seconds.
        recognised: whether a completing statement of this River was ever seen.
    """

    total: int = 0
    users: frozenset[str] = frozenset()
    oldest_start: float | None = None
    waiting: Mapping[int, str] = field(default_factory=dict)
    worst: Mapping[str, float] = field(default_factory=dict)
    inflight: float = 0.0
    finished: Mapping[str, float] = field(default_factory=dict)
    ended: int = 0
    polled: float | None = None
    trips: int = 1
    opened: bool = False
    timeouts: Mapping[str, int] = field(default_factory=dict)
    cut: Cut = field(default_factory=Cut)
    slow: float = float("-inf")
    stuck: float = 0.0
    recognised: bool = False


@dataclass(frozen=True, slots=True)
class Completions(Evidence):
    """Whether completions are committed.

    Attributes:
        seconds: since a completion was committed while one is due; None when none is due.
        gap: the longest time between two completions of the last seconds.
        on_time: when a completion was last seen committed that was not late, monotonic seconds.
        age: seconds since the newest completion; None without any.
        refused: completing statements that ended and completed nothing although one was due, a running total.
        refusing: whether that is so since the last commit.
        overdue: whether a running job has outlasted its kind.
        idle: whether nothing that was due is running any more.
    """

    seconds: float | None = None
    gap: float = 0.0
    on_time: float | None = None
    age: float | None = None
    refused: int = 0
    refusing: bool = False
    overdue: bool = False
    idle: bool = False


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


@dataclass(frozen=True, slots=True)
class Locks(Evidence):
    """Every session of River's that waits for a lock."""

    blocking: tuple[Blocking, ...] = ()


@dataclass(frozen=True, slots=True)
class Lag(Evidence):
    """Completions of one schema that a reading of `lag` found newly committed.

    Attributes:
        now: Unix time of the database at the reading.
        exact: whether commits have timestamps; else a commit is known to lie between two readings.
        count: completions by the completer that were new; without those of JobCompleteTx where they can be recognised.
        worst_seconds: the longest lag among them, at the least where it is not exact; None without any.
        latest_finalized: `finalized_at` of the latest completion seen so far (a worker's clock), Unix time.
        latest_committed: when the latest completion seen so far was committed (the database's clock), Unix time.
    """

    now: float = 0.0
    exact: bool = False
    count: int = 0
    worst_seconds: float | None = None
    latest_finalized: float | None = None
    latest_committed: float | None = None


@dataclass(frozen=True, slots=True)
class Calls(Evidence):
    """What pg_stat_statements shows of River.

    Attributes:
        rose: when the calls of an operation were last seen to rise, monotonic seconds.
        wrapped: whether the completer of this River sends BEGIN and COMMIT around its statement; None where unknown.
    """

    lifetime: ClassVar[float] = 60.0

    rose: Mapping[str, float] = field(default_factory=dict)
    wrapped: bool | None = None


@dataclass(frozen=True, slots=True)
class Waiting(Evidence):
    """A source's (its key's) observation of waiting for the network or a connection.

    Attributes:
        wait: as of `at`.
        since: when the wait under way began, monotonic seconds, where it goes on until another word comes.
        timeouts: attempts that the wait has let run into the deadline, a running total.
    """

    lifetime: ClassVar[float] = 5.0

    wait: Wait = field(default_factory=lambda: Wait("", 0.0, 0.0, 0.0))
    since: float | None = None
    timeouts: int = 0

    def fresh(self, now: float) -> bool:
        """While a question hangs, no other word comes before its deadline."""
        lifetime = HANGS if self.since is not None else self.lifetime
        return now - self.at <= lifetime

    def at_moment(self, now: float) -> Wait:
        """The wait as of `now`: one that is under way has grown."""
        if self.since is None:
            return self.wait
        return replace(self.wait, now=max(0.0, now - self.since), at=now)


@dataclass(frozen=True, slots=True)
class Judgement(Evidence):
    """The budget's verdict and the completer's condition."""

    verdict: Verdict = field(default_factory=lambda: Verdict({}, 0.0, None, None, {}))
    condition: Condition | None = None


Piece = TypeVar("Piece", bound=Evidence)


class Board:
    """The latest piece of each kind and key. Writers replace, under a lock; readers never wait."""

    def __init__(self) -> None:
        self._pieces: dict[tuple[type[Evidence], str], tuple[str, Evidence]] = {}
        self._lock = threading.Lock()

    def put(self, owner: str, pieces: Iterable[Evidence]) -> None:
        """Publish all that a collector, the `owner`, observes now; what it does not repeat is gone."""
        found: dict[tuple[type[Evidence], str], tuple[str, Evidence]] = {
            (type(piece), piece.key): (owner, piece) for piece in pieces
        }
        with self._lock:
            others = {place: held for place, held in self._pieces.items() if held[0] != owner}
            self._pieces = others | found

    def drop(self, owner: str) -> None:
        """Forget what a collector observed: it is known to be no longer this exporter's to report."""
        self._keep(lambda _, held: held[0] != owner)

    def forget(self, kinds: Iterable[type[Evidence]], key: str) -> None:
        """Forget pieces of these kinds and this key."""
        gone = {(kind, key) for kind in kinds}
        self._keep(lambda place, _: place not in gone)

    def last(self, kind: type[Piece], key: str) -> Piece | None:
        """The last piece, however old it is: for running totals and numbers, which do not age."""
        _, found = self._pieces.get((kind, key), ("", None))
        return found if isinstance(found, kind) else None

    def latest(self, kind: type[Piece], key: str, now: float) -> Piece | None:
        """The last piece while it is fresh at `now` (monotonic seconds), else None: it is not known."""
        found = self.last(kind, key)
        return found if found is not None and found.fresh(now) else None

    def _keep(self, wanted: Callable[[tuple[type[Evidence], str], tuple[str, Evidence]], bool]) -> None:
        with self._lock:
            self._pieces = {place: held for place, held in self._pieces.items() if wanted(place, held)}
