"""The completer's state: whether completions that are due are committed. Once it has left `ok`, a commit ends that.

A slow attempt explains a state; that none is seen explains nothing, since River sleeps between two attempts, and an
outage that lasts leaves none to be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SETTLE = 6.0
"""Seconds after an attempt failed before a commit may end the state `failing`: River sleeps up to 4.4 s between two
attempts at a batch (`COMPLETER_SLEEPS`, ±10 %), and another client's commits say nothing of that batch."""

PROOF = 15.0
"""Seconds of looking without any sign of trouble after which a River whose jobs all take long counts as `ok`."""

RECENT = 60.0
"""Seconds since the last completion within which a start, or a view that was lost, may begin with `ok`."""


class CompleterState(StrEnum):
    """The values of `river_completer_state`, from best to worst; `unknown` is outside that order."""

    OK = "ok"
    SLOW = "slow"
    STALLED = "stalled"
    FAILING = "failing"
    UNKNOWN = "unknown"


_ORDER = (CompleterState.SLOW, CompleterState.STALLED, CompleterState.FAILING)


@dataclass(frozen=True, slots=True)
class Signals:
    """What one tick knows of a River. Seconds; moments are monotonic.

    Attributes:
        observed: whether River's sessions were read recently by a role that may see them.
        counted: whether completions were too: a lock on the table keeps the exporter from it as well.
        attempt: age of the attempt under way, or the wait of one as things are.
        failed: attempts that ended at the deadline or were refused, a running total.
        on_time: when a completion was last seen committed that was not late; None before the first.
        recent: whether the newest completion is younger than `RECENT`.
        silence: since a completion was committed while one is due; None when none is due.
        overdue: whether a running job has outlasted its kind, which alone proves nothing.
        idle: whether nothing that was due is running any more.
        cause: the cause of the attempt under way, or of what was refused; None without one.
    """

    observed: bool
    counted: bool = True
    attempt: float = 0.0
    failed: int = 0
    on_time: float | None = None
    recent: bool = False
    silence: float | None = None
    overdue: bool = False
    idle: bool = False
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """The state at one moment.

    Attributes:
        cause: one of the causes, `refused` or `unknown` while the state is trouble; else None.
        since: when the trouble, or what is now the state, began; monotonic seconds.
        silence: as in `Signals`; None while it is not known.
        resumed: when the last trouble ended, monotonic seconds; None without one.
        before: the cause of that trouble.
    """

    state: CompleterState
    cause: str | None
    since: float
    silence: float | None = None
    resumed: float | None = None
    before: str | None = None

    @property
    def trouble(self) -> bool:
        """Whether completions are late or stay away."""
        return self.state in _ORDER


@dataclass(slots=True)
class StateMachine:
    """One River's state, from tick to tick. One thread owns it."""

    _trouble: CompleterState | None = None
    _cause: str | None = None
    _began: float = 0.0
    _signal: float = float("-inf")
    _failure: float = float("-inf")
    _failed: int | None = None
    _proven: bool = False
    _observed: float | None = None
    _last: Condition | None = None
    _resumed: float | None = None
    _before: str | None = None

    def tick(self, now: float, seen: Signals, timeout: float, warning: float, critical: float) -> Condition:
        """Take what is known at `now` (monotonic seconds) and return the state.

        Args:
            timeout: of one attempt, in seconds.
            warning: share of the timeout from which an attempt is slow.
            critical: share of the timeout from which completions that are due count as stalled.
        """
        if seen.observed:
            if self._observed is None:
                self._observed = now
            self._judge(now, seen, warning * timeout, critical * timeout)
        else:
            self._observed, self._proven = None, False
        unproven = not self._proven or not seen.counted
        if not seen.observed or (self._trouble is None and unproven):
            state, cause = CompleterState.UNKNOWN, self._cause
        elif self._trouble is not None:
            state, cause = self._trouble, self._cause or "unknown"
        else:
            state, cause = CompleterState.OK, None
        began = self._began if self._trouble is not None else now
        if self._trouble is None and self._last is not None and self._last.state is state:
            began = self._last.since
        silence = seen.silence if seen.observed else None
        self._last = Condition(state, cause, began, silence, self._resumed, self._before)
        return self._last

    def _judge(self, now: float, seen: Signals, slow: float, stalled: float) -> None:
        level = self._level(now, seen, slow, stalled)
        if level is not None:
            if self._trouble is None:
                self._trouble, self._began, self._cause = level, now, None
            self._trouble = max(self._trouble, level, key=_ORDER.index)
            self._signal = now
            self._cause = seen.cause or self._cause
        elif self._trouble is not None and seen.counted and self._over(now, seen):
            self._before, self._resumed = self._cause, now
            self._trouble, self._cause, self._proven = None, None, True
        if self._trouble is None and not self._proven and seen.counted:
            watched = self._observed is not None and now - self._observed >= PROOF
            self._proven = seen.idle or (not seen.overdue and (seen.recent or watched))

    def _level(self, now: float, seen: Signals, slow: float, stalled: float) -> CompleterState | None:
        before = seen.failed if self._failed is None else self._failed
        failed, self._failed = seen.failed > before, max(seen.failed, before)
        if failed:
            self._failure = now
            return CompleterState.FAILING
        due = seen.silence if seen.counted else seen.attempt
        if (due or 0.0) >= stalled:
            return CompleterState.STALLED
        return CompleterState.SLOW if max(seen.attempt, seen.silence or 0.0) >= slow else None

    def _over(self, now: float, seen: Signals) -> bool:
        """Whether completions were committed on time after the last sign of trouble, or none is due any more."""
        settled = self._trouble is not CompleterState.FAILING or now - self._failure >= SETTLE
        return settled and (seen.idle or (seen.on_time is not None and seen.on_time > self._signal))
