"""Attempts of the completer that an exhausted pool has let run into the deadline."""

from __future__ import annotations

from exporter.river.facts import COMPLETER_ATTEMPTS, COMPLETER_INTERVAL, COMPLETER_SLEEPS


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
