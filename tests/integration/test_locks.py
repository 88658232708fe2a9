"""Locks: who stands at the root of the queue that River's completing statement is in."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest

from exporter.budget.evidence import Blocking
from tests.collecting import Exporter
from tests.conftest import Database
from tests.playing import COMPLETE, add_jobs, busy, idle, waits
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for

UPDATE = "UPDATE river_job SET metadata = '{{}}' WHERE id = {}"


def look(exporter: Exporter) -> tuple[Blocking, ...]:
    """Take one sample of sessions and locks."""
    exporter.run("sessions")
    exporter.run("locks")
    return exporter.context.schema_state("public").blocking


def only(exporter: Exporter) -> Blocking:
    """Return the one wait there is."""
    (found,) = look(exporter)
    return found


def test_rows_locked_by_an_idle_transaction(database: Database) -> None:
    """The wait is on a transaction, whose lock has no database: it must not be filtered away."""
    (job,) = add_jobs(database, 1)
    with (
        Exporter(database.exporter_url) as exporter,
        idle(database, UPDATE.format(job)) as blocker,
        busy(database, COMPLETE, [job]) as waiter,
    ):
        waits(database, waiter)
        found = only(exporter)
        assert (found.pid, found.blocker_pid, found.blocker) == (waiter, blocker, "idle_in_transaction")
        assert (found.operation, found.lock, found.depth) == ("JobSetStateIfRunningMany", "transactionid/ShareLock", 1)
        assert 0 <= found.seconds < 10
        assert found.application == "player"
        wait_for(lambda: only(exporter).seconds > 0.3, 5, "the wait to grow")
        held = exporter.run("locks")
        assert held["river_lock_waiters"] == {("public", "JobSetStateIfRunningMany"): 1}
        assert held["river_lock_wait_seconds"]["public", "JobSetStateIfRunningMany", "idle_in_transaction"] > 0.3


def test_rows_locked_by_a_working_transaction(database: Database) -> None:
    """Somebody's long transaction that is busy with something else."""
    (job,) = add_jobs(database, 1)
    with (
        Exporter(database.exporter_url) as exporter,
        busy(database, "SELECT pg_sleep(60)", before=UPDATE.format(job)) as blocker,
    ):
        waits(database, blocker, "Timeout")
        with busy(database, COMPLETE, [job]) as waiter:
            waits(database, waiter)
            assert (only(exporter).blocker, only(exporter).blocker_pid) == ("active", blocker)


def test_rows_locked_by_another_river(database: Database) -> None:
    """Two Rivers on one table, or a batch that overlaps with another one."""
    (job,) = add_jobs(database, 1)
    other = "-- name: JobRescueMany :exec\nSELECT pg_sleep(60) FROM river_job"
    with Exporter(database.exporter_url) as exporter, busy(database, other, before=UPDATE.format(job)) as blocker:
        waits(database, blocker, "Timeout")
        with busy(database, COMPLETE, [job]) as waiter:
            waits(database, waiter)
            assert (only(exporter).blocker, only(exporter).blocker_pid) == ("river", blocker)


@pytest.mark.parametrize("comment", ["", "/* app: migrations */ ", "-- deploy\n"])
def test_a_table_locked_by_ddl(database: Database, comment: str) -> None:
    """An index that is being built, whatever comment a framework writes before its statements."""
    jobs = add_jobs(database, 1)
    with database.connect() as connection:
        connection.execute(
            "CREATE FUNCTION slow(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE"
            " AS $$ BEGIN PERFORM pg_sleep(60); RETURN $1; END $$"
        )
    with (
        Exporter(database.exporter_url) as exporter,
        busy(database, f"{comment}CREATE INDEX ON river_job (slow(id))") as blocker,
    ):
        waits(database, blocker, "Timeout")
        with busy(database, COMPLETE, jobs) as waiter:
            waits(database, waiter)
            found = only(exporter)
            assert (found.blocker, found.blocker_pid) == ("ddl", blocker)
            assert found.lock == "relation/RowExclusiveLock"


