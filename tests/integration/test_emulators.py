"""What River for Java, JavaScript and Ruby send is recognised: by emulators, as the packages can't be had here."""

from __future__ import annotations

import pytest

from exporter.river.operations import COMPLETING, Statement, classify
from exporter.river.supported import BY_NAME
from tests.collecting import Exporter
from tests.conftest import Database
from tests.playing import idle
from tests.testbed.emulators import EMULATORS, Emulator, JavaScript, Ruby, examples
from tests.testbed.process import wait_for

each = pytest.mark.parametrize("emulator", EMULATORS, ids=lambda emulator: emulator.name)

LOCKS = {
    "row": "SELECT FROM river_job WHERE state = 'running' FOR UPDATE",
    "table": "LOCK TABLE river_job IN ACCESS EXCLUSIVE MODE",
}

WAITING = """
SELECT query, wait_event FROM pg_stat_activity
WHERE application_name = %s AND datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'
"""

STORED = """
SELECT s.query FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid WHERE datname = current_database()
"""


def waiting(database: Database, emulator: type[Emulator]) -> list[tuple[Statement, str]]:
    """What the emulator's sessions that wait for a lock run, and for what kind of lock."""
    with database.connect() as connection:
        rows = connection.execute(WAITING, [f"emulated {emulator.name}"]).fetchall()
    return [(classify(query), event) for query, event in rows]


def running(database: Database) -> int:
    """How many jobs are running."""
    with database.connect() as connection:
        return connection.execute("SELECT FROM river_job WHERE state = 'running'").rowcount


@each
@pytest.mark.parametrize(("lock", "comment"), [("row", 0), ("table", 0), ("row", 400)])
def test_a_completing_statement_behind_a_lock_is_recognised(
    database: Database, emulator: type[Emulator], lock: str, comment: int
) -> None:
    """Its session is River's, waits in the completing operation, and the time is a wait for a lock.

    Also behind the comment of an APM library, of which pg_stat_activity shows 1,023 bytes together with the statement.
    """
    events = {"row": {"transactionid", "tuple"}, "table": {"relation"}}[lock]
    with (
        Exporter(database.exporter_url) as exporter,
        emulator(database.superuser_url, job_seconds=0.5, comment=comment) as worker,
    ):
        wait_for(lambda: worker.completed >= 5 and running(database) >= 3, 20, "jobs that are completed, and others")
        watch = exporter.context.schema_state("public")
        with idle(database, LOCKS[lock]):

            def completing() -> list[tuple[Statement, str]]:
                return [(statement, event) for statement, event in waiting(database, emulator) if statement.completes]

            found = wait_for(completing, 10, "a completing statement that waits")
            assert {event for _, event in found} <= events
            assert {statement.runtime for statement, _ in found} == {emulator.name}
            wrapped = BY_NAME[emulator.name].completer.wrapped
            assert {statement.in_transaction for statement, _ in found} == {wrapped}

            def counted() -> bool:
                exporter.run("sessions")
                assert watch.sessions is not None
                return watch.sessions.worst.get("lock", 0) > 3.5

            wait_for(counted, 10, "3.5 s of waiting for the lock", interval=0.2)
            assert watch.sessions is not None
            assert set(watch.sessions.waiting.values()) & COMPLETING
            assert exporter.run("budget")["river_completer_cause"] == {("public", "lock"): 1}
        before = worker.completed
        wait_for(lambda: worker.completed > before, 10, "completions after the lock")
        assert worker.failures == []


@each
def test_every_statement_runs_on_rivers_tables_and_is_known_as_stored(
    database: Database, emulator: type[Emulator]
) -> None:
    """PostgreSQL accepts the statements, and what pg_stat_statements makes of them keeps its name."""
    with database.connect() as connection:
        for operation, text in examples(emulator):
            connection.execute("SELECT pg_stat_statements_reset()")
            prepared = connection.pgconn.prepare(b"", text.encode())
            assert not prepared.error_message, (operation, prepared.error_message)
            parameters = connection.pgconn.describe_prepared(b"").nparams
            connection.pgconn.exec_params(text.encode(), [None] * parameters)
            stored = [classify(query) for (query,) in connection.execute(STORED).fetchall()]
            assert operation in {statement.operation for statement in stored}, operation


def test_a_ruby_completion_that_fails_makes_the_job_run_again(database: Database) -> None:
    """As a lock_timeout of its role would have it: the job had succeeded, and is retryable now."""
    url = f"{database.superuser_url}?options=-c%20lock_timeout%3D500ms"
    with Ruby(url, job_seconds=0.5) as worker, database.connect() as connection:
        wait_for(lambda: worker.completed >= 5 and running(database) >= 3, 20, "jobs that are completed, and others")
        with idle(database, LOCKS["row"]):
            wait_for(lambda: worker.failures, 15, "the lock's timeout")
        assert "canceling statement due to lock timeout" in worker.failures[0]
        retryable = "SELECT errors::text FROM river_job WHERE state = 'retryable'"
        rows = wait_for(lambda: connection.execute(retryable).fetchall(), 10, "a job to be retried")
        assert "the completion failed" in rows[0][0]


def test_javascript_has_its_statement_cancelled_at_the_deadline(database: Database) -> None:
    """As its source does: the server ends the statement, and the next attempt comes after a second."""
    with JavaScript(database.superuser_url, job_seconds=0.5) as worker:
        wait_for(lambda: worker.completed >= 5 and running(database) >= 3, 20, "jobs that are completed, and others")
        with idle(database, LOCKS["row"]):
            wait_for(lambda: worker.failures, 15, "the deadline")
            wait_for(lambda: any(each.completes for each, _ in waiting(database, JavaScript)), 5, "the next attempt")
        assert "canceling statement due to user request" in worker.failures[0]
        before = worker.completed
        wait_for(lambda: worker.completed > before, 10, "completions after the lock")
