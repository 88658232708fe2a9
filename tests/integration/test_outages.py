"""Outages of a real River, followed by a real exporter: never `ok` before a completion is committed again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conftest import Database, StartRiver
from tests.outages import follow, is_ok, no_completion_no_ok
from tests.testbed.exporter import Exporter
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.process import wait_for
from tests.testbed.proxy import TcpProxy


@pytest.fixture
def proxy(database: Database) -> Iterator[TcpProxy]:
    """Yield a proxy before the test's PostgreSQL."""
    with TcpProxy(database.server.host, database.server.port) as started:
        yield started


def test_a_missing_standby_is_never_ok(database: Database, river: StartRiver) -> None:
    """Though River makes no attempt any more after a while, and cancelled commits are durable all the same."""
    no_completion_no_ok(database, river, "sync-standby")


def test_a_black_hole_of_six_seconds_is_no_longer_than_that(
    database: Database, river: StartRiver, proxy: TcpProxy
) -> None:
    """The probe and the pool see the same six seconds: added up they would be more than what happened."""
    worker = river(proxy.url(database.superuser_url), rate=50, job_seconds=0.25, workers=20, pool=10)
    settings = {"river.metrics_urls": worker.metrics_url}
    url = proxy.url(database.exporter_url)
    with Exporter(database.exporter_url, river_url=url, settings=settings) as exporter:
        wait_for(lambda: is_ok(exporter), 30, "a healthy River to be ok")
        began = time.monotonic()
        with FAULTS["black-hole"](Environment(database.superuser_url, worker, proxy), 3600):
            follow(exporter, 6)
        lasted = time.monotonic() - began
        story = follow(exporter, 12)
        assert max(story.ratios) * 10 <= lasted + 1.5, story
        assert exporter.metrics().total("river_completer_timeouts_total") == 0
        wait_for(lambda: is_ok(exporter), 30, "completions to be on time again")
