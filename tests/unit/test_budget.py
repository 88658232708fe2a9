"""The budget: one attempt at a time, the worst of the window, and the cause that leads."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from exporter.budget import CAUSES, Budget, Verdict, Wait

QUIET: Mapping[str, float] = {}


def budget() -> Budget:
    """River's usual one."""
    return Budget(timeout=10, window=60, warning=0.3)


def waits(pool: tuple[float, float] | None = (0, 0), network: tuple[float, float] | None = (0, 0)) -> dict[str, Wait]:
    """What the sources say: (done, now) of the pool and of the network; None for no source."""
    found = {}
    if pool:
        found["pool"] = Wait("pgxpool", *pool, at=0)
    if network:
        found["network"] = Wait("probe", *network, at=0)
    return found


def consistent(verdict: Verdict) -> Verdict:
    """The causes add up to the ratio: they break one attempt down."""
    assert sum(verdict.seconds.values()) / 10 == pytest.approx(verdict.ratio)
    assert set(verdict.seconds) <= set(CAUSES)
    return verdict


def test_the_causes_of_one_attempt_add_up_to_the_ratio() -> None:
    """What it waited for before it came to the database belongs to it."""
    verdict = consistent(budget().tick(0, {"lock": 2.0, "execution": 0.5}, waits((0.25, 0), (0.1, 0)), trips=3))
    assert verdict.seconds == pytest.approx(
        {"pool": 0.25, "network": 0.3, "lock": 2.0, "execution": 0.5, "storage": 0.0}
    )
    assert verdict.ratio == pytest.approx(0.305)
    assert verdict.stall == 2.5
    assert verdict.sources == {
        "pool": "pgxpool", "network": "probe", "lock": "sessions", "execution": "sessions", "storage": "sessions",
    }  # fmt: skip


def test_unrelated_worsts_are_not_added_up() -> None:
    """One attempt waited five seconds for a lock, another four for a connection: nobody waited nine."""
    one = budget()
    one.tick(0, {"lock": 5.0}, waits((0, 0)))
    verdict = consistent(one.tick(20, QUIET, waits((0, 4.0))))
    assert (verdict.ratio, verdict.stall) == (0.5, 4.0)
    assert verdict.seconds["pool"] == 0
    verdict = consistent(one.tick(25, {"lock": 1.0}, waits((0, 9.0))))  # at the same moment: another attempt
    assert (verdict.seconds["pool"], verdict.seconds["lock"], verdict.ratio) == (9.0, 0.0, 0.9)


def test_a_peak_is_held_for_the_window_and_then_gone() -> None:
    """A scrape every 15 s, and a second Prometheus, see it; nothing is reset by being read."""
    one = budget()
    one.tick(0, {"lock": 5.0}, waits())
    for now in range(1, 61):
        assert consistent(one.tick(now, QUIET, waits())).ratio == 0.5
    assert consistent(one.tick(61, QUIET, waits())).ratio == 0


def test_a_stall_is_what_happens_now_and_is_not_held() -> None:
    """A lock that is gone stalls nothing, however high the held ratio."""
    one = budget()
    assert one.tick(0, {"lock": 5.0}, waits()).stall == 5.0
    verdict = one.tick(1, QUIET, waits())
    assert (verdict.stall, verdict.ratio) == (0.0, 0.5)
    assert one.tick(2, None, waits(None, None)).stall is None  # nobody looks


def test_held_peaks_outlive_a_blind_sampler() -> None:
    """An unreachable database must not hide what was seen just before; only the window's end does."""
    one = budget()
    one.tick(0, {"lock": 6.0}, waits((0.5, 0)))
    for now in (1, 30, 60):
        verdict = consistent(one.tick(now, None, waits(None, None)))
        assert (verdict.ratio, verdict.seconds["lock"], verdict.stall) == (0.65, 6.0, None)
    verdict = one.tick(61, None, waits(None, None))
    assert (verdict.ratio, verdict.seconds) == (0.0, {})


def test_an_exporter_that_is_not_elected_gives_only_what_it_measured() -> None:
    """Pool and network of its own pod; the rest is absent, not zero."""
    verdict = consistent(budget().tick(0, None, waits((0, 3.0), (0.01, 0))))
    assert verdict.seconds == pytest.approx({"pool": 3.0, "network": 0.0})
    assert verdict.sources == {"pool": "pgxpool", "network": "probe"}
    assert verdict.stall == 3.0


def test_a_cause_without_a_source_is_absent() -> None:
    """Unknown is not zero."""
    verdict = consistent(budget().tick(0, {"storage": 1.0}, {}))
    assert verdict.seconds == {"lock": 0.0, "execution": 0.0, "storage": 1.0}


def test_the_network_seen_from_both_ends_counts_once() -> None:
    """The server waits for River while the probe waits for the server: the longer sight is the better one."""
    verdict = consistent(budget().tick(0, {"network": 2.0, "execution": 0.5}, waits((0, 0), (1.5, 0))))
    assert verdict.seconds["network"] == 2.0
    verdict = consistent(budget().tick(0, {"network": 0.5, "execution": 0.5}, waits((0, 0), (1.5, 0))))
    assert verdict.seconds["network"] == 1.5


