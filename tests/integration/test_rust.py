"""A real River for Rust: what it sends is known, and a slow completion of its has its cause."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from exporter.river.operations import Statement, classify
from tests.collecting import Exporter
from tests.conftest import Database, StartRiver
from tests.playing import idle
from tests.testbed.exporter import Exporter as RunningExporter
from tests.testbed.process import ServerFailed, wait_for

pytestmark = pytest.mark.parametrize("river_version", ["rust-0.5"])

COMPLETING = "JobSetStateIfRunningMany"

NEEDED = {
    COMPLETING,
    "JobGetAvailable",
    "JobInsertFastMany",
    "JobSchedule",
    "JobGetStuck",
    "JobDeleteBefore",
    "LeaderAttemptElect",
    "LeaderAttemptReelect",
    "QueueCreateOrSetUpdatedAt",
    "LISTEN",
    "BEGIN",
    "COMMIT",
}
"""What a worker that leads sends within its first half minute."""

TEXTS = """
SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rust'
UNION SELECT query FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid
WHERE datname = current_database() AND userid = 'rust'::regrole
"""

LOCK = "SELECT FROM river_job WHERE state = 'running' FOR UPDATE"

ACTIVE = "SELECT query FROM pg_stat_activity WHERE state = 'active' AND datname = current_database()"


@pytest.fixture
def rust_url(database: Database) -> Iterator[str]:
    """Yield the URL of a role of Rust's own, so that its statements and the test's can be distinguished."""
    with database.connect() as connection:
        connection.execute("CREATE ROLE rust LOGIN SUPERUSER PASSWORD 'made up'")
        yield f"{database.server.url(database.name, 'rust', 'made up')}?application_name=rust"
        connection.execute("DROP ROLE rust")


def texts(connection: psycopg.Connection) -> dict[str, Statement]:
    """Classify what both views show of Rust's sessions."""
    return {text: classify(text) for (text,) in connection.execute(TEXTS).fetchall() if text}


def test_everything_that_rust_sends_is_known(database: Database, river: StartRiver, rust_url: str) -> None:
    """In both views; nothing is `other` but what any program sends; only its completing statement completes."""
    seen: dict[str, Statement] = {}

    def all_needed() -> bool:
        seen.update(texts(connection))
        return {statement.operation for statement in seen.values()} >= NEEDED

    with database.connect() as connection:
        river(rust_url, rate=50, job_seconds=0.02)
        wait_for(all_needed, 45, "all of River for Rust's everyday operations")
    unknown = {text for text, statement in seen.items() if statement.operation == "other"}
    assert {text for text in unknown if not re.fullmatch(r"SELECT (1|\$1)", text)} == set()
    completing = {each for each in seen.values() if each.completes}
    assert completing == {
        Statement(COMPLETING, None, completes=True, in_transaction=False, certain=True, runtime="rust")
    }
    listening = {each for each in seen.values() if each.operation == "LISTEN"}
    assert listening == {Statement("LISTEN", "public", certain=True)}


def test_a_healthy_run_is_recognised(database: Database, river: StartRiver) -> None:
    """Its sessions, its completer and its fetches, with no share of the timeout worth telling."""
    with Exporter(database.exporter_url) as exporter:
        worker = river(rate=50, job_seconds=0.02)
        exporter.until(
            "statements",
            lambda found: {operation for _, operation in found["river_statement_calls_total"]} >= {COMPLETING},
            "a first completion in pg_stat_statements",
        )
        exporter.until("sessions", lambda found: sum(found["river_sessions"].values()) >= 3, "River's sessions")
        watch = exporter.context.schema_state("public")
        assert watch.sessions is not None
        wait_for(
            lambda: exporter.run("sessions") and watch.sessions and watch.sessions.ended,
            10,
            "the completer's session, idle after its statement",
        )
        assert exporter.run("budget")["river_completer_budget_used_ratio"]["public",] < 0.3
        assert worker.deadlines() == []


