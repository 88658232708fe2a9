"""The budget itself: what one attempt costs at each moment, the worst of the window, and the dominant cause.

At every tick there are two attempts to reckon with: one that still waits for a connection or for the network, and one
that is in the database after such a wait. Whichever costs more is that tick's; the window keeps the worst of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from exporter.budget.causes import CAUSES

HYSTERESIS_SHARE = 0.2
HYSTERESIS_SECONDS = 10.0
"""Another cause becomes dominant only when it is a fifth larger for ten seconds: a flip must mean something."""

ALIKE = 1.0
"""Seconds by which two observations of one slow attempt may differ, as each has an interval of its own."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A source's observation of one cause.

    Attributes:
        source: its name.
        done: seconds that attempts which got past it waited for it recently.
        now: seconds that an attempt is waiting for it at this moment; 0 when none is.
        at: when it was observed, monotonic seconds.
        anew: seconds that a new connection took to its first answer; of the network only.
    """

    source: str
    done: float
    now: float
    at: float
    anew: float = 0.0

    @property
    def worst(self) -> float:
        """Seconds of the longer one, the wait that is under way or the one that is over."""
        return max(self.now, self.done)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The budget at one moment.

    Attributes:
        seconds: the worst attempt of the window by cause, only causes that were measured.
        ratio: their sum over the timeout.
        cause: the dominant cause once the warning threshold is passed, else None.
        stall: seconds that the attempt now under way has taken, or that one takes as things are now; None without an
            observation.
        sources: where each cause's value comes from.
        stalled: the cause that the stall is mostly made of; None where nothing stands still.
    """

    seconds: Mapping[str, float]
    ratio: float
    cause: str | None
    stall: float | None
    sources: Mapping[str, str]
    stalled: str | None = None


@dataclass(frozen=True, slots=True)
class _Tick:
    at: float
    seconds: Mapping[str, float]
    total: float


