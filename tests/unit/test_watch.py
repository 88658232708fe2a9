"""What is kept between samples: peaks that outlive a scrape interval, and the attempts that a stalled pool ate."""

from __future__ import annotations

import pytest

from exporter.collectors.pools.stalls import Stalls
from exporter.metrics.peak import Peak
from exporter.river.facts import COMPLETER_ATTEMPTS, COMPLETER_SLEEPS


def test_a_peak_is_held_for_the_window() -> None:
    """Then the next highest of the window takes its place, and at last there is none."""
    peak = Peak(60)
    peak.see(0, 5.0, "a")
    peak.see(10, 3.0, "a")
    peak.see(20, 1.0, "a")
    assert [peak.value(now, "a") for now in (20, 60, 61, 70, 71, 80, 81)] == [5.0, 5.0, 3.0, 3.0, 1.0, 1.0, None]


def test_a_higher_value_replaces_what_it_covers() -> None:
    """So the memory stays small however long the peaks last."""
    peak = Peak(60)
    for now in range(1000):
        peak.see(now, now % 7, "a")
    assert len(peak._values["a",]) <= 7
    assert peak.value(999, "a") == 6


def test_labels_have_a_peak_each() -> None:
    """And those without a value in the window are gone."""
    peak = Peak(60)
    peak.see(0, 5.0, "a", "x")
    peak.see(50, 2.0, "b", "y")
    assert sorted(peak.items(55)) == [(("a", "x"), 5.0), (("b", "y"), 2.0)]
    assert peak.items(100) == [(("b", "y"), 2.0)]


def run_out(stalled: float, cancel_each: float) -> list[tuple[int, int]]:
    """(second, attempts) at which a stall of so many seconds is found to have eaten one, looked at each second."""
    stalls, found, before = Stalls(10), [], 0
    for second in range(1, int(stalled) + 1):
        canceled = int(second // cancel_each)
        ended = stalls.take(float(second), canceled - before)
        before = canceled
        if ended:
            found.append((second, ended))
    return found


def test_a_stalled_pool_eats_one_attempt_after_the_other() -> None:
    """Each ten seconds with River's sleeps of one and two seconds between; three are made, then it gives up."""
    found = run_out(120, cancel_each=2)
    assert [ended for _, ended in found] == [1] * COMPLETER_ATTEMPTS
    earliest = 0.0
    for (second, _), sleep in zip(found, (0.0, *COMPLETER_SLEEPS), strict=False):
        earliest += sleep * 0.9 + 10  # River's sleeps vary by a tenth
        assert second >= earliest
        assert second <= earliest * 1.1 + 2


@pytest.mark.parametrize("stalled", [1, 5, 9, 10])
def test_a_stall_shorter_than_the_deadline_eats_none(stalled: float) -> None:
    """However many other acquires gave up: fetches and the elector have shorter limits."""
    assert run_out(stalled, cancel_each=0.1) == []


def test_no_more_are_counted_than_acquires_gave_up() -> None:
    """Never above what River itself counts."""
    assert run_out(120, cancel_each=1000) == []
    assert sum(ended for _, ended in run_out(120, cancel_each=70)) == 1


def test_a_new_stall_counts_anew() -> None:
    """After the pool had moved."""
    stalls = Stalls(10)
    assert stalls.take(11, 5) == 1
    assert stalls.take(0, 0) == 0
    assert stalls.take(5, 5) == 0
    assert stalls.take(11, 0) == 1
