"""The last half an hour of verdicts, in a few kilobytes: the worst of each ten seconds."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator

from exporter.budget.causes import CAUSES
from exporter.budget.model import Verdict

SLOT = 10.0
"""Seconds of one point."""

SLOTS = 180
"""Points that are kept: 30 minutes."""

_WIDTH = len(CAUSES) + 1


class History:
    """A ring of points; about 9 kB, and no more whatever happens."""

    def __init__(self) -> None:
        self._numbers = array("q", [-1] * SLOTS)
        self._values = array("f", [math.nan] * (SLOTS * _WIDTH))

    def see(self, now: float, verdict: Verdict) -> None:
        """Take a verdict of the moment `now` (monotonic seconds); the worst of a point's verdicts stays."""
        if not verdict.seconds:
            return
        number = int(now // SLOT)
        start = number % SLOTS * _WIDTH
        if self._numbers[number % SLOTS] == number and self._values[start] > verdict.ratio:
            return
        causes = (verdict.seconds.get(cause, 0.0) for cause in CAUSES)
        self._values[start : start + _WIDTH] = array("f", [verdict.ratio, *causes])
        self._numbers[number % SLOTS] = number

    def points(self, now: float) -> Iterator[tuple[float, ...] | None]:
        """One entry for each ten seconds, the oldest first: the seconds of each of CAUSES, None where unobserved."""
        last = int(now // SLOT)
        for number in range(last - SLOTS + 1, last + 1):
            slot = number % SLOTS
            if number < 0 or self._numbers[slot] != number:
                yield None
            else:
                yield tuple(self._values[slot * _WIDTH + 1 : (slot + 1) * _WIDTH])