@dataclass(slots=True)
class Budget:
    """The budget of one River.

    Args:
        timeout: of one attempt, in seconds.
        window: seconds that a peak is held for.
        warning: share of the timeout from which a cause is named.
    """

    timeout: float
    window: float
    warning: float
    _ticks: deque[_Tick] = field(default_factory=deque)
    _leader: str | None = None
    _rival: tuple[str, float] | None = None
    _episode: float | None = None

    def tick(
        self,
        now: float,
        database: Mapping[str, float] | None,
        waits: Mapping[str, Wait],
        trips: int = 1,
        *,
        opened: bool = False,
    ) -> Verdict:
        """Reckon with what is known now.

        Args:
            now: monotonic seconds.
            database: the worst attempt in the database at this moment by cause, empty when none is there, None when
                the database could not be looked at.
            waits: `pool` and `network`, each from its best source; a cause without one is not measured.
            trips: round trips of one completion.
            opened: whether River opened connections recently, so that an attempt may have waited for a new one, on
                which its statement was prepared as well.
        """
        pool, network = waits.get("pool"), waits.get("network")
        passed: dict[str, float] = {}
        if pool:
            passed["pool"] = min(pool.done, self.timeout)
        if network:
            anew = network.anew + network.done if opened else 0.0
            passed["network"] = min(anew + network.done * trips, self.timeout)
        limit = self._elapsed(now, database, waits)
        for candidate in self._candidates(database, passed, waits):
            seconds = _within(limit, candidate)
            self._ticks.append(_Tick(now, MappingProxyType(seconds), sum(seconds.values())))
        # a dead network empties the pool as well, and what is seen in the database is seen best
        current: list[Mapping[str, float]] = [database] if database is not None else []
        current += [{cause: wait.now} for cause, wait in (("network", network), ("pool", pool)) if wait]
        current += [passed] if passed else []
        while self._ticks and now - self._ticks[0].at > self.window:
            self._ticks.popleft()
        sources = {cause: wait.source for cause, wait in waits.items()}
        return self._verdict(now, _stall(current), sources, database)

    def _elapsed(self, now: float, database: Mapping[str, float] | None, waits: Mapping[str, Wait]) -> float:
        """Seconds since anything was slow, without a pause: no attempt of this trouble can have taken longer.

        Two sources may show one stall, as a dead network empties the pool too; added up they would be more than what
        happened.
        """
        longest = max([sum((database or {}).values()), *(wait.worst for wait in waits.values())], default=0.0)
        if longest < ALIKE:
            self._episode = None
            return float("inf")
        begun = now - longest
        self._episode = begun if self._episode is None else min(self._episode, begun)
        return now - self._episode

    def _candidates(
        self, database: Mapping[str, float] | None, passed: Mapping[str, float], waits: Mapping[str, Wait]
    ) -> list[dict[str, float]]:
        found = []
        if database is not None:
            inside = dict.fromkeys(("lock", "execution", "storage"), 0.0) | dict(passed)
            for cause, seconds in database.items():
                # the network is seen from both ends of one wait: the longer of the two sights is the better one
                inside[cause] = max(inside.get(cause, 0.0), seconds) if cause == "network" else seconds
            found.append(inside)
        elif passed:
            found.append(dict(passed))
        for cause, wait in waits.items():
            if wait.now > 0:
                waiting = dict.fromkeys(passed, 0.0) | {cause: min(wait.now, self.timeout)}
                if database is not None:
                    waiting = dict.fromkeys(("lock", "execution", "storage"), 0.0) | waiting
                found.append(waiting)
        return found

    def _verdict(
        self,
        now: float,
        standstill: tuple[float | None, str | None],
        sources: dict[str, str],
        database: Mapping[str, float] | None,
    ) -> Verdict:
        stall, stalled = standstill
        worst = max(self._ticks, key=lambda tick: tick.total, default=None)
        if database is not None:
            sources |= dict.fromkeys(("lock", "execution", "storage"), "sessions")
        if worst is None:
            return Verdict({}, 0.0, None, stall, sources, stalled)
        ratio = worst.total / self.timeout
        seconds = {each: worst.seconds.get(each, 0.0) for each in CAUSES if each in worst.seconds or each in sources}
        return Verdict(MappingProxyType(seconds), ratio, self._lead(now, seconds, ratio), stall, sources, stalled)

    def _lead(self, now: float, seconds: Mapping[str, float], ratio: float) -> str | None:
        if ratio < self.warning:
            self._leader = self._rival = None
            return None
        first = max((cause for cause in CAUSES if cause in seconds), key=lambda cause: seconds[cause])
        if self._leader is None or self._leader not in seconds:
            self._leader = first
        elif first == self._leader or seconds[first] < seconds[self._leader] * (1 + HYSTERESIS_SHARE):
            self._rival = None
        elif self._rival is None or self._rival[0] != first:
            self._rival = (first, now)
        elif now - self._rival[1] >= HYSTERESIS_SECONDS:
            self._leader, self._rival = first, None
        return self._leader


def _stall(current: Sequence[Mapping[str, float]]) -> tuple[float | None, str | None]:
    """The longest of what stands still, and the cause of the first about as long: the best sight comes first."""
    totals = [sum(seconds.values()) for seconds in current]
    stall = max(totals, default=None)
    if not stall:
        return stall, None
    seconds = next(each for each, total in zip(current, totals, strict=True) if total >= max(stall - ALIKE, stall / 2))
    return stall, max(seconds, key=lambda cause: seconds[cause])


def _within(limit: float, seconds: Mapping[str, float]) -> dict[str, float]:
    """The same split, its smaller long parts shortened so that the whole is no longer than `limit` seconds."""
    found = {cause: each if each < ALIKE else min(each, max(limit, ALIKE)) for cause, each in seconds.items()}
    excess = sum(found.values()) - limit
    for cause in sorted(found, key=lambda each: found[each])[:-1]:
        if excess <= 0:
            break
        if found[cause] < ALIKE:
            continue
        cut = min(excess, found[cause])
        found[cause] -= cut
        excess -= cut
    return found