def test_ddl_that_itself_waits_is_not_the_root(database: Database) -> None:
    """An ALTER queued behind an idle reader: it is the reader that must go."""
    jobs = add_jobs(database, 1)
    with (
        Exporter(database.exporter_url) as exporter,
        idle(database, "SELECT 1 FROM river_job") as reader,
        busy(database, "ALTER TABLE river_job ADD COLUMN x int") as alter,
    ):
        waits(database, alter)
        with busy(database, COMPLETE, jobs) as waiter:
            waits(database, waiter)
            found = only(exporter)
            assert (found.blocker, found.blocker_pid, found.depth) == ("idle_in_transaction", reader, 2)


def test_rows_locked_by_a_prepared_transaction(database: Database) -> None:
    """It has no session at all, and survives a restart."""
    (job,) = add_jobs(database, 1)
    with database.connect() as connection:
        connection.autocommit = False
        connection.execute(UPDATE.format(job).encode())
        connection.execute("PREPARE TRANSACTION 'forgotten'")
        connection.autocommit = True
        try:
            with Exporter(database.exporter_url) as exporter, busy(database, COMPLETE, [job]) as waiter:
                waits(database, waiter)
                assert (only(exporter).blocker, only(exporter).blocker_pid) == ("prepared_transaction", 0)
        finally:
            connection.execute("ROLLBACK PREPARED 'forgotten'")


def test_a_table_locked_because_of_autovacuum(database: Database) -> None:
    """An ALTER waits for autovacuum, and River behind it; the ALTER would cancel autovacuum only later."""
    jobs = add_jobs(database, 2000)
    with ExitStack() as stack:
        superuser = stack.enter_context(database.connect())
        superuser.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        superuser.execute("SELECT pg_reload_conf()")
        stack.callback(superuser.execute, "SELECT pg_reload_conf()")
        stack.callback(superuser.execute, "ALTER SYSTEM RESET autovacuum_naptime")
        superuser.execute(
            "ALTER TABLE river_job SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
        )
        superuser.execute("UPDATE river_job SET priority = 2")
        exporter = stack.enter_context(Exporter(database.exporter_url))
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query ~ 'river_job'"
        pid = wait_for(lambda: superuser.execute(query).fetchone(), 30, "autovacuum to begin", interval=0.02)
        alter = "ALTER TABLE river_job ADD COLUMN x int"
        stack.enter_context(busy(database, alter, setting="deadlock_timeout=60s"))
        waiter = stack.enter_context(busy(database, COMPLETE, jobs[:1]))
        waits(database, waiter)
        found = only(exporter)
        assert (found.blocker, found.blocker_pid, found.depth) == ("autovacuum", pid[0], 2)


def test_the_root_of_a_chain_of_three_and_second_waiters(database: Database) -> None:
    """Whoever waits itself is no root; the second in a row's queue waits for the first one's tuple lock."""
    first, second = add_jobs(database, 2)
    with (
        Exporter(database.exporter_url) as exporter,
        idle(database, UPDATE.format(first)) as root,
        busy(database, UPDATE.format(first), before=UPDATE.format(second)) as middle,
    ):
        waits(database, middle)
        with busy(database, COMPLETE, [second]) as waiter:
            waits(database, waiter)
            with busy(database, COMPLETE, [second]) as behind:
                waits(database, behind)
                found = {each.pid: each for each in look(exporter)}
        assert found.keys() == {waiter, behind}
        assert {each.blocker_pid for each in found.values()} == {root}
        assert {each.blocker for each in found.values()} == {"idle_in_transaction"}
        assert (found[waiter].lock, found[waiter].depth) == ("transactionid/ShareLock", 2)
        assert (found[behind].lock, found[behind].depth) == ("tuple/ExclusiveLock", 3)


