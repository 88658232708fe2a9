"""A pool of sqlx's pings a connection before it hands it out: that is no statement."""

from __future__ import annotations

import time

import pytest

from tests.collecting import Exporter
from tests.conftest import Database, StartRiver
from tests.testbed.process import wait_for

IDLE = """
SELECT pid, query_start, state_change FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle' AND query LIKE 'WITH job_input%'
"""

SECONDS = 6.0
"""How long a session is idle before its connection is pinged; taken for an execution, it would be critical."""


@pytest.mark.parametrize("river_version", ["rust-0.5"])
def test_a_ping_of_an_idle_connection_is_no_execution(database: Database, river: StartRiver) -> None:
    """A bare Sync moves state_change and leaves query and query_start: nothing has run, nothing was slow."""
    with Exporter(database.exporter_url) as exporter, database.connect() as connection:
        # many connections, taken in turn, and no polls: so that some rest for long
        worker = river(rate=20, job_seconds=0.02, pool=16, fetch_poll="1h")
        worker.leak(14)
        worker.release()
        watch = exporter.context.schema_state("public")
        wait_for(
            lambda: exporter.run("sessions") and watch.sessions and watch.sessions.ended,
            20,
            "a completing session that is idle",
        )
        worker.set_rate(0)
        started = time.monotonic()

        def rested() -> dict[int, object]:
            exporter.run("sessions")
            exporter.run("budget")
            long_enough = time.monotonic() - started > SECONDS
            return {pid: start for pid, start, _ in connection.execute(IDLE).fetchall()} if long_enough else {}

        before = wait_for(rested, 20, "a completing session that stays idle", interval=0.25)
        worker.leak(14)
        pinged = [
            (change - start).total_seconds()
            for pid, start, change in connection.execute(IDLE).fetchall()
            if before.get(pid) == start
        ]
        assert max(pinged) > SECONDS - 2, "the pool has pinged no connection whose last statement was a completion"
        for _ in range(8):
            exporter.run("sessions")
            assert exporter.run("budget")["river_completer_budget_used_ratio"]["public",] < 0.3
            time.sleep(0.25)
        worker.release()
        assert worker.deadlines() == []
