"""Completer lag against a real River: exact, each completion once, however late it is committed."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from exporter.budget.evidence import Lag
from exporter.collectors.lag import REMEMBERED
from exporter.postgres.role import render
from tests.collecting import Exporter, Values
from tests.conftest import PASSWORD, ROLE, Database, StartRiver
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for
from tests.testbed.river import migrate

COUNT, SUM, BUCKET = (f"river_completer_lag_seconds_{part}" for part in ("count", "sum", "bucket"))
PUBLIC = ("public",)


@pytest.fixture
def exporter(database: Database) -> Iterator[Exporter]:
    """Yield an exporter with the least-privilege role, that has made its first reading."""
    with Exporter(database.exporter_url) as exporter:
        exporter.run("lag")
        yield exporter


def insert(connection: psycopg.Connection, state: str = "completed", ago: float = 0, queue: str = "default") -> None:
    """Insert a finished job, as if a worker whose clock says `ago` seconds before now had finished it."""
    connection.execute(
        "INSERT INTO river_job (state, finalized_at, queue, kind, max_attempts, args)"
        " VALUES (%s, clock_timestamp() - make_interval(secs => %s), %s, 'k', 1, '{}')",
        [state, ago, queue],
    )


def told(exporter: Exporter) -> Lag:
    """What the budget was told."""
    summary = exporter.context.schema_state("public").lag
    assert summary is not None
    return summary


def completed(connection: psycopg.Connection) -> int:
    """How many jobs are completed."""
    row = connection.execute("SELECT count(*) FROM river_job WHERE state = 'completed'").fetchone()
    assert row is not None
    return int(row[0])


def settled(exporter: Exporter, database: Database) -> Values:
    """Read until everything that is completed, and was not before the first reading, is counted."""
    with database.connect() as connection:

        def all_counted() -> Values | None:
            found, there = exporter.run("lag"), completed(connection)
            return found if sum(found["river_queue_completed_total"].values()) == there else None

        return wait_for(all_counted, 20, "every completion to be counted", interval=0.3)


@pytest.mark.parametrize("river_version", ["0.51", "0.16"])
def test_a_healthy_completer_lags_by_its_batch_interval(
    exporter: Exporter, database: Database, river: StartRiver
) -> None:
    """Both versions complete within 0.35 s, and each completion is counted once by all that count it."""
    worker = river(rate=50, job_seconds=0.05, queues={"default": 10, "mail": 10})
    with database.connect() as connection:
        wait_for(lambda: exporter.run("lag") and completed(connection) >= 200, 20, "200 completions", interval=0.5)
    worker.stop()
    found = settled(exporter, database)
    total = found[COUNT][PUBLIC]
    assert total >= 200
    assert 0.02 < found[SUM][PUBLIC] / total < 0.35
    assert found[BUCKET]["public", "1"] == total
    assert found["river_jobs_finished_total"]["public", "completed"] == total
    assert found["river_queue_completed_total"].keys() == {("public", "default"), ("public", "mail")}
    assert found["river_clock_skew_seconds"][PUBLIC] == 0
    assert exporter.run("lag")[COUNT][PUBLIC] == total


def test_a_lock_of_five_seconds_is_in_the_histogram(exporter: Exporter, database: Database, river: StartRiver) -> None:
    """Jobs whose rows were locked for 5 s show a lag of at least that, and the budget is told of the worst."""
    worker = river(rate=50, job_seconds=0.05)
    with psycopg.connect(database.superuser_url) as blocker:
        running = "SELECT FROM river_job WHERE state = 'running' FOR UPDATE"
        wait_for(lambda: blocker.execute(running).rowcount > 0, 10, "a running job to lock")
        blocker.execute("SELECT pg_sleep(5.5)")

    def late() -> Values | None:
        found = exporter.run("lag")
        return found if found[COUNT][PUBLIC] > found[BUCKET]["public", "5"] else None

    found = wait_for(late, 10, "a lag above 5 s")
    assert found[BUCKET]["public", "7.5"] == found[COUNT][PUBLIC]
    summary = told(exporter)
    assert summary.exact
    assert summary.worst_seconds is not None
    assert 5 < summary.worst_seconds < 7.5
    assert summary.latest_committed is not None
    assert -1 < summary.now - summary.latest_committed < 2
    worker.stop()
    settled(exporter, database)


def test_a_completion_that_commits_late_is_counted_once(exporter: Exporter, database: Database) -> None:
    """A transaction open over many readings, its row finished 37 s before its commit, enters once with its lag."""
    with database.connect() as other, psycopg.connect(database.superuser_url) as pending:
        insert(pending, ago=37)
        for _ in range(3):
            insert(other)
            found = exporter.run("lag")
        assert found[COUNT][PUBLIC] == 3
        pending.commit()
        found = exporter.run("lag")
        assert found[COUNT][PUBLIC] == 4
        assert found[BUCKET]["public", "30"] == 3
        assert found[BUCKET]["public", "60"] == 4
        insert(other)
        assert exporter.run("lag")[COUNT][PUBLIC] == 5
        assert exporter.run("lag")[COUNT][PUBLIC] == 5


def test_a_row_written_again_is_not_counted_again(exporter: Exporter, database: Database) -> None:
    """Metadata written to a completed job makes a new row version of it, not a new completion."""
    with database.connect() as connection:
        insert(connection)
        assert exporter.run("lag")[COUNT][PUBLIC] == 1
        connection.execute("UPDATE river_job SET metadata = '{\"a\": 1}'")
        found = exporter.run("lag")
    assert found[COUNT][PUBLIC] == 1
    assert found["river_jobs_finished_total"]["public", "completed"] == 1


def test_what_is_remembered_is_bounded(database: Database) -> None:
    """Ids are kept for as long as their rows are looked at again, a minute; many at once push out the oldest."""
    with Exporter(database.exporter_url) as exporter, database.connect() as connection:
        exporter.run("lag")
        kept = exporter.collector("lag")._schemas["public"]  # type: ignore[attr-defined]
        for _ in range(3):
            insert(connection)
            exporter.run("lag")
        assert len(kept.counted) == 3
        kept.remember(kept.last.taken + 50, [1])
        kept.committed += 120
        kept.remember(kept.last.taken + 119, [2])
        assert [list(ids) for _, ids in kept.counted] == [[2]]
        kept.remember(kept.last.taken + 119, list(range(REMEMBERED)))
        assert [len(ids) for _, ids in kept.counted] == [REMEMBERED]


def test_what_was_there_before_is_not_counted(database: Database) -> None:
    """An exporter that starts late knows nothing of earlier completions, and says 0."""
    with database.connect() as connection:
        insert(connection, ago=1)
        with Exporter(database.exporter_url) as exporter:
            exporter.run("lag")
            found = exporter.run("lag")
    assert found[COUNT][PUBLIC] == 0
    assert found["river_jobs_finished_total"] == {
        ("public", state): 0 for state in ("completed", "cancelled", "discarded")
    }


def test_finished_states_and_folded_queues(database: Database) -> None:
    """Other final states are counted but lag in nothing; queues beyond the cap are `other`."""
    with (
        Exporter(database.exporter_url, RIVER_EXPORTER_LIMITS_QUEUES="2") as exporter,
        database.connect() as connection,
    ):
        exporter.run("lag")
        insert(connection, "cancelled")
        insert(connection, "discarded")
        insert(connection, queue="a")
        exporter.run("lag")
        for queue in ("b", "c", "d", "d", "a"):
            insert(connection, queue=queue)
            exporter.run("lag")
        found = exporter.run("lag")
    assert found["river_jobs_finished_total"] == {
        ("public", "completed"): 6,
        ("public", "cancelled"): 1,
        ("public", "discarded"): 1,
    }
    assert found["river_queue_completed_total"] == {
        ("public", "a"): 2,
        ("public", "b"): 1,
        ("public", "other"): 3,
    }
    assert found[COUNT][PUBLIC] == 6


def test_a_clock_that_runs_ahead_shows(exporter: Exporter, database: Database) -> None:
    """A worker whose clock is a minute and a half ahead: the skew is said, the lag is 0, the sum never falls."""
    with database.connect() as connection:
        insert(connection, ago=-90)
        found = exporter.run("lag")
        assert 89 < found["river_clock_skew_seconds"][PUBLIC] < 91
        assert found[BUCKET]["public", "0.05"] == 1
        assert found[SUM][PUBLIC] == 0
        assert exporter.run("lag")[COUNT][PUBLIC] == 1


def test_jobs_completed_in_the_users_transaction_are_no_lag(exporter: Exporter, database: Database) -> None:
    """What a transaction that had written before completes is the user's: counted for its queue, not as lag."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE ledger (job int)")
        with connection.transaction():
            connection.execute("INSERT INTO ledger VALUES (1)")
            insert(connection, ago=20)
        with connection.transaction():
            connection.execute("SELECT FROM ledger")
            insert(connection, ago=0.2)
    found = exporter.run("lag")
    assert found["river_queue_completed_total"]["public", "default"] == 2
    assert found[COUNT][PUBLIC] == 1
    assert 0.2 < found[SUM][PUBLIC] < 1


