"""Leader, workers, queues, maintenance and stuck jobs of a real River, seen by the least-privilege role."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest

from exporter.budget.evidence import Calls
from tests.collecting import Exporter, Values
from tests.conftest import Database, StartRiver
from tests.testbed.process import wait_for

PUBLIC = ("public",)


@pytest.fixture
def exporter(database: Database) -> Iterator[Exporter]:
    """Yield an elected exporter with the least-privilege role."""
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SETTINGS_RESCUE_AFTER="1h") as exporter:
        yield exporter


def running(connection: psycopg.Connection, ago: float, client: str, kind: str = "k") -> None:
    """Insert a job that `client` took `ago` seconds before now."""
    connection.execute(
        "INSERT INTO river_job (state, attempted_at, attempted_by, attempt, kind, max_attempts, args)"
        " VALUES ('running', now() - make_interval(secs => %s), ARRAY['before', %s], 2, %s, 5, '{}')",
        [ago, client, kind],
    )


def done(connection: psycopg.Connection, seconds: float, client: str, kind: str = "k") -> None:
    """Insert a job that completed just now, after so many seconds."""
    connection.execute(
        "INSERT INTO river_job (state, attempted_at, finalized_at, attempted_by, attempt, kind, max_attempts, args)"
        " VALUES ('completed', now() - make_interval(secs => %s), now(), ARRAY[%s], 1, %s, 5, '{}')",
        [seconds, client, kind],
    )


@pytest.mark.parametrize("river_version", ["0.51", "0.16"])
def test_the_leader_of_a_healthy_river(exporter: Exporter, database: Database, river: StartRiver) -> None:
    """Both versions have a leader with a lease of 10 to 15 s, and none before and after; a new one is a change."""
    before = exporter.run("river")
    assert before["river_leader_present"][PUBLIC] == 0
    assert "river_leader_lease_seconds" not in before
    worker = river(rate=50, job_seconds=0.2, workers=15, queues={"default": 10, "mail": 5})
    found = exporter.until("river", lambda now: now["river_leader_present"][PUBLIC], "a leader")
    assert 8 < found["river_leader_lease_seconds"][PUBLIC] <= 15
    assert abs(found["river_leader_elected_timestamp_seconds"][PUBLIC] - time.time()) < 30
    assert found["river_leader_changes_total"][PUBLIC] == 0
    assert found["river_migration_version"][PUBLIC] >= 6
    assert found["river_queue_paused_seconds"] == {("public", "default"): 0, ("public", "mail"): 0}
    wait_for(lambda: exporter.run("river")["river_workers_running"][PUBLIC] >= 5, 20, "five jobs at once")
    busy = exporter.run("river")
    assert busy["river_clients"][PUBLIC] <= 1
    assert 5 <= busy["river_workers_max"][PUBLIC] <= 15
    assert "river_completer_backlog_jobs" not in busy
    worker.stop()
    with database.connect() as connection:
        connection.execute("DELETE FROM river_leader")
        connection.execute(
            "INSERT INTO river_leader (leader_id, elected_at, expires_at) VALUES ('x', now(), now() - interval '7 s')"
        )
    expired = exporter.run("river")
    assert expired["river_leader_present"][PUBLIC] == 0
    assert -8 < expired["river_leader_lease_seconds"][PUBLIC] < -6.5
    assert expired["river_leader_changes_total"][PUBLIC] == 1
    assert expired["river_workers_running"][PUBLIC] >= 5


def test_a_paused_queue_is_told_for_how_long(exporter: Exporter, database: Database) -> None:
    """A queue that somebody paused and forgot is named, with its age."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO river_queue (name, updated_at, paused_at) VALUES ('a', now(), NULL),"
            " ('b', now(), now() - interval '1 hour')"
        )
    found = exporter.run("river")["river_queue_paused_seconds"]
    assert found["public", "a"] == 0
    assert 3600 <= found["public", "b"] < 3660


def test_the_backlog_is_what_no_worker_can_run(database: Database) -> None:
    """With configured workers, rows marked running beyond them are a backlog; without, nothing is said of one."""
    with database.connect() as connection:
        for _ in range(5):
            running(connection, 1, "c1")
        running(connection, 1, "c2")
        with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_WORKERS="4") as exporter:
            found = exporter.run("river")
        assert found["river_completer_backlog_jobs"][PUBLIC] == 2
        assert found["river_workers_max"][PUBLIC] == 4
        assert found["river_clients"][PUBLIC] == 2
        with Exporter(database.exporter_url) as exporter:
            found = exporter.run("river")
        assert "river_completer_backlog_jobs" not in found
        assert found["river_workers_max"][PUBLIC] == 6


