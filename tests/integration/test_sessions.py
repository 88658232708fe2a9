"""Sessions: which are River's, what they run, and which completing statement is the completer's own."""

from __future__ import annotations

import psycopg
import pytest

from exporter.budget import Attempts
from exporter.budget.evidence import Waiting
from exporter.collectors.sessions import SessionsCollector
from exporter.config import variable
from tests.collecting import Exporter
from tests.conftest import Database, StartRiver
from tests.playing import COMPLETE, add_jobs, busy, idle, waits
from tests.testbed.process import wait_for

COMPLETING = "JobSetStateIfRunningMany"
UPDATE = "UPDATE river_job SET metadata = '{{}}' WHERE id = {}"
RUNNING = "SELECT 1 FROM river_job WHERE state = 'running' HAVING count(*) >= 5"
LISTEN = 'LISTEN "public.river_insert"'


def sessions(exporter: Exporter) -> dict[str, float]:
    """River's sessions by state, as of a new sample."""
    return {state: value for (_, state), value in exporter.run("sessions")["river_sessions"].items()}


def attempts(exporter: Exporter) -> Attempts:
    """The attempts that the sampler follows."""
    collector = exporter.collector("sessions")
    assert isinstance(collector, SessionsCollector)
    return collector.followed("public")


def seconds(exporter: Exporter) -> dict[tuple[str, ...], float]:
    """Sampled seconds by operation, state and wait event type, of which there were any."""
    found = exporter.run("sessions")["river_session_seconds_total"]
    return {labels[1:]: value for labels, value in found.items() if value > 0}


def test_a_completing_statement_that_waits_is_seen_with_its_wait(database: Database) -> None:
    """Time between two samples goes to operation, state and wait; the attempt is the completer's."""
    (job,) = add_jobs(database, 1)
    with (
        Exporter(database.exporter_url) as exporter,
        idle(database, UPDATE.format(job)),
        busy(database, COMPLETE, [job]) as pid,
    ):
        waits(database, pid)
        assert sessions(exporter)["active"] == 1
        before = exporter.context.clock()
        found = seconds(exporter)
        wait_for(lambda: seconds(exporter)[COMPLETING, "active", "Lock"] > 0.5, 5, "time to be added")
        assert found.keys() == {(COMPLETING, "active", "Lock")}
        elapsed = exporter.context.clock() - before
        assert seconds(exporter)[COMPLETING, "active", "Lock"] <= elapsed + 0.5
        watch = exporter.context.schema_state("public")
        assert watch.sessions is not None
        assert watch.sessions.waiting == {pid: COMPLETING}
        assert watch.sessions.worst.keys() == {"lock"}
        assert watch.sessions.inflight > 0.5
        assert exporter.collector("sessions").pace() == 0.25  # it is looked at more often now
        assert exporter.run("sessions")["river_completer_inflight_seconds"]["public",] > 0.5


def test_a_session_is_river_s_once_it_was_seen_running_a_statement_of_river_s(database: Database) -> None:
    """Neither by its user nor by the tables it touches; and it stays River's while it lasts."""
    with (
        Exporter(database.exporter_url) as exporter,
        idle(database, "SELECT count(*) FROM river_job"),
        idle(database, "-- name: JobGetAvailable :many\nSELECT 'no table of River'"),
        database.connect() as river,
    ):
        assert sum(sessions(exporter).values()) == 0
        river.execute(LISTEN.encode())
        assert sessions(exporter)["idle"] == 1
        river.execute("SELECT 'a job of River does this'")
        assert sessions(exporter)["idle"] == 1
    with Exporter(database.exporter_url) as exporter:
        assert sum(sessions(exporter).values()) == 0


def test_our_own_sessions_are_never_river_s(database: Database) -> None:
    """Though they read its tables, and whatever user River is said to have."""
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SESSIONS_USER="river_exporter") as exporter:
        exporter.run("jobs")
        assert sum(sessions(exporter).values()) == 0


