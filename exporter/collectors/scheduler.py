"""When collectors run: one thread per lane, each collector at its own interval, never twice at once."""

from __future__ import annotations

import heapq
import logging
import random
import threading
import time
from collections.abc import Iterable

from exporter.collectors.runner import Runner

log = logging.getLogger("exporter.schedule")

STALLED_AFTER = 60.0
"""Seconds after which a run that is due counts as wedged; every wait of a lane has a deadline well below."""

SOON = 1.0
"""Seconds until a collector that had no reason to run is asked again, if its own interval is longer."""


class Lane(threading.Thread):
    """Runs its collectors in the order they fall due.

    Starts are spread over the interval, so that no burst follows a start. A run that takes longer than the interval is
    followed by the next due slot: a missed one is left out, never made up for.
    """

    def __init__(self, name: str, runners: Iterable[Runner]) -> None:
        super().__init__(name=name, daemon=True)
        self._stop_event = threading.Event()
        self._runners = list(runners)
        self._due = time.monotonic()

    def run(self) -> None:
        """Loop until stopped."""
        now = time.monotonic()
        queue = [(now + self._offset(index, runner), index, runner) for index, runner in enumerate(self._runners)]
        heapq.heapify(queue)
        while queue:
            due, index, runner = queue[0]
            self._due = due
            if self._stop_event.wait(max(0.0, due - time.monotonic())):
                return
            try:
                ran = runner.run(lateness=time.monotonic() - due)
                # what has no reason to run yet is asked again soon: after a start, or once it is elected
                following = self._next(due, runner) if ran else time.monotonic() + min(runner.pace(), SOON)
            except Exception:  # a fault of the exporter's own: the lane must outlive it
                log.exception("collector broke its lane's loop", extra={"collector": runner.collector.name})
                following = time.monotonic() + runner.collector.interval
            heapq.heapreplace(queue, (following, index, runner))

    def stop(self) -> None:
        """Ask it to end after the present run."""
        self._stop_event.set()

    def _offset(self, index: int, runner: Runner) -> float:
        """The first runs come quickly one after the other, then jitter keeps them apart."""
        pace = runner.collector.pace()
        return min(index * 0.05, pace) + random.uniform(0, min(0.05, pace / 10))  # noqa: S311 - no secret

    @staticmethod
    def _next(due: float, runner: Runner) -> float:
        pace, now = runner.pace(), time.monotonic()
        following = due + pace
        return following if following > now else now + pace - (now - due) % pace

    def stalled(self) -> bool:
        """Whether a run that is due, or under way, has not ended for longer than any deadline allows."""
        return time.monotonic() - self._due > STALLED_AFTER


class Schedule:
    """All lanes."""

    def __init__(self, runners: Iterable[Runner]) -> None:
        self.runners = list(runners)
        names = dict.fromkeys(runner.collector.lane for runner in self.runners)
        self.lanes = [
            Lane(name, [runner for runner in self.runners if runner.collector.lane == name]) for name in names
        ]

    def start(self) -> None:
        """Start every lane."""
        for lane in self.lanes:
            lane.start()

    def stop(self, timeout: float) -> None:
        """Ask all to end, and wait for them at most `timeout` seconds together."""
        for lane in self.lanes:
            lane.stop()
        ends = time.monotonic() + timeout
        for lane in self.lanes:
            lane.join(max(0.0, ends - time.monotonic()))

    def stalled(self) -> list[str]:
        """Names of the lanes that make no progress."""
        return [lane.name for lane in self.lanes if lane.stalled() or not lane.is_alive()]