@pytest.mark.parametrize("river_version", ["0.51", "0.16"])
def test_jobs_that_a_real_worker_completes_in_its_transaction(
    exporter: Exporter, database: Database, river: StartRiver
) -> None:
    """JobCompleteTx after a write of the user's own is throughput and no lag, with either version."""
    worker = river(rate=50, job_seconds=0.01, complete_tx=1)
    with database.connect() as connection:
        wait_for(lambda: exporter.run("lag") and completed(connection) >= 40, 20, "40 completions", interval=0.5)
    worker.stop()
    assert settled(exporter, database)[COUNT][PUBLIC] == 0


def test_several_schemas_each_have_their_own(database: Database, river: StartRiver) -> None:
    """Two Rivers in one database, one of them with a name that needs quotes, are told apart."""
    migrate(database.superuser_url, schema="Jobs")
    with database.connect() as connection:
        connection.execute(render(schemas=["Jobs"], role=ROLE).encode())
        connection.execute('CREATE SCHEMA "100 %"')
        connection.execute('ALTER TABLE river_job SET SCHEMA "100 %"')
        connection.execute('ALTER TYPE river_job_state SET SCHEMA "100 %"')
        connection.execute('GRANT USAGE ON SCHEMA "100 %" TO river_exporter')
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SCHEMAS="100 %,Jobs") as exporter:
        exporter.run("lag")
        river(schema="Jobs", rate=50, job_seconds=0)
        with database.connect() as connection:
            connection.execute("SELECT set_config('search_path', '\"100 %\"', false)")
            insert(connection)
        wait_for(lambda: exporter.run("lag")[COUNT]["Jobs",] >= 20, 20, "20 completions", interval=0.3)
        assert exporter.run("lag")[COUNT]["100 %",] == 1


