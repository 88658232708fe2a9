"""A pool of sqlx's pings a connection before it hands it out: that is no statement."""

from __future__ import annotations

import time
from datetime import datetime

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

HELD = 13


@pytest.mark.parametrize("river_version", ["rust-0.5"])
def test_a_ping_of_an_idle_connection_is_no_execution(database: Database, river: StartRiver) -> None:
    """A bare Sync moves state_change and leaves query and query_start: nothing has run, nothing was slow."""
    with Exporter(database.exporter_url) as exporter, database.connect() as connection:
        worker = river(rate=20, job_seconds=0.02, pool=HELD + 3, fetch_poll="1h")

        def idle() -> dict[int, tuple[datetime, datetime]]:
            rows = connection.execute(IDLE).fetchall()
            return {pid: (start, change) for pid, start, change in rows}

        def held() -> dict[int, tuple[datetime, datetime]]:
            """Hold most connections, some of which have completed jobs last: these stay as they are."""
            worker.release()
            time.sleep(1)
            worker.leak(HELD)
            before = idle()
            time.sleep(1)
            return {pid: times for pid, times in before.items() if idle().get(pid) == times}

        resting = wait_for(held, 60, "connections that have completed jobs, idle in the worker's hand")
        worker.set_rate(0)
        started = time.monotonic()
        while time.monotonic() - started < SECONDS:
            exporter.run("sessions")
            exporter.run("budget")
            time.sleep(0.25)
        worker.release()
        worker.leak(HELD)
        pinged = [times for pid, times in idle().items() if pid in resting and times[0] == resting[pid][0]]
        assert any((change - start).total_seconds() > SECONDS for start, change in pinged), "nothing was pinged"
        for _ in range(8):
            exporter.run("sessions")
            assert exporter.run("budget")["river_completer_budget_used_ratio"]["public",] < 0.3
            time.sleep(0.25)
        worker.release()
        assert worker.deadlines() == []
