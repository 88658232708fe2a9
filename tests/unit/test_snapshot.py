"""The snapshot: what is known now, and no longer than it is true."""

from __future__ import annotations

import threading

import pytest

from exporter.metrics.metric import Sample, gauge
from exporter.metrics.snapshot import Snapshot

VALUE = gauge("river_value", "A value", "who")


class Clock:
    """A clock that the test moves, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Read it."""
        return self.now


def values(snapshot: Snapshot) -> list[tuple[tuple[str, ...], object]]:
    """What still holds."""
    return [(sample.labels, sample.value) for sample in snapshot.samples()]


def test_samples_vanish_at_the_end_of_their_lifetime() -> None:
    """Neither before nor after, each collector's by itself; what vanished never comes back."""
    clock = Clock()
    snapshot = Snapshot(clock)
    snapshot.put("a", [VALUE.sample(1, "a")], 10)
    snapshot.put("b", [VALUE.sample(2, "b")], 20)
    clock.now += 9.999
    assert values(snapshot) == [(("a",), 1), (("b",), 2)]
    assert snapshot.age("a") == pytest.approx(9.999)
    clock.now += 0.001
    assert values(snapshot) == [(("b",), 2)]
    assert snapshot.age("a") is None
    clock.now += 10
    assert values(snapshot) == []


def test_a_run_replaces_a_collectors_samples_whole() -> None:
    """A series that the new run did not give is gone, and the lifetime begins anew."""
    clock = Clock()
    snapshot = Snapshot(clock)
    snapshot.put("a", [VALUE.sample(1, "x"), VALUE.sample(1, "y")], 10)
    clock.now += 9
    snapshot.put("a", [VALUE.sample(2, "x")], 10)
    clock.now += 9
    assert values(snapshot) == [(("x",), 2)]
    assert snapshot.age("a") == 9


def test_dropped_samples_are_gone_at_once() -> None:
    """And dropping what was never there is nothing special."""
    snapshot = Snapshot(Clock())
    snapshot.put("a", [VALUE.sample(1, "x")], 10)
    snapshot.drop("a")
    snapshot.drop("b")
    assert values(snapshot) == []
    assert snapshot.age("a") is None


def test_peaks_are_read_while_they_are_seen() -> None:
    """Labels come and go in one thread while another one reads."""
    snapshot = Snapshot(lambda: 0.0)
    peak, ended = snapshot.peak(VALUE, 60), threading.Event()

    def see() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            peak.see(0, number, str(number % 50))
            if number % 100 == 0:
                peak.clear()

    writer = threading.Thread(target=see)
    writer.start()
    try:
        for _ in range(2000):
            found = values(snapshot)
            assert len({labels for labels, _ in found}) == len(found) <= 50
    finally:
        ended.set()
        writer.join()


def test_a_reader_sees_one_run_and_never_half_of_two() -> None:
    """While a writer replaces the samples as fast as it can."""
    snapshot = Snapshot(lambda: 0.0)
    ended = threading.Event()

    def write() -> None:
        number = 0.0
        while not ended.is_set():
            number += 1
            snapshot.put("a", [Sample(VALUE, (str(each),), number) for each in range(20)], 10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(2000):
            seen = {sample.value for sample in snapshot.samples()}
            assert len(seen) <= 1
    finally:
        ended.set()
        writer.join()