def test_a_queue_of_forty_is_looked_at_without_harm(database: Database) -> None:
    """Each waiting session is asked for its blockers once: the lock manager is what everybody needs just then."""
    (job,) = add_jobs(database, 1)
    with Exporter(database.exporter_url) as exporter, ExitStack() as stack:
        root = stack.enter_context(idle(database, UPDATE.format(job)))
        waiters = [stack.enter_context(busy(database, COMPLETE, [job])) for _ in range(40)]
        for waiter in waiters:
            waits(database, waiter)
        superuser = stack.enter_context(database.connect())
        superuser.execute("SELECT pg_stat_statements_reset()")
        found = look(exporter)
        assert len(found) == 20
        assert {each.blocker_pid for each in found} == {root}
        row = superuser.execute(
            "SELECT max(total_exec_time) FROM pg_stat_statements WHERE query LIKE '%pg_blocking_pids%'"
            " AND query NOT LIKE '%pg_stat_statements%'"
        ).fetchone()
        assert row is not None
        assert row[0] < 500  # milliseconds, on a busy machine; asked anew at every depth it would be seconds
        held = exporter.run("locks")
        assert held["river_lock_waiters"] == {("public", "JobSetStateIfRunningMany"): 40}


def test_a_wait_is_told_once_with_who_is_to_blame(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """One structured line when it crosses the warning threshold: pids belong there, not into labels."""
    (job,) = add_jobs(database, 1)
    with (
        Exporter(database.exporter_url, RIVER_EXPORTER_THRESHOLDS_WARNING="0.02") as exporter,
        idle(database, UPDATE.format(job), application_name="psql of somebody") as blocker,
        busy(database, COMPLETE, [job]) as waiter,
        caplog.at_level(logging.WARNING, "exporter.locks"),
    ):
        waits(database, waiter)
        wait_for(lambda: only(exporter).seconds > 0.4, 5, "the wait to grow")
        (line,) = caplog.records
        told = {name: line.__dict__[name] for name in ("pid", "blocker", "blocker_pid", "blocker_application")}
        assert told == {
            "pid": waiter,
            "blocker": "idle_in_transaction",
            "blocker_pid": blocker,
            "blocker_application": "psql of somebody",
        }
        assert "UPDATE" not in line.getMessage()


def test_pg_locks_is_left_alone_while_nobody_waits(database: Database) -> None:
    """The sample of a second must cost next to nothing."""
    with Exporter(database.exporter_url) as exporter, database.connect() as superuser:
        superuser.execute("SELECT pg_stat_statements_reset()")
        assert look(exporter) == ()
        row = superuser.execute(
            "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%pg_blocking_pids%' AND calls > 0"
            " AND query NOT LIKE '%pg_stat_statements%'"
        ).fetchone()
        assert row == (0,)
        assert exporter.run("locks") == {"river_lock_waiting_sessions": {("public",): 0}}


@pytest.mark.parametrize("version", [13, 14, 17])
def test_every_version_tells_the_root(version: int) -> None:
    """13 does not say when a wait began; the statement's start stands in for it."""
    with Postgres(version) as server:
        server.create_database("app")
        database = Database("app", server, server.url("app"), server.url("app", "river_exporter", "x"))
        prepare(server, "app", "river_exporter", "x")
        (job,) = add_jobs(database, 1)
        with (
            Exporter(database.exporter_url) as exporter,
            idle(database, UPDATE.format(job)) as blocker,
            busy(database, COMPLETE, [job]) as waiter,
        ):
            waits(database, waiter)
            found = only(exporter)
            assert (found.blocker, found.blocker_pid, found.lock) == (
                "idle_in_transaction", blocker, "transactionid/ShareLock",
            )  # fmt: skip
            assert 0 <= found.seconds < 10
            assert exporter.run("statements")
            assert "river_jobs" in exporter.run("jobs")
            exporter.run("completions")
