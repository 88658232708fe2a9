"""PgBouncer's console: what a restart or a pause leaves unknown is absent, never a pool with nothing in use."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from exporter.budget import Wait
from exporter.budget.evidence import Waiting
from exporter.postgres.sessions import Unreachable
from tests.collecting import Exporter
from tests.conftest import Database
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.process import wait_for


@pytest.fixture
def pgbouncer(database: Database) -> Iterator[PgBouncer]:
    """Yield a PgBouncer with one server connection for each user."""
    with PgBouncer(database.server, database.name, pool_size=1) as started:
        yield started


def wait(exporter: Exporter) -> Wait | None:
    """The console's evidence now."""
    found = exporter.context.board.latest(Waiting, "pgbouncer", exporter.context.clock())
    return found.wait if found else None


def test_a_restarted_pgbouncer_is_unknown_until_river_is_back(
    database: Database, pgbouncer: PgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no pool of River's user then, which is not a pool with all its connections free."""
    settings = {"RIVER_EXPORTER_RIVER_URL": pgbouncer.url(), "RIVER_EXPORTER_PGBOUNCER_URL": pgbouncer.console_url}
    with Exporter(database.exporter_url, **settings) as exporter, closing(exporter.collector("pgbouncer")):
        with psycopg.connect(pgbouncer.url(), prepare_threshold=None) as client:
            client.execute("SELECT 1")
            assert exporter.run("pgbouncer")["river_pool_free_ratio"]["pgbouncer",] == 0
        pgbouncer.stop()
        pgbouncer.start()
        with pytest.raises(Unreachable):
            exporter.run("pgbouncer")
        with caplog.at_level(logging.WARNING, logger="exporter"):
            found = exporter.run("pgbouncer")
        assert set(found) <= {"river_pool_longest_wait_seconds"}  # held, of before
        assert wait(exporter) is None
        assert "PgBouncer has no pool of River's user" in caplog.messages
        with psycopg.connect(pgbouncer.url(), prepare_threshold=None, autocommit=True) as client:
            client.execute("SELECT 1")
            assert exporter.run("pgbouncer")["river_pool_connections"]["pgbouncer", "acquired"] == 0


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_paused_pgbouncer_has_no_free_share(database: Database, pgbouncer: PgBouncer, *, all_of_it: bool) -> None:
    """Its server connections are gone, none is in use, and yet a client waits: only the waiting is shown."""
    settings = {"RIVER_EXPORTER_RIVER_URL": pgbouncer.url(), "RIVER_EXPORTER_PGBOUNCER_URL": pgbouncer.console_url}
    which = "" if all_of_it else f' "{database.name}"'
    with (
        Exporter(database.exporter_url, **settings) as exporter,
        closing(exporter.collector("pgbouncer")),
        psycopg.connect(pgbouncer.url(), prepare_threshold=None, autocommit=True) as client,
    ):
        client.execute("SELECT 1")
        assert "river_pool_free_ratio" in exporter.run("pgbouncer")
        pgbouncer.console(f"PAUSE{which}")
        found = exporter.run("pgbouncer")
        assert "river_pool_free_ratio" not in found
        assert "river_pool_connections" not in found
        assert wait(exporter) is None
        with ThreadPoolExecutor(1) as other:
            asked = other.submit(client.execute, "SELECT 1")
            wait_for(lambda: exporter.run("pgbouncer")["river_pgbouncer_maxwait_seconds"][()] > 0.5, 10, "it to wait")
            assert exporter.run("pgbouncer")["river_pool_clients_waiting"]["pgbouncer",] == 1
            seen = wait(exporter)
            assert seen is not None
            assert seen.now > 0.5
            pgbouncer.console(f"RESUME{which}")
            asked.result(10)
        assert "river_pool_free_ratio" in exporter.run("pgbouncer")