def test_after_a_restart_of_the_server_it_goes_on() -> None:
    """What is committed around a restart is counted, once; nothing falls."""
    with Postgres() as server:
        prepare(server, "postgres", ROLE, PASSWORD)
        with Exporter(server.url("postgres", ROLE, PASSWORD)) as exporter:
            exporter.run("lag")
            with server.connect() as connection:
                insert(connection)
            assert exporter.run("lag")[COUNT][PUBLIC] == 1
            with server.connect() as connection:
                insert(connection)
            server.restart("immediate")  # the lost connection is noticed before the run
            assert exporter.run("lag")[COUNT][PUBLIC] == 2


@pytest.fixture(scope="module")
def without_timestamps() -> Iterator[Postgres]:
    """Yield the oldest server, migrated, that keeps no commit timestamps."""
    with Postgres(13, {"track_commit_timestamp": "off"}) as server:
        prepare(server, "postgres", ROLE, PASSWORD)
        yield server


def test_without_commit_timestamps_first_sight_bounds_it(without_timestamps: Postgres) -> None:
    """The lag lies between the reading before and the one that sees it; the budget is told the lower bound."""
    with Exporter(without_timestamps.url("postgres", ROLE, PASSWORD)) as exporter:
        assert exporter.collector("lag").pace() == 2
        exporter.run("lag")
        with without_timestamps.connect() as connection:
            insert(connection, ago=5)
        found = exporter.run("lag")
    assert found[COUNT][PUBLIC] == 1
    assert 5 < found[SUM][PUBLIC] < 6
    summary = told(exporter)
    assert not summary.exact
    assert summary.worst_seconds is not None
    assert 4 < summary.worst_seconds <= 5
