"""The schedule: each collector at its own pace, never beside itself, whatever it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import pytest

from exporter.collectors import scheduler as schedule
from exporter.collectors.base import Collector, Lane
from exporter.collectors.runner import Runner
from exporter.collectors.scheduler import Schedule
from tests.testbed.process import wait_for


class Fake:
    """A collector and its runner in one; `run` does what the test says, and the runs are recorded."""

    def __init__(self, pace: float, work: Callable[[], None] = lambda: None, lane: Lane = "database") -> None:
        self.collector = cast("Collector", self)
        self.name, self.lane, self.interval = "fake", lane, pace
        self._pace, self._work = pace, work
        self.ran = True
        self.started: list[float] = []
        self.lateness: list[float] = []
        self.overlaps = 0
        self._busy = threading.Lock()

    def pace(self) -> float:
        """Seconds from start to start."""
        return self._pace

    def run(self, lateness: float) -> bool:
        """Work, and note when; whether it had a reason to."""
        if not self._busy.acquire(blocking=False):
            self.overlaps += 1
            return True
        try:
            self.started.append(time.monotonic())
            self.lateness.append(lateness)
            self._work()
        finally:
            self._busy.release()
        return self.ran


Run = Callable[..., Schedule]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start a schedule of the given fakes; it is stopped at the end of the test."""
    started: list[Schedule] = []

    def start(*fakes: Fake) -> Schedule:
        made = Schedule(cast("list[Runner]", list(fakes)))
        started.append(made)
        made.start()
        return made

    yield start
    for each in started:
        each.stop(timeout=5)
        assert not [lane for lane in each.lanes if lane.is_alive()]


def test_a_collector_keeps_to_its_interval_while_others_work(run: Run) -> None:
    """Starts stand on a grid: a run's own length and the runs of others do not add up to a drift."""
    fast = Fake(0.05, lambda: time.sleep(0.01))
    run(fast, Fake(0.07, lambda: time.sleep(0.02)), Fake(0.11))
    wait_for(lambda: len(fast.started) >= 31, 20, "31 runs", interval=0.02)
    due = [start - late for start, late in zip(fast.started, fast.lateness, strict=True)]
    steps = [(later - earlier) / 0.05 for earlier, later in pairwise(due)]
    assert [abs(step - round(step)) < 0.02 for step in steps] == [True] * len(steps)
    assert all(late >= 0 for late in fast.lateness)


def test_a_slow_collector_never_runs_beside_itself_and_missed_slots_are_left_out(run: Run) -> None:
    """A run of three and a half intervals is followed by the next due slot, not by four runs at once."""
    slow = Fake(0.04, lambda: time.sleep(0.14))
    run(slow)
    wait_for(lambda: len(slow.started) >= 5, 20, "5 runs", interval=0.02)
    gaps = [later - earlier for earlier, later in pairwise(slow.started)]
    assert min(gaps) >= 0.14
    assert slow.overlaps == 0
    due = [start - late for start, late in zip(slow.started, slow.lateness, strict=True)]
    assert all((later - earlier) / 0.04 >= 3.99 for earlier, later in pairwise(due))


def test_a_collector_without_a_reason_to_run_is_asked_again_soon(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start, or once it is elected, it does not wait for its whole interval."""
    monkeypatch.setattr(schedule, "SOON", 0.05)
    waiting = Fake(3600)
    waiting.ran = False
    run(waiting)
    wait_for(lambda: len(waiting.started) >= 3, 10, "it to be asked again", interval=0.01)


def test_lanes_do_not_wait_for_each_other(run: Run) -> None:
    """A collector that hangs holds up its own lane only."""
    release = threading.Event()
    hanging, other = Fake(0.05, lambda: cast("None", release.wait(20))), Fake(0.05, lane="probe")
    run(hanging, other)
    try:
        wait_for(lambda: hanging.started and len(other.started) >= 5, 10, "the other lane to go on", interval=0.02)
        assert len(hanging.started) == 1
    finally:
        release.set()


def test_a_lane_survives_any_exception(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Even one that comes from the runner itself; the others of the lane go on too."""

    def fail() -> None:
        raise RuntimeError("broken")

    broken, other = Fake(0.03, fail), Fake(0.03)
    made = run(broken, other)
    wait_for(lambda: len(broken.started) >= 3 and len(other.started) >= 3, 10, "both to go on", interval=0.02)
    assert made.stalled() == []
    assert any("broken" in str(record.exc_info) for record in caplog.records)


def test_a_lane_that_makes_no_progress_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run hangs beyond every deadline, and not again once it has ended; waiting is no stall."""
    monkeypatch.setattr(schedule, "STALLED_AFTER", 0.3)
    release = threading.Event()
    hanging, idle = Fake(0.05, lambda: cast("None", release.wait(20))), Fake(3600, lane="probe")
    made = run(hanging, idle)
    try:
        wait_for(lambda: made.stalled() == ["database"], 10, "the stall to be seen", interval=0.02)
    finally:
        release.set()
    wait_for(lambda: made.stalled() == [], 10, "the lane to be well again", interval=0.02)


def test_a_lane_whose_thread_has_ended_is_named() -> None:
    """It would never run again."""
    made = Schedule(cast("list[Runner]", [Fake(1)]))
    assert made.stalled() == ["database"]


def test_first_runs_are_spread_over_the_interval() -> None:
    """Thirty collectors do not start in one burst."""
    fakes = cast("list[Runner]", [Fake(60) for _ in range(30)])
    (lane,) = Schedule(fakes).lanes
    offsets = [lane._offset(index, runner) for index, runner in enumerate(fakes)]
    assert max(offsets) - min(offsets) > 1.3
    assert all(0 <= offset <= 60 for offset in offsets)


def test_stopping_waits_no_longer_than_it_was_told(run: Run) -> None:
    """Whatever hangs."""
    release = threading.Event()
    made = run(Fake(0.05, lambda: cast("None", release.wait(20))))
    wait_for(lambda: made.runners[0].collector.started, 10, "the first run", interval=0.01)  # type: ignore[attr-defined]
    try:
        began = time.monotonic()
        made.stop(timeout=0.2)
        assert time.monotonic() - began < 2
    finally:
        release.set()
