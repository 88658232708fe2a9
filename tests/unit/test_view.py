"""The demonstration's view says what a scrape says, and nothing where it says nothing."""

from tests.demo.view import Watch, line, screen
from tests.testbed.exporter import Metrics

HEALTHY = """\
# TYPE river_jobs gauge
river_jobs{schema="public",queue="default",state="available"} 3
river_jobs{schema="public",queue="mail",state="available"} 4
river_jobs{schema="public",queue="default",state="running"} 20
# TYPE river_jobs_finished_total counter
river_jobs_finished_total{schema="public",state="completed"} 100
# TYPE river_completer_inflight_seconds gauge
river_completer_inflight_seconds{schema="public"} 0
"""

LOCKED = """\
# TYPE river_jobs_finished_total counter
river_jobs_finished_total{schema="public",state="completed"} 400
# TYPE river_completer_inflight_seconds gauge
river_completer_inflight_seconds{schema="public"} 6.5
# TYPE river_completer_budget_used_ratio gauge
river_completer_budget_used_ratio{schema="public"} 0.65
# TYPE river_completer_budget_seconds gauge
river_completer_budget_seconds{schema="public",cause="lock"} 6.3
river_completer_budget_seconds{schema="public",cause="network"} 0.2
# TYPE river_completer_cause gauge
river_completer_cause{schema="public",cause="lock"} 1
# TYPE river_lock_wait_seconds gauge
river_lock_wait_seconds{schema="public",operation="x",blocker="active"} 1
river_lock_wait_seconds{schema="public",operation="x",blocker="idle_in_transaction"} 6.4
# TYPE river_pool_connections gauge
river_pool_connections{source="pgxpool",state="acquired"} 2
# TYPE river_pool_max_connections gauge
river_pool_max_connections{source="pgxpool"} 10
"""


def test_an_empty_scrape_is_unknown() -> None:
    """Before the first collection the view shows question marks, not zeros."""
    text = line(Watch().see(Metrics(""), 0), 1, "none")
    assert "available=?" in text
    assert "completions_per_second=?" in text
    assert "pool=unknown" in text


def test_jobs_are_summed_over_queues() -> None:
    """The view shows one number for each state."""
    assert "available=7  running=20" in line(Watch().see(Metrics(HEALTHY), 0), 0, "none")


def test_completions_per_second_need_two_scrapes() -> None:
    """A rate is taken over what two scrapes differ in."""
    watch = Watch()
    assert watch.see(Metrics(HEALTHY), 10).per_second is None
    assert watch.see(Metrics(LOCKED), 16).per_second == 50


def test_a_restarted_exporter_makes_no_negative_rate() -> None:
    """A counter that began anew is no rate below zero."""
    watch = Watch()
    watch.see(Metrics(LOCKED), 10)
    assert watch.see(Metrics(HEALTHY), 11).per_second == 0


def test_a_rate_is_of_the_last_seconds() -> None:
    """A stall shows as no completions within the rate's window."""
    watch = Watch()
    watch.see(Metrics(HEALTHY), 0)
    for second in range(1, 8):
        scene = watch.see(Metrics(LOCKED), second)
    assert scene.per_second == 0


def test_the_longest_wait_is_shown_with_its_blocker() -> None:
    """Of several waits the longest counts, and the leading cause is named."""
    text = line(Watch().see(Metrics(LOCKED), 0), 0, "row-lock for 7 s")
    assert "lock=6.4s behind idle_in_transaction" in text
    assert "cause=lock" in text
    assert "pool=2/10" in text
    assert "fault=row-lock for 7 s" in text


def test_the_screen_shows_budget_causes_and_keys() -> None:
    """The terminal's picture has the bar, each cause, and marks the fault that is on."""
    scene = Watch().see(Metrics(LOCKED), 0)
    keys = [("1", "row-lock", True), ("2", "pool-exhausted", False)]
    text = "\n".join(screen(scene, "demo", "http://x/metrics", keys, "row-lock for 7 s"))
    assert "#" * 26 + "." * 14 + " 65% of the completer's time used, lock leads" in text
    assert "network      0.20 s" in text
    assert "[1] row-lock <" in text
    assert "[2] pool-exhausted" in text
    assert "http://x/metrics" in text


def test_a_round_trip_is_that_of_the_last_seconds() -> None:
    """The mean of all time would hide what is slow now, and no answer is said as such."""
    scrape = "# TYPE river_probe_roundtrip_seconds histogram\nriver_probe_roundtrip_seconds_count {}\n"
    scrape += "river_probe_roundtrip_seconds_sum {}\n"
    watch = Watch()
    watch.see(Metrics(scrape.format(100, 1)), 0)
    assert watch.see(Metrics(scrape.format(102, 5)), 1).roundtrip == 2
    for second in range(2, 8):
        scene = watch.see(Metrics(scrape.format(102, 5)), second)
    assert scene.roundtrip is None