def test_what_the_role_may_not_see_is_left_out(database: Database) -> None:
    """Without its grants on the small tables, and without pg_monitor, the rest goes on."""
    with database.connect() as connection:
        connection.execute("REVOKE SELECT ON river_leader, river_queue, river_migration FROM river_exporter")
        connection.execute("REVOKE pg_monitor FROM river_exporter")
        try:
            running(connection, 1, "c1")
            with Exporter(database.exporter_url) as exporter:
                found, storage = exporter.run("river"), exporter.run("storage")
                assert not exporter.context.capable("pg_monitor")
        finally:
            connection.execute("GRANT pg_monitor TO river_exporter")
    assert found.keys() == {"river_workers_running", "river_workers_max", "river_clients"}
    assert storage["river_postgres_wal_bytes_total"][()] == 0
    assert "river_postgres_synchronous_standbys" not in storage


@pytest.mark.parametrize("river_version", ["0.16"])
def test_rivers_own_tables_of_clients_win_where_they_are_filled(exporter: Exporter, database: Database) -> None:
    """Workers and clients come from river_client; a client that no longer reports itself doesn't count."""
    with database.connect() as connection:
        running(connection, 1, "c1")
        connection.execute(
            "INSERT INTO river_client (id, updated_at) VALUES ('c1', now()), ('c2', now()),"
            " ('dead', now() - interval '1 hour')"
        )
        connection.execute(
            "INSERT INTO river_client_queue (river_client_id, name, max_workers, updated_at)"
            " VALUES ('c1', 'a', 10, now()), ('c1', 'b', 5, now()), ('c2', 'a', 20, now()), ('dead', 'a', 90, now())"
        )
        running(connection, 90, "dead")
    found = exporter.run("river")
    assert found["river_clients"][PUBLIC] == 2
    assert found["river_workers_max"][PUBLIC] == 35
    assert found["river_completer_backlog_jobs"][PUBLIC] == 0
    assert exporter.run("stuck")["river_jobs_stuck"]["public", "client_gone"] == 1


def test_jobs_far_beyond_what_their_kind_takes_are_stuck(exporter: Exporter, database: Database) -> None:
    """A job of 20 minutes is stuck where its kind takes seconds, and is not where its kind took 10 minutes."""
    with database.connect() as connection:
        done(connection, 2, "alive", "short")
        done(connection, 600, "alive", "long")
        running(connection, 1200, "alive", "short")
        running(connection, 1200, "alive", "long")
        running(connection, 30, "alive", "unheard")
        running(connection, 1, "alive", "short")
    found = exporter.run("stuck")
    assert found["river_jobs_stuck"] == {("public", "client_gone"): 0, ("public", "too_long"): 1}
    assert 2300 < found["river_jobs_stuck_rescue_seconds"][PUBLIC] <= 2400


def test_a_long_job_of_a_kind_without_history_is_not_stuck(exporter: Exporter, database: Database) -> None:
    """After 26 minutes, and among clients that take other jobs meanwhile, nothing says that it is too long."""
    with database.connect() as connection:
        done(connection, 2, "other", "short")
        running(connection, 1560, "alive", "report")
    found = exporter.run("stuck")
    assert found == {"river_jobs_stuck": {("public", "client_gone"): 0, ("public", "too_long"): 0}}
    exporter.run("sessions")
    assert "river_completer_silence_seconds" not in exporter.run("completions") or (
        exporter.run("completions")["river_completer_silence_seconds"][PUBLIC] == 0
    )