@pytest.mark.parametrize(
    ("name", "pattern", "river"),
    [("APPLICATION_NAME", "^work", 1), ("APPLICATION_NAME", "^x", 0), ("USER", "^postgres$", 2), ("USER", "river", 0)],
)
def test_the_configuration_may_name_river_s_sessions(database: Database, name: str, pattern: str, river: int) -> None:
    """By application name or user, where sessions are to be counted before they are seen at work."""
    with (
        Exporter(database.exporter_url, **{f"RIVER_EXPORTER_RIVER_SESSIONS_{name}": pattern}) as exporter,
        idle(database, "SELECT 1", application_name="worker"),
        idle(database, "SELECT 1", application_name="psql"),
    ):
        assert sessions(exporter)["idle in transaction"] == river


def test_the_completer_s_statement_in_somebody_s_transaction_is_not_the_completer_s(database: Database) -> None:
    """JobCompleteTx runs after other statements of its transaction, without the deadline."""
    (job,) = add_jobs(database, 1)
    with database.connect() as connection:
        connection.execute("CREATE TABLE orders (id int)")
    with (
        Exporter(database.exporter_url) as exporter,
        idle(database, UPDATE.format(job)),
        busy(database, COMPLETE, [job], before="INSERT INTO orders VALUES (1)") as pid,
    ):
        waits(database, pid)
        sessions(exporter)
        wait_for(lambda: ("JobCompleteTx", "active", "Lock") in seconds(exporter), 5, "its time to be added")
        assert {operation for operation, _, _ in seconds(exporter)} == {"JobCompleteTx"}
        watch = exporter.context.schema_state("public")
        assert attempts(exporter).running() == []
        assert watch.sessions is not None
        assert (watch.sessions.inflight, watch.sessions.waiting) == (0, {pid: "JobCompleteTx"})
        assert exporter.run("locks")["river_lock_waiters"] == {("public", "JobCompleteTx"): 1}
        held = exporter.run("budget")
        assert held["river_completer_budget_used_ratio"]["public",] == 0


def test_a_quick_transaction_of_somebody_s_is_told_by_its_locks(database: Database) -> None:
    """Within a few milliseconds of BEGIN only the tables it has locked tell whose the statement is."""
    (job,) = add_jobs(database, 1)
    with (
        psycopg.connect(database.superuser_url) as connection,
        Exporter(database.exporter_url) as exporter,
        idle(database, UPDATE.format(job)),
    ):
        connection.execute("CREATE TABLE orders (id int)")
        connection.commit()
        statement = f"BEGIN; INSERT INTO orders VALUES (1); {COMPLETE % f'ARRAY[{job}]'}"
        with busy(database, statement) as pid:
            waits(database, pid)
            assert sessions(exporter)["active"] == 0  # a script of several statements is nobody's we know
    assert attempts(exporter).running() == []


@pytest.mark.parametrize("river_version", ["0.51", "0.16"])
def test_a_real_river_is_recognised_and_its_completer_followed(database: Database, river: StartRiver) -> None:
    """Both shapes of its statement; with a share of its jobs completed in transactions of their own."""
    river(rate=60, job_seconds=0.3, complete_tx=0.3, workers=20, pool=30)  # many run, so some are left to complete
    with Exporter(database.exporter_url) as exporter, database.connect() as superuser:
        wait_for(lambda: sum(sessions(exporter).values()) >= 3, 20, "River's sessions to be seen")
        watch = exporter.context.schema_state("public")
        wait_for(lambda: sessions(exporter) and watch.sessions and watch.sessions.polled, 20, "a fetch to be seen")
        # five that run: without one whose completion is the completer's, nothing would wait for long
        wait_for(lambda: superuser.execute(RUNNING).fetchone(), 20, "jobs to run", interval=0.01)
        superuser.autocommit = False
        superuser.execute("LOCK TABLE river_job IN SHARE MODE")  # reading goes on; who writes must wait

        def stuck() -> bool:
            sessions(exporter)
            return watch.sessions is not None and watch.sessions.inflight > 1.0

        wait_for(stuck, 20, "the completer's attempt to be seen")
        assert watch.sessions is not None
        assert set(watch.sessions.worst) <= {"lock", "execution", "network"}
        assert watch.sessions.worst["lock"] > 0.5
        waiting = list(watch.sessions.waiting.values())
        assert waiting.count(COMPLETING) == 1  # one completer; all others are jobs' own, or fetch and insert
        assert len(attempts(exporter).running()) == 1
        superuser.rollback()
        wait_for(lambda: sessions(exporter) and attempts(exporter).oldest() is None, 10, "the attempt to end")
        assert watch.timeouts == {}