def test_a_row_lock_of_some_seconds_is_a_lock(database: Database, river: StartRiver) -> None:
    """The attempt's time is counted as waiting for a lock while it lasts, and no deadline is reached."""
    with Exporter(database.exporter_url) as exporter:
        worker = river(rate=50, job_seconds=0.5)
        exporter.until("sessions", lambda found: sum(found["river_sessions"].values()) >= 3, "River's sessions")
        with idle(database, LOCK):
            watch = exporter.context.schema_state("public")

            def locked() -> bool:
                exporter.run("sessions")
                assert watch.sessions is not None
                return watch.sessions.worst.get("lock", 0) > 4

            wait_for(locked, 15, "an attempt that has waited for 4 s", interval=0.2)
            assert watch.sessions is not None
            assert set(watch.sessions.waiting.values()) == {COMPLETING}
            found = exporter.run("budget")
            assert found["river_completer_cause"] == {("public", "lock"): 1}
            assert found["river_completer_budget_used_ratio"]["public",] > 0.4
        assert worker.deadlines() == []


def test_a_test_may_take_the_pool_away_and_change_the_jobs(database: Database, river: StartRiver) -> None:
    """The worker's own endpoint, by which faults are provoked; the pool's statistics follow."""

    def used() -> float:
        text = requests.get(worker.metrics_url, timeout=5).text
        families = text_string_to_metric_families(text)
        samples = [sample for family in families for sample in family.samples]
        assert {sample.name for sample in samples} == {"db_client_connection_count", "db_client_connection_max"}
        return sum(each.value for each in samples if each.labels.get("db_client_connection_state") == "used")

    def running() -> int:
        with database.connect() as connection:
            return connection.execute(LOCK.removesuffix(" FOR UPDATE")).rowcount

    worker = river(rate=0, pool=8, queues={"default": 2, "mail": 2})
    assert worker.leak(6) == 6
    assert used() >= 6
    with pytest.raises(ServerFailed, match="leaked, then: no free connection"):
        worker.leak(6)
    assert worker.release() >= 6
    worker.set_jobs(Seconds=60, Hold=True)
    worker.set_rate(50)
    wait_for(lambda: running() == 4 and used() >= 4, 20, "jobs that hold connections, in both queues")
    assert worker.cancel() == 4
    worker.release()
    worker.set_jobs(Seconds=0, Hold=False)
    wait_for(lambda: running() < 4, 20, "the held jobs to end")
    with pytest.raises(ServerFailed, match="unknown field `LongShare`"):
        worker.set_jobs(LongShare=1)


def test_at_the_deadline_the_statement_runs_on_beside_its_retry(database: Database, river: StartRiver) -> None:
    """Rust drops the attempt without a cancel request to the server: both completing statements wait there."""
    worker = river(rate=20, job_seconds=0.5)
    with database.connect() as connection:
        wait_for(lambda: connection.execute(LOCK.removesuffix(" FOR UPDATE")).rowcount >= 5, 20, "jobs that run")

        def waiting() -> int:
            return sum(classify(text).completes for (text,) in connection.execute(ACTIVE).fetchall())

        with idle(database, LOCK):
            wait_for(lambda: waiting() == 1, 10, "a completing statement that waits")
            wait_for(lambda: worker.deadlines() and waiting() == 2, 20, "its retry beside it")
        wait_for(lambda: waiting() == 0, 10, "both to end")


def test_attempts_that_are_dropped_at_the_deadline_are_counted(database: Database, river: StartRiver) -> None:
    """River for Rust cancels nothing: its statement runs on, and the next attempt waits beside it."""
    worker = river(rate=50, job_seconds=0.25)
    with RunningExporter(database.exporter_url) as exporter:
        wait_for(lambda: exporter.metrics().total("river_completer_state", state="ok") == 1, 30, "a healthy River")
        with idle(database, LOCK):
            wait_for(worker.deadlines, 25, "River's own log of a deadline")
            wait_for(lambda: exporter.metrics().total("river_completer_timeouts_total"), 10, "the exporter to count it")
        counted = exporter.metrics().total("river_completer_timeouts_total") or 0
        wait_for(lambda: exporter.metrics().total("river_completer_state", state="ok") == 1, 40, "completions again")
        assert 1 <= counted <= len(worker.deadlines())
        assert (exporter.metrics().most("river_completer_budget_used_ratio") or 0) <= 1.1