@pytest.mark.parametrize(
    ("settings", "until_rescue"),
    [
        ({}, None),
        ({"RESCUE_AFTER": "10m"}, 600 - 1200),
        ({"JOB_TIMEOUT": "2h"}, 3 * 3600 - 1200),
        ({"JOB_TIMEOUT": "2h", "RESCUE_AFTER": "4h"}, 4 * 3600 - 1200),
        ({"JOB_TIMEOUT": "never", "RESCUE_AFTER": "1h"}, None),
    ],
)
def test_the_rescue_is_reckoned_by_rivers_settings(
    database: Database, settings: dict[str, str], until_rescue: float | None
) -> None:
    """Until they are configured nothing is said of when: River's tables do not show them."""
    with database.connect() as connection:
        done(connection, 2, "alive", "short")
        running(connection, 1200, "alive", "short")
    environment = {f"RIVER_EXPORTER_RIVER_SETTINGS_{name}": value for name, value in settings.items()}
    with Exporter(database.exporter_url, **environment) as exporter:
        found = exporter.run("stuck")
    assert found["river_jobs_stuck"]["public", "too_long"] == 1
    if until_rescue is None:
        assert "river_jobs_stuck_rescue_seconds" not in found
    else:
        assert found["river_jobs_stuck_rescue_seconds"][PUBLIC] == pytest.approx(until_rescue, abs=20)


def test_a_client_that_takes_no_more_jobs_is_gone(exporter: Exporter, database: Database) -> None:
    """Among several clients, the one whose last attempt is old while others go on is likely gone."""
    with database.connect() as connection:
        done(connection, 1, "alive")
        running(connection, 3700, "dead")
        running(connection, 1000, "alive")
    found = exporter.run("stuck")
    assert found["river_jobs_stuck"] == {("public", "client_gone"): 1, ("public", "too_long"): 1}
    assert -110 < found["river_jobs_stuck_rescue_seconds"][PUBLIC] < -99


def test_what_a_healthy_river_runs_is_not_stuck(exporter: Exporter, river: StartRiver) -> None:
    """Running jobs of a live client are nobody's worry."""
    river(rate=50, job_seconds=0.2)
    wait_for(lambda: exporter.run("river")["river_workers_running"][PUBLIC] > 0, 20, "a running job")
    exporter.run("sessions")
    found = exporter.run("stuck")
    assert found["river_jobs_stuck"] == {("public", "client_gone"): 0, ("public", "too_long"): 0}
    assert "river_jobs_stuck_rescue_seconds" not in found


def test_jobs_of_a_killed_river_are_stuck(exporter: Exporter, database: Database, river: StartRiver) -> None:
    """A worker killed in the middle of its jobs leaves them running, and no session: they are the gone client's."""
    worker = river(rate=50, workers=8, job_seconds=600)
    wait_for(lambda: exporter.run("river")["river_workers_running"][PUBLIC] == 8, 20, "eight running jobs")
    worker.kill()
    with database.connect() as connection:
        connection.execute("UPDATE river_job SET attempted_at = attempted_at - interval '2 minutes'")
    exporter.context.target = replace(exporter.context.target, started=0.0)

    def nobody_left(_: Values) -> bool:
        sessions = exporter.context.schema_state("public").sessions
        return sessions is not None and sessions.total == 0

    exporter.until("sessions", nobody_left, "the killed worker's sessions to end")
    found = exporter.run("stuck")
    assert found["river_jobs_stuck"] == {("public", "client_gone"): 8, ("public", "too_long"): 0}
    assert 3300 < found["river_jobs_stuck_rescue_seconds"][PUBLIC] < 3480


def test_rivers_maintenance_is_on_time(exporter: Exporter, river: StartRiver) -> None:
    """A real leader's services are heard at work, and none is late."""
    exporter.run("statements")
    assert exporter.run("maintenance")["river_maintenance_late_seconds"] == {("public", "scheduler"): 0}
    river(rate=10)

    def heard() -> bool:
        exporter.run("statements")
        return len(exporter.run("maintenance")["river_maintenance_late_seconds"]) >= 3

    wait_for(heard, 60, "the leader's cleaner and rescuer", interval=0.5)
    found = exporter.run("maintenance")["river_maintenance_late_seconds"]
    assert found == {("public", "cleaner"): 0, ("public", "rescuer"): 0, ("public", "scheduler"): 0}


