"""A database that hangs: the client's own deadline gives the connection up, scrapes stay fast, and it comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from tests.conftest import PASSWORD, ROLE, Database
from tests.playing import COMPLETE, add_jobs, busy, idle
from tests.testbed.exporter import Exporter
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for


@pytest.fixture
def own() -> Iterator[Database]:
    """Yield a database of a server that can be halted without harm to other tests."""
    with Postgres(18) as server:
        server.create_database("app")
        prepare(server, "app", ROLE, PASSWORD)
        yield Database("app", server, server.url("app"), server.url("app", ROLE, PASSWORD))


def test_a_server_that_is_halted(own: Database) -> None:
    """SIGSTOP of every process of it: TCP goes on, nothing answers, no timeout of the server's can help."""
    settings = {"database.statement_timeout": "1s", "database.connect_timeout": "2s"}
    with Exporter(own.exporter_url, settings=settings) as exporter:

        def total(name: str, **labels: str) -> float | None:
            return exporter.metrics().total(name, **labels)

        wait_for(lambda: total("river_completer_budget_used_ratio") is not None, 20, "the first collections")
        (job,) = add_jobs(own, 1)
        with idle(own, f"UPDATE river_job SET priority = 2 WHERE id = {job}"), busy(own, COMPLETE, [job]):
            wait_for(
                lambda: (total("river_completer_budget_seconds", cause="lock") or 0) > 1.5, 20, "a wait to be seen"
            )
        peak = total("river_completer_budget_seconds", cause="lock") or 0.0
        own.server.pause()
        try:
            wait_for(
                lambda: total("river_database_unreachable", reason="timeout") == 1,
                20,
                "the hang to be said",
                exporter.server,
            )
            slowest = 0.0
            for _ in range(30):
                began = time.monotonic()
                assert requests.get(f"{exporter.url}/metrics", timeout=5).ok
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 1  # on a busy machine; the benchmark says how fast it is
            assert requests.get(f"{exporter.url}/-/healthy", timeout=5).ok
            wait_for(lambda: total("river_sessions") is None, 30, "what is not known any more to vanish")
            # the peaks outlive the blindness, within their window
            assert (total("river_completer_budget_used_ratio") or 0.0) >= peak / 10  # the hang itself is worse by now
            assert (total("river_lock_wait_seconds", blocker="idle_in_transaction") or 0.0) > 1
            assert total("river_completer_attempt_seconds") != 0.0
            assert total("river_workers_running") is not None
            assert total("river_probe_phase_seconds") is not None
        finally:
            own.server.resume()
        wait_for(lambda: total("river_up") == 1, 30, "contact again", exporter.server)
        wait_for(lambda: total("river_exporter_is_leader") == 1, 20, "it to lead again", exporter.server)
        wait_for(lambda: total("river_sessions") is not None, 20, "sessions to be seen again")
        assert (total("river_completer_budget_used_ratio") or 0.0) >= peak / 10
        with own.connect() as superuser:

            def few() -> bool:
                row = superuser.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [ROLE]).fetchone()
                return row is not None and row[0] <= 3

            wait_for(few, 20, "the given-up sessions to be gone")
        assert "Traceback" not in exporter.server.log_text()
