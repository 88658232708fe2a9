"""River's pool statistics through the whole exporter: a page that misbehaves costs its own source and nothing else."""

from __future__ import annotations

import gzip
import logging
import socket
import time
from collections.abc import Mapping

import pytest

from exporter.collectors.pgxpool import DEADLINE
from exporter.collectors.pools.page import PageError
from exporter.config import variable
from tests.collecting import Exporter
from tests.conftest import Database, StartRiver
from tests.pages import Handler, Serve, answer, trickle
from tests.testbed.process import free_port

STATISTICS = b"""\
pgxpool_max_conns 10
pgxpool_acquired_conns 4
pgxpool_idle_conns 2
pgxpool_total_conns 6
pgxpool_acquire_count 100
pgxpool_acquire_duration_ns 1e9
pgxpool_empty_acquire 3
pgxpool_canceled_acquire_count 0
"""


def flood(client: socket.socket) -> None:
    """Send a hundred megabytes."""
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        client.sendall(b"x" * 65536)


BAD: Mapping[str, Handler | None] = {
    "dead": None,
    "trickling": trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", 0.2),
    "500": answer(b"", "500 Internal Server Error"),
    "HTML": answer(b"<!doctype html><title>Sign in</title>", Content_Type="text/html"),
    "100 MB": flood,
    "gzip bomb": answer(gzip.compress(b"x" * 50_000_000), Content_Encoding="gzip"),
}


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest, serve: Serve) -> str:
    """Return the address of each page that misbehaves."""
    handler = BAD[request.param]
    return f"http://127.0.0.1:{free_port()}/metrics" if handler is None else serve(handler).url


def sources(exporter: Exporter) -> dict[str, str]:
    """The source of each cause, by a tick of the budget."""
    exporter.run("sessions")
    return {cause: source for _, cause, source in exporter.run("budget")["river_budget_source"]}


def test_a_bad_page_drops_out(database: Database, bad: str, caplog: pytest.LogCaptureFixture) -> None:
    """Within its deadline, with a reason in the log, and the pool has another source or none."""
    with Exporter(database.exporter_url, **{variable("river.metrics_urls"): bad}) as exporter:
        began = time.monotonic()
        with caplog.at_level(logging.WARNING, logger="exporter"), pytest.raises(PageError):
            exporter.run("pgxpool")
        assert time.monotonic() - began < DEADLINE + 1
        (said,) = [record for record in caplog.records if record.getMessage() == "no pool statistics"]
        assert said.__dict__["error"].startswith(f"{bad}: ")
        found = sources(exporter)
    assert found.get("pool") != "pgxpool"
    assert found["lock"] == found["execution"] == found["storage"] == "sessions"


def test_a_bad_page_costs_a_good_one_nothing(database: Database, bad: str, serve: Serve) -> None:
    """The good one's numbers are read in the same time, and it is the pool's source."""
    good = serve(answer(STATISTICS)).url
    with Exporter(database.exporter_url, **{variable("river.metrics_urls"): f"{bad},{good}"}) as exporter:
        began = time.monotonic()
        found = exporter.run("pgxpool")
        assert time.monotonic() - began < DEADLINE + 1
        assert found["river_pool_free_ratio"] == {("pgxpool",): 0.6}
        assert found["river_pool_max_connections"] == {("pgxpool",): 10}
        assert sources(exporter)["pool"] == "pgxpool"


def pool_page(acquired: int, most: int, acquires: int, name: str) -> str:
    """Return a pool as IBM/pgxpoolprometheus exposes it."""
    return (
        f'pgxpool_max_conns{{db_name="{name}"}} {most}\npgxpool_acquired_conns{{db_name="{name}"}} {acquired}\n'
        f'pgxpool_acquire_count{{db_name="{name}"}} {acquires}\npgxpool_canceled_acquire_count{{db_name="{name}"}} 0\n'
    )