def test_a_wait_counts_for_no_more_than_the_deadline() -> None:
    """Nobody waits longer for a connection or an answer than River lets an attempt take."""
    verdict = consistent(budget().tick(0, QUIET, waits((0, 300.0), (0.1, 0)), trips=3))
    assert (verdict.seconds["pool"], verdict.ratio) == (10.0, 1.0)
    one = budget()
    one.tick(0, QUIET, waits(None, (4.0, 0)), trips=3)
    assert consistent(one.tick(10, QUIET, waits(None, (4.0, 0)), trips=3)).seconds["network"] == 10.0


def test_one_stall_that_two_sources_show_is_not_added_up() -> None:
    """A dead network empties the pool too; each round trip of an attempt cannot meet the same six seconds again."""
    one = budget()
    for second in range(1, 7):
        one.tick(second, QUIET, waits((0, max(0, second - 1)), (0, second)), trips=2)
    verdict = consistent(one.tick(7, QUIET, waits((5.1, 0), (6.2, 0)), trips=2))
    assert verdict.ratio == pytest.approx(0.7, abs=0.05)
    for second in range(8, 20):
        verdict = consistent(one.tick(second, QUIET, waits(), trips=2))
    assert verdict.ratio == pytest.approx(0.7, abs=0.05)


def test_nothing_known_says_nothing() -> None:
    """Neither a ratio of zero as if all were well, nor a cause."""
    assert budget().tick(0, None, {}) == Verdict({}, 0.0, None, None, {})


def test_a_cause_is_named_from_the_warning_threshold_on() -> None:
    """And no longer once the window has passed below it."""
    one = budget()
    assert one.tick(0, {"lock": 2.9}, waits()).cause is None
    assert one.tick(1, {"lock": 3.0}, waits()).cause == "lock"
    assert one.tick(60, QUIET, waits()).cause == "lock"
    assert one.tick(62, QUIET, waits()).cause is None


def test_another_cause_leads_only_when_it_is_a_fifth_larger_for_ten_seconds() -> None:
    """A flip must mean something."""
    one = budget()
    assert one.tick(0, {"lock": 4.0}, waits()).cause == "lock"
    for now in range(1, 30):  # larger, but not by a fifth
        assert one.tick(now, {"storage": 4.7, "lock": 4.0}, waits()).cause == "lock"
    for now in range(30, 40):
        assert one.tick(now, {"storage": 5.9, "lock": 4.0}, waits()).cause == "lock"
    assert one.tick(40, {"storage": 5.9, "lock": 4.0}, waits()).cause == "storage"


def test_a_rival_that_falls_back_begins_anew() -> None:
    """Ten seconds in one go, not added up."""
    one = Budget(timeout=10, window=2, warning=0.3)
    one.tick(0, {"lock": 4.0}, waits())
    for now in (*range(3, 12), *range(15, 24)):
        assert one.tick(now, {"storage": 6.0, "lock": 4.0}, waits()).cause == "lock"
        if now == 11:
            one.tick(14, {"lock": 5.0}, waits())
    assert one.tick(25, {"storage": 6.0, "lock": 4.0}, waits()).cause == "storage"


@pytest.mark.parametrize("seen", [{"lock": 3.0}, {"execution": 0.2, "storage": 4.0}, {}])
@pytest.mark.parametrize("pool", [(0.0, 0.0), (0.3, 0.0), (0.0, 2.0), (10.0, 5.0), None])
@pytest.mark.parametrize("network", [(0.01, 0.0), (0.4, 0.0), (0.0, 6.0), None])
def test_whatever_is_mixed_the_sum_is_the_ratio(
    seen: dict[str, float], pool: tuple[float, float] | None, network: tuple[float, float] | None
) -> None:
    """Over several ticks, sources coming and going."""
    one = budget()
    consistent(one.tick(0, seen, waits(pool, network)))
    consistent(one.tick(1, None, waits(None, network)))
    consistent(one.tick(2, seen, waits(pool, None), trips=3))
    consistent(one.tick(3, {}, {}))


@pytest.mark.parametrize(
    ("database", "waits", "stalled"),
    [
        ({"lock": 10.0}, {"pool": Wait("pgxpool", 0.0, 0.0, 0)}, "lock"),  # cut at the deadline just now
        ({"execution": 1.5, "lock": 0.1}, {"pool": Wait("pgxpool", 0.0, 0.0, 0)}, "execution"),
        ({}, {"network": Wait("probe", 0.0, 6.0, 0), "pool": Wait("pgxpool", 0.0, 6.4, 0)}, "network"),
        ({"lock": 0.3}, {"pool": Wait("residual", 0.0, 4.0, 0)}, "pool"),
        ({}, {}, None),
        (None, {}, None),
    ],
)
def test_what_stands_still_has_its_own_cause(
    database: dict[str, float] | None, waits: dict[str, Wait], stalled: str | None
) -> None:
    """Of what is under way or was just cut, whatever led the window before; a dead network empties the pool as well."""
    assert budget().tick(0, database, waits).stalled == stalled
