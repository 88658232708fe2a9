"""One pool of a metrics endpoint over time: how long an acquire has waited, and how full the pool is.

An acquire that still waits is in no counter: a full pool from which no acquire has succeeded since T is a wait of
now - T, while a full pool whose acquires go on is only busy. A canceled acquire proves no more than that wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exporter.collectors.pools import metrics as pool
from exporter.collectors.pools.stalls import Stalls
from exporter.collectors.pools.statistics import PoolChange, PoolStatistics, change


@dataclass(slots=True)
class TrackedPool:
    """One pool; times are monotonic seconds.

    Attributes:
        rivers: whether it is known to be River's, which always wants a connection; of any other pool that is full that
            is known only once an acquire was seen.
        stalls: counts attempts that its waits let run into the deadline.
        at: when it was read last.
        free: the share not in use at the windowed minimum of use; None where the pool has no limit.
        mean_wait: seconds of the acquires that ended since the reading before, on average.
        last: what happened since the reading before.
    """

    stalls: Stalls
    rivers: bool = True
    now: PoolStatistics | None = None
    at: float = 0.0
    free: float | None = None
    mean_wait: float = 0.0
    last: PoolChange = field(default_factory=PoolChange)
    _window: pool.MinimumUse = field(default_factory=pool.MinimumUse)
    _succeeded: float = 0.0
    _acquired_from: bool = False

    def observe(self, at: float, statistics: PoolStatistics) -> None:
        """Read it at `at`."""
        self.last = change(self.now, statistics) if self.now else PoolChange()
        was_full = self.now is not None and self.now.full
        if not (was_full and statistics.full) or statistics.pending == 0 or self.last.succeeded is not False:
            self._succeeded = at
        if self.last.succeeded or self.last.canceled or statistics.pending:
            self._acquired_from = True
        self.now, self.at = statistics, at
        self.free = self._window.observe(at, statistics.free_ratio) if statistics.free_ratio is not None else None
        self.mean_wait = (self.last.waited or 0.0) / self.last.acquires if self.last.acquires else 0.0

    @property
    def limited(self) -> bool:
        """Whether a connection can be waited for at all."""
        return self.now is not None and self.now.limit is not None

    @property
    def waits_known(self) -> bool:
        """Whether it is known how long acquires wait."""
        return self.limited and self.now is not None and self.now.waits_known

    def waiting(self) -> float:
        """Seconds for which no acquire has succeeded while none was free, as of the last reading."""
        if not self.waits_known or not (self.rivers or self._acquired_from):
            return 0.0
        return self.at - self._succeeded

    def pressure(self) -> tuple[bool, float, float, float]:
        """What orders pools by how near they are to refusing a connection: the greatest is the worst."""
        used = self.now.acquired if self.now else 0.0
        return self.limited, self.waiting(), -(self.free if self.free is not None else 1.0), used