def test_rivers_empty_pool_beside_a_free_one_is_the_cause(database: Database, serve: Serve) -> None:
    """River's 10 of 10 and the web's 2 of 50: the free share is 0, and an attempt waits for the pool."""
    acquires = 100
    web = pool_page(2, 50, 7, "web")
    server = serve(lambda client: answer((web + pool_page(10, 10, acquires, "app")).encode())(client))
    settings = {variable("river.metrics_urls"): server.url, variable("river.timeout"): "3s"}
    with Exporter(database.exporter_url, **settings) as exporter:
        exporter.run("pgxpool")
        acquires += 1
        exporter.run("pgxpool")

        def caused(_: object) -> bool:
            exporter.run("sessions")
            return exporter.run("budget").get("river_completer_cause", {}).get(("public", "pool")) == 1

        found = exporter.until("pgxpool", caused, "the pool to be the cause")
        assert found["river_pool_free_ratio"] == {("pgxpool",): 0}
        assert found["river_pool_connections"]["pgxpool", "acquired"] == 10
        assert sources(exporter)["pool"] == "pgxpool"


def test_a_pool_without_wait_counters_never_speaks_for_the_waits(database: Database, serve: Serve) -> None:
    """All of sqlx's connections are held: the free share is 0, and the waits are another source's."""
    server = serve(answer(b"sqlx_pool_connections 10\nsqlx_pool_idle_connections 0\nsqlx_pool_max_connections 10\n"))
    with Exporter(database.exporter_url, **{variable("river.metrics_urls"): server.url}) as exporter:
        exporter.run("pgxpool")
        assert exporter.run("pgxpool")["river_pool_free_ratio"] == {("sqlx",): 0}
        assert sources(exporter).get("pool") not in {"sqlx", "pgxpool"}


def test_a_healthy_pool_beside_an_unlimited_one_is_healthy(database: Database, serve: Serve) -> None:
    """database/sql's River 3 of 10 beside a pool without a limit: nothing is in short supply, and nothing waits."""

    def pool(in_use: int, most: int, name: str) -> str:
        return (
            f'go_sql_max_open_connections{{db_name="{name}"}} {most}\n'
            f'go_sql_in_use_connections{{db_name="{name}"}} {in_use}\n'
            f'go_sql_wait_count_total{{db_name="{name}"}} 0\ngo_sql_wait_duration_seconds_total{{db_name="{name}"}} 0\n'
        )

    server = serve(answer((pool(9, 0, "web") + pool(3, 10, "app")).encode()))
    with Exporter(database.exporter_url, **{variable("river.metrics_urls"): server.url}) as exporter:
        for _ in range(3):
            found = exporter.run("pgxpool")
            exporter.run("sessions")
            budget = exporter.run("budget")
        assert found["river_pool_max_connections"] == {("sql",): 10}
        assert found["river_pool_connections"]["sql", "acquired"] == 3
        assert found["river_pool_free_ratio"] == {("sql",): 0.7}
        assert budget["river_completer_budget_seconds"]["public", "pool"] == 0
        assert budget["river_budget_source"]["public", "pool", "sql"] == 1


def test_rivers_pool_that_is_empty_for_8_s_is_no_longer_wait(database: Database, river: StartRiver) -> None:
    """A real worker, in which the elector's acquire may be canceled meanwhile: that proves no whole timeout."""
    worker = river(rate=50)
    with Exporter(database.exporter_url, **{variable("river.metrics_urls"): worker.metrics_url}) as exporter:
        before = exporter.run("pgxpool")
        assert before["river_pool_max_connections"] == {("pgxpool",): 10}

        def longest() -> float:
            time.sleep(0.5)
            found = exporter.run("pgxpool")
            exporter.run("budget")
            return found["river_pool_longest_wait_seconds"]["pgxpool",]

        began = time.monotonic()
        worker.leak(10)
        while time.monotonic() - began < 8:
            longest()
        worker.release()
        empty = time.monotonic() - began
        worst = max(longest() for _ in range(8))
        budget = exporter.run("budget")
    assert 5 < worst <= empty + 0.5
    assert budget["river_completer_budget_seconds"]["public", "pool"] <= empty + 0.5
    assert sum(budget["river_completer_timeouts_total"].values()) == 0