def test_services_that_stopped_are_late(exporter: Exporter, database: Database) -> None:
    """Without a leader, jobs that are due wait and a service that was heard before is overdue."""
    now = [1000.0]
    exporter.context.clock = lambda: now[0]
    with database.connect() as connection:
        for queue, priority, ahead in (("a", 1, 600), ("a", 4, -100), ("b", 2, 600), ("z", 1, -20)):
            connection.execute(
                "INSERT INTO river_job (state, queue, priority, scheduled_at, kind, max_attempts, args)"
                " VALUES ('scheduled', %s, %s, now() + make_interval(secs => %s), 'k', 1, '{}')",
                [queue, priority, ahead],
            )
        exporter.run("statements")
        exporter.context.board.put("statements", [Calls("public", 990.0, {"JobDeleteBefore": 990.0})])
        first = exporter.run("maintenance")["river_maintenance_late_seconds"]
        assert 95 <= first["public", "scheduler"] < 99
        assert first["public", "cleaner"] == 0
        for now[0] in (1030.0, 1059.0):
            assert exporter.run("maintenance")["river_maintenance_late_seconds"]["public", "cleaner"] == 0
        now[0] = 1100.0
        assert exporter.run("maintenance")["river_maintenance_late_seconds"]["public", "cleaner"] == 70
        now[0] = 9999.0
        assert exporter.run("maintenance")["river_maintenance_late_seconds"]["public", "cleaner"] == 0


@pytest.mark.parametrize(("reindexer", "late"), [(None, None), ("7d", 0), ("1d", 5 * 86400), ("never", None)])
def test_a_reindexer_is_late_by_its_own_schedule(database: Database, reindexer: str | None, late: float | None) -> None:
    """Six days after a reindex a weekly one is on time; what runs on an unknown schedule is never late."""
    now = [0.0]
    environment = {"RIVER_EXPORTER_RIVER_SETTINGS_REINDEXER": reindexer} if reindexer else {}
    with Exporter(database.exporter_url, **environment) as exporter, database.connect() as connection:
        exporter.context.clock = lambda: now[0]
        _days(exporter, now, 1.0)
        connection.execute("REINDEX INDEX CONCURRENTLY river_job_kind")
        told = _days(exporter, now, 6.0)
    assert told.get(("public", "reindexer")) == (None if late is None else pytest.approx(late, abs=60))


def test_a_reindexers_schedule_is_learnt_from_two_runs(exporter: Exporter, database: Database) -> None:
    """Two runs two days apart, and then none for five: three days late."""
    now = [0.0]
    exporter.context.clock = lambda: now[0]
    with database.connect() as connection:
        for days in (1.0, 2.0):
            assert ("public", "reindexer") not in _days(exporter, now, days)
            connection.execute("REINDEX INDEX CONCURRENTLY river_job_kind")
        told = _days(exporter, now, 5.0)
    assert told["public", "reindexer"] == pytest.approx(3 * 86400, abs=60)


def _days(exporter: Exporter, now: list[float], days: float) -> dict[tuple[str, ...], float]:
    """What maintenance says after so many days of readings that follow one another; the clock alone is moved."""
    step = 6 * 3600.0
    exporter.collector("maintenance").interval = step  # type: ignore[misc]
    for seconds in (0.0, *[step] * round(days * 86400 / step)):
        now[0] += seconds
        for name in ("election", "statements"):
            exporter.run(name)
        found = exporter.run("maintenance")
    return found["river_maintenance_late_seconds"]


def test_a_late_job_in_the_thousandth_queue_shows(exporter: Exporter, database: Database) -> None:
    """However many queues and priorities stand before it; once it is scheduled, the next run says so."""
    with database.connect() as connection:
        connection.execute(
            "INSERT INTO river_job (state, queue, priority, scheduled_at, kind, max_attempts, args)"
            " SELECT 'scheduled', 'q' || lpad(n::text, 5, '0'), p, now() + interval '1 day', 'k', 1, '{}'"
            " FROM generate_series(1, 1000) AS n, generate_series(1, 4) AS p"
        )
        connection.execute(
            "UPDATE river_job SET scheduled_at = now() - interval '2 hours' WHERE queue = 'q01000' AND priority = 4"
        )
        connection.execute("VACUUM ANALYZE river_job")
        told = [exporter.run("maintenance")["river_maintenance_late_seconds"]["public", "scheduler"] for _ in range(9)]
        assert max(told[:5]) == pytest.approx(7200, abs=60)
        assert min(told[4:]) == pytest.approx(7200, abs=60), "it shows in every run, whatever the walk visits"
        plans = exporter.plans("maintenance")
        assert plans["maintenance_due"].blocks < 8_000
        connection.execute("UPDATE river_job SET state = 'available' WHERE queue = 'q01000' AND priority = 4")
        assert exporter.run("maintenance")["river_maintenance_late_seconds"]["public", "scheduler"] == 0