@pytest.mark.parametrize("river_version", ["0.51", "0.16"])
def test_leaked_transactions_fill_a_pool_whose_size_rivers_url_says(database: Database, river: StartRiver) -> None:
    """Without River's own statistics the server's sessions show what is free, and how long nothing has been."""
    worker = river(f"{database.superuser_url}?application_name=shop", rate=20, job_seconds=0.05, workers=2, pool=4)
    settings = {
        variable("river.url"): f"{database.exporter_url}?pool_max_conns=4",
        variable("river.sessions.application_name"): "^shop$",
    }
    with Exporter(database.exporter_url, **settings) as exporter:

        def free() -> float:
            return exporter.run("sessions").get("river_pool_free_ratio", {}).get(("sessions",), -1.0)

        wait_for(lambda: free() >= 0.75, 20, "a pool with connections free")
        worker.leak(2, transaction=True)
        wait_for(lambda: 0 < free() <= 0.5, 20, "two of four to be gone")
        said = exporter.context.board.latest(Waiting, "sessions", exporter.context.clock())
        assert said is not None
        assert said.wait.worst == 0
        worker.leak(2, transaction=True)

        def waited() -> float:
            exporter.run("sessions")
            budget = exporter.run("budget")
            assert budget["river_budget_source"]["public", "pool", "sessions"] == 1
            return budget["river_completer_budget_seconds"]["public", "pool"]

        assert wait_for(lambda: (found := waited()) > 2 and found, 10, "the wait to be said") < 10
        wait_for(lambda: free() == 0, 20, "ten seconds without a calm moment")
        worker.release()
        wait_for(lambda: free() > 0, 10, "a connection to be free")


def test_the_sessions_of_a_pool_of_unknown_size_say_nothing_of_what_is_free(database: Database) -> None:
    """Nor does a share appear that nobody could know."""
    with Exporter(database.exporter_url) as exporter, idle(database, LISTEN):
        assert sessions(exporter)["idle in transaction"] == 1
        found = exporter.run("sessions")
        assert found["river_pool_connections"]["sessions", "acquired"] == 1
        assert not {"river_pool_free_ratio", "river_pool_max_connections"} & found.keys()


def listeners(exporter: Exporter) -> float:
    """River's listeners as of a new sample."""
    return exporter.run("sessions")["river_listeners"]["public",]


def test_the_listener_of_a_river_is_counted_until_it_is_gone(database: Database, river: StartRiver) -> None:
    """Also by an exporter that came after its LISTEN; a River that only polls has sessions and no listener."""
    with Exporter(database.exporter_url) as exporter:
        assert listeners(exporter) == 0
        worker = river(rate=20)
        wait_for(lambda: listeners(exporter) == 1, 20, "the listener's LISTEN", interval=0.2)
    with Exporter(database.exporter_url) as exporter:
        wait_for(lambda: listeners(exporter) == 1, 30, "two pings of the listener", interval=0.5)
        worker.stop()
        wait_for(lambda: listeners(exporter) == 0, 20, "the listener's end", interval=0.2)
        river(rate=20, poll_only=True)
        wait_for(lambda: sum(sessions(exporter).values()) > 1, 20, "the polling River's sessions", interval=0.2)
        assert [listeners(exporter) for _ in range(10)] == [0] * 10
