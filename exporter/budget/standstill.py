"""Standstills: attempts over the critical threshold that are no accident any more, counted as they happen.

A scrape sees only what stands still at its own moment. This counts between scrapes what a page may be sent for.
"""

from __future__ import annotations

from dataclasses import dataclass

BEYOND = 0.25
"""Share of the time between the critical threshold and the timeout: an attempt that is past it, 6.25 s with the usual
numbers, is more likely lost than not. A lock of 6 s that is transient is not."""

LASTING = 3.0
"""Seconds over the threshold that are no single quick attempt's any more."""


@dataclass(slots=True)
class Standstill:
    """What stands still in one River, followed from tick to tick; all times are monotonic seconds."""

    _over: float | None = None
    _again: bool = False
    _before: float = float("-inf")
    _counted: float = float("-inf")

    def see(self, now: float, stall: float | None, critical: float, timeout: float) -> int:
        """Take what the attempt under way has taken so far; returns 1 when that counts, else 0.

        It counts when the attempt is far over the threshold, when what is over it stays there, or when it comes right
        after another one, within two timeouts. Each attempt counts once; what lasts longer than the timeout is the
        next one.

        Args:
            stall: of the verdict, in seconds; None when nobody looks, which changes nothing.
            critical: the critical threshold in seconds.
            timeout: of one attempt, in seconds.
        """
        if stall is None:
            return 0
        if stall < critical:
            self._over, self._counted = None, float("-inf")
            return 0
        if self._over is None:
            self._again = now - self._before <= 2 * timeout
            self._over = self._before = now
        far = critical + BEYOND * max(0.0, timeout - critical)
        serious = self._again or stall >= far or now - self._over >= LASTING
        if not serious or now - self._counted < timeout:
            return 0
        self._counted = self._before = now
        return 1
