"""What counts as a standstill between two scrapes: what a page is sent for, and a lock that heals is not."""

from __future__ import annotations

import pytest

from exporter.budget import Standstill

TICK = 0.5


def counted(*attempts: tuple[float, float]) -> list[float]:
    """Seconds at which something counted: attempts by when they begin and how long they take, one at a time."""
    standstill, found = Standstill(), []
    ends = max(begin + seconds for begin, seconds in attempts) + 1
    for tick in range(int(ends / TICK)):
        now = tick * TICK
        stall = max((now - begin for begin, seconds in attempts if begin <= now <= begin + seconds), default=0.1)
        if standstill.see(now, stall, critical=5.0, timeout=10.0):
            found.append(now)
    return found


@pytest.mark.parametrize("attempts", [[(10, 4.9)], [(10, 6.0)], [(10, 6.0), (60, 6.0)], [(10, 6.0), (40, 6.0)]])
def test_what_heals_by_itself_does_not_count(attempts: list[tuple[float, float]]) -> None:
    """Not even twice in a minute, as long as River gets on in between."""
    assert counted(*attempts) == []


def test_an_attempt_far_over_the_threshold_counts_once() -> None:
    """From 6.25 s on."""
    assert counted((10, 9.5)) == [16.5]


def test_an_attempt_over_the_threshold_right_after_another_counts() -> None:
    """As soon as it is over it: what grows is known before an attempt is nearly lost."""
    assert counted((10, 5.5), (16, 5.5), (22, 5.5)) == [21.0, 27.0]


def test_what_lasts_counts_once_in_each_timeout() -> None:
    """No attempt takes longer; so it is the next one."""
    assert counted((10, 31)) == [16.5, 26.5, 36.5]


def test_what_stays_over_the_threshold_without_growing_counts() -> None:
    """Each acquire takes 5.5 s: there is no single attempt to follow, and it does not heal."""
    standstill = Standstill()
    assert [standstill.see(now, 5.5, 5.0, 10.0) for now in (0.0, 1.0, 2.0, 3.0, 4.0)] == [0, 0, 0, 1, 0]


def test_a_moment_without_sight_changes_nothing() -> None:
    """Nor does it end an attempt."""
    standstill = Standstill()
    assert [standstill.see(0, 5.0, 5.0, 10.0), standstill.see(1, None, 5.0, 10.0)] == [0, 0]
    assert standstill.see(1.5, 6.5, 5.0, 10.0) == 1


def test_a_critical_threshold_beyond_the_timeout_still_counts() -> None:
    """Configured so, it is the threshold itself that counts."""
    assert Standstill().see(0, 12.5, 12.0, 10.0) == 1
