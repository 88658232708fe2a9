"""Failover: the address leads to another server all at once, and nothing that was counted falls or jumps."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conftest import PASSWORD, ROLE
from tests.preview.incident import OFTEN
from tests.testbed.exporter import Exporter, Metrics
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import River

DATABASE = "app"
PAST_WAL = 200e6
"""Bytes of WAL that the second server has written before, at least."""


@pytest.fixture
def servers() -> Iterator[tuple[Postgres, Postgres]]:
    """Yield two servers, the second of which has a longer past."""
    with Postgres(18) as first, Postgres(18) as second:
        for server in (first, second):
            server.create_database(DATABASE)
            prepare(server, DATABASE, ROLE, PASSWORD)
        with River(second.url(DATABASE), rate=50, job_seconds=0.05):
            wait_for(
                lambda: one(second, "SELECT count(*) FROM river_job WHERE state = 'completed'") > 300, 30, "a past"
            )
        with second.connect(DATABASE) as connection:
            connection.execute("CREATE TABLE past AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 100000)")
            connection.execute("UPDATE past SET text = text")
            connection.execute(
                "INSERT INTO river_job (args, kind, max_attempts, queue) VALUES ('{}', 'k', 1, 'second')"
            )
        yield first, second


def one(server: Postgres, query: str) -> float:
    """Return the one number a query finds."""
    with server.connect(DATABASE) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0])


def counted(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return all that may only rise: counters, and the histograms' counts, sums and buckets."""
    return {
        (each.name, tuple(sorted(each.labels.items()))): each.value
        for each in metrics.all()
        if each.name.endswith(("_total", "_bucket", "_count", "_sum"))
    }


def completing(metrics: Metrics) -> float:
    """Return how many completing statements were counted."""
    return metrics.total("river_statement_calls_total", operation="JobSetStateIfRunningMany") or 0.0


def test_another_server_with_a_longer_past_is_neither_a_fall_nor_a_spike(servers: tuple[Postgres, Postgres]) -> None:
    """Its past is not counted, its present is told, and what it does from then on counts."""
    first, second = servers
    own = first.url(DATABASE, ROLE, PASSWORD)
    with TcpProxy(first.host, first.port) as way, River(first.url(DATABASE), rate=50, job_seconds=0.05):
        exporter = Exporter(way.url(own), settings=OFTEN)
        exporter.start()
        wait_for(lambda: completing(exporter.metrics()) > 20, 60, "the first server's statements to be counted")
        port = way.port
    try:
        lost = wait_for(
            lambda: exporter.metrics() if up(exporter) == 0 else None, 30, "the exporter to miss its server"
        )
        before, wal = counted(lost), lost.total("river_postgres_wal_bytes_total")
        switched = time.time()
        with TcpProxy(second.host, second.port, listen=port):
            wait_for(lambda: tells(exporter, switched), 120, "the exporter to tell of the second server")
            after = exporter.metrics()
            fallen = {key: (value, counted(after).get(key)) for key, value in before.items()}
            assert {key: both for key, both in fallen.items() if both[1] is not None and both[1] < both[0]} == {}
            assert completing(after) == completing(lost)
            assert wal is not None
            assert (after.total("river_postgres_wal_bytes_total") or 0.0) - wal < PAST_WAL / 10
            assert one(second, "SELECT wal_bytes FROM pg_stat_wal") > PAST_WAL
            assert (after.most("river_completer_budget_used_ratio") or 0.0) < 0.3
            with River(second.url(DATABASE), rate=50, job_seconds=0.05):
                wait_for(lambda: completing(exporter.metrics()) > completing(lost) + 20, 60, "its statements to count")
    finally:
        exporter.close()


def up(exporter: Exporter) -> float | None:
    """Return whether the exporter says that its server answers."""
    return exporter.metrics().total("river_up")


def tells(exporter: Exporter, since: float) -> bool:
    """Whether all collectors have read the second server, and the first one's queue is told no more."""
    metrics = exporter.metrics()
    read = [each.value for each in metrics.samples("river_exporter_collector_last_success_timestamp_seconds")]
    queues = {each.labels["queue"] for each in metrics.samples("river_jobs")}
    return min(read) > since and "second" in queues and "default" not in queues
