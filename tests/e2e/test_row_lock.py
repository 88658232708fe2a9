"""A row lock of five seconds, which a scraper that comes every fifteen would most likely miss, from end to end."""

from __future__ import annotations

import subprocess
import time

import requests

from tests.conftest import Database, StartRiver
from tests.testbed.exporter import Exporter
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.process import wait_for
from tests.testbed.prometheus import Prometheus, promtool

WINDOW = 15
"""Seconds peaks are held here; a minute in a user's configuration."""

COMPLETING = "JobSetStateIfRunningMany"


def test_a_short_row_lock_is_found_named_and_seen_to_vanish(database: Database, river: StartRiver) -> None:
    """A real River behind an idle transaction: ratio, cause, blocker and stall; after it has healed only the peak."""
    worker = river(rate=50, job_seconds=0.25, workers=20, pool=10)
    settings = {"window": f"{WINDOW}s", "river.metrics_urls": worker.metrics_url}
    with (
        Exporter(database.exporter_url, settings=settings) as exporter,
        Prometheus(targets=[f"{exporter.host}:{exporter.port}"]) as prometheus,
    ):
        wait_for(lambda: exporter.metrics().samples("river_statement_calls_total"), 30, "the first collections")

        def ratio() -> float:
            return exporter.metrics().most("river_completer_budget_used_ratio") or 0.0

        wait_for(lambda: exporter.metrics().samples("river_budget_source", source="pgxpool"), 20, "River's pool")
        assert ratio() < 0.3
        with FAULTS["row-lock"](Environment(database.superuser_url, worker), 3600):
            began = time.monotonic()
            wait_for(lambda: ratio() > 0.5, 15, "the ratio to pass critical")
            assert time.monotonic() - began < 8  # in time: the first deadline comes ten seconds after the lock
        found = exporter.metrics()
        assert [each.labels["cause"] for each in found.samples("river_completer_cause")] == ["lock"]
        seconds = {
            each.labels["cause"]: each.value
            for each in found.samples("river_completer_budget_seconds", schema="public")
        }
        assert seconds.keys() == {"pool", "network", "lock", "execution", "storage"}
        assert seconds["lock"] > 4
        assert abs(sum(seconds.values()) / 10 - ratio()) < 0.01
        assert (found.most("river_lock_wait_seconds", operation=COMPLETING, blocker="idle_in_transaction") or 0) > 4
        assert (found.most("river_lock_waiters", operation=COMPLETING) or 0) >= 1
        assert (found.most("river_completer_inflight_seconds") or 0) > 4

        lifted = time.monotonic()
        wait_for(lambda: (exporter.metrics().most("river_completer_attempt_seconds") or 0) < 1, 5, "the stall to end")
        assert exporter.metrics().total("river_completer_timeouts_total") == 0  # it healed: no attempt was lost
        assert ratio() > 0.5  # held, so that no scrape misses it
        expression = 'max_over_time(river_lock_wait_seconds{blocker="idle_in_transaction"}[1m])'
        wait_for(lambda: [each for each in prometheus.query(expression) if each.value > 4], 20, "Prometheus to have it")
        wait_for(lambda: ratio() < 0.3, WINDOW + 10, "the peak to vanish")
        assert time.monotonic() - lifted > WINDOW - 8
        blocked = {"blocker": "idle_in_transaction", "operation": COMPLETING}
        wait_for(lambda: not exporter.metrics().samples("river_lock_wait_seconds", **blocked), 10, "the wait to vanish")
        assert not exporter.metrics().samples("river_completer_cause")
        assert worker.deadlines() == []


def test_promtool_has_no_complaint(database: Database, river: StartRiver) -> None:
    """About names, units, help and types of a full page."""
    worker = river(rate=50)
    with Exporter(database.exporter_url, metrics_urls=[worker.metrics_url]) as exporter:
        wait_for(lambda: exporter.metrics().samples("river_jobs_finished_total"), 30, "the first collections")
        wait_for(lambda: exporter.metrics().samples("river_pool_free_ratio"), 30, "River's pool")
        page = requests.get(f"{exporter.url}/metrics", timeout=5).text
    checked = subprocess.run(
        [promtool(), "check", "metrics"], input=page, capture_output=True, text=True, check=False, timeout=30
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
