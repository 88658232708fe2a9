"""The wait this project exists for: a short row lock that a scraper every 15 seconds would most likely miss."""

import time

from exporter.demo.exporter import Exporter, Metrics
from exporter.demo.faults import FAULTS, Environment
from exporter.demo.process import wait_for
from tests.conftest import Database, StartExporter, StartRiver

WAIT = "river_lock_wait_seconds"
COMPLETER = "JobSetStateIfRunningMany"


def metrics_when(exporter: Exporter, name: str, least: float, within: float = 15) -> Metrics:
    """Scrape until a metric's greatest sample reaches a value, and return that scrape."""

    def scrape() -> Metrics | None:
        metrics = exporter.metrics()
        return metrics if (metrics.most(name) or 0) >= least else None

    return wait_for(scrape, within, f"{name} to reach {least}", exporter.server, interval=0.2)


def test_a_row_lock_of_five_seconds_is_seen_and_vanishes(
    database: Database, river: StartRiver, exporter: StartExporter
) -> None:
    """A lock of 5 s is in /metrics with its kind of blocker, stays readable for two scrapers, and then vanishes."""
    worker = river()
    watcher = exporter(metrics_urls=[worker.metrics_url], settings={"window": "10s"})
    metrics_when(watcher, "river_jobs_finished_total", 50, 30)

    started = time.monotonic()
    with FAULTS["row-lock"](Environment(database.superuser_url, worker)):
        metrics_when(watcher, WAIT, 1)
        wait_for(lambda: time.monotonic() - started >= 5, 10, "five seconds of lock")
    lifted = time.monotonic()

    seen = [watcher.metrics(), watcher.metrics()]
    for metrics in seen:
        (sample,) = metrics.samples(WAIT, operation=COMPLETER)
        assert sample.labels["blocker"] == "idle_in_transaction"
        assert 3 < sample.value < 7
        assert 3 < (metrics.most("river_completer_inflight_seconds") or 0) < 7
    wait_for(lambda: not (watcher.metrics().most(WAIT) or 0), 30, "the wait to vanish")
    wait_for(lambda: (watcher.metrics().most("river_completer_inflight_seconds") or 0) < 1, 30, "a free completer")
    assert time.monotonic() - lifted < 20
    assert worker.deadlines() == []
