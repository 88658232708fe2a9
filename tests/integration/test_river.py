"""The real River worker does what the demo, the tests and the benchmarks build on."""

import psycopg
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Database, StartRiver
from tests.testbed.process import ServerFailed, wait_for
from tests.testbed.river import Load, River, Version, migrate

both = pytest.mark.parametrize("river_version", ["0.51", "0.16"])


def count(database: Database, where: str, schema: str = "public") -> int:
    """How many rows of river_job meet a condition."""
    with database.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {schema}.river_job WHERE {where}").fetchone()
    assert row is not None
    return int(row[0])


def pool(river: River, name: str) -> float:
    """One value of the pool's statistics, as River's own process exposes it."""
    text = requests.get(river.metrics_url, timeout=5).text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples if s.name == name]
    assert len(samples) == 1, text
    return samples[0].value


@both
def test_jobs_are_inserted_and_completed(database: Database, river: StartRiver) -> None:
    """A worker of either version inserts jobs and completes them, with nothing to complain about."""
    worker = river(rate=100, job_seconds=0.05)
    wait_for(lambda: count(database, "state = 'completed'") >= 50, 20, "50 completed jobs")
    assert not [line for line in worker.lines() if line.error]


@both
def test_a_schema_of_its_own(database: Database, river: StartRiver, river_version: Version) -> None:
    """Both versions migrate and work in a schema that only a quoted name reaches."""
    migrate(database.superuser_url, river_version, "Jobs")
    river(schema="Jobs", complete_tx=0.5, job_seconds=0)
    wait_for(lambda: count(database, "state = 'completed'", '"Jobs"') >= 20, 20, "20 completed jobs")
    assert count(database, "true") == 0


def test_queues_kinds_bursts_and_long_jobs(database: Database, river: StartRiver) -> None:
    """Queues and kinds each get their share; a burst comes at once; long jobs stay running."""
    river(queues={"default": 5, "mail": 5}, kinds=3, rate=60, job_seconds=0, burst_jobs=300, burst_each="1h")
    wait_for(lambda: count(database, "true") >= 360, 20, "a burst and 60 jobs more")
    with database.connect() as connection:
        shares: dict[str, int] = dict(connection.execute("SELECT queue, count(*) FROM river_job GROUP BY 1").fetchall())
        kinds: dict[str, int] = dict(connection.execute("SELECT kind, count(*) FROM river_job GROUP BY 1").fetchall())
    assert shares.keys() == {"default", "mail"}
    assert abs(shares["default"] - shares["mail"]) < 30
    assert len(kinds) == 3
    assert max(kinds.values()) - min(kinds.values()) < 30


def test_long_jobs_stay_running(database: Database, river: StartRiver) -> None:
    """A share of long jobs fills the workers one by one while short ones pass."""
    river(workers=10, rate=50, job_seconds=0.02, long_jobs=0.1, long_job_seconds=600)
    old = "state = 'running' AND attempted_at < now() - interval '1 second'"
    wait_for(lambda: count(database, old) == 10, 30, "ten workers on long jobs")


def test_jobs_completed_in_a_transaction_book_their_row(database: Database, river: StartRiver) -> None:
    """JobCompleteTx commits together with a row of the user's own table, and so does InsertTx."""
    river(rate=20, job_seconds=0, complete_tx=1, insert_tx=10)
    wait_for(lambda: count(database, "state = 'completed'") >= 40, 20, "40 completed jobs")
    with database.connect() as connection:
        unbooked = connection.execute(
            "SELECT count(*) FROM river_job WHERE state = 'completed' AND id NOT IN"
            " (SELECT job_id FROM river_worker_ledger)"
        ).fetchone()
    assert unbooked == (0,)


@pytest.mark.parametrize(("names", "gauge"), [("ibm", "acquired_conns"), ("otelpgx", "acquired_connections")])
def test_leaked_connections_show_and_come_back(river: StartRiver, names: str, gauge: str) -> None:
    """Leaks take connections out of River's own pool, as both libraries then say; a release returns them."""
    load: Load = {"rate": 0, "pool": 5, "pool_metrics": "otelpgx" if names == "otelpgx" else "ibm"}
    worker = river(**load)
    assert worker.leak(3) == 3
    assert pool(worker, f"pgxpool_{gauge}") >= 3
    with pytest.raises(ServerFailed, match="refuses leak"):
        worker.leak(3)
    wait_for(lambda: worker.release() > 0, 10, "the leaked connections")
    wait_for(lambda: pool(worker, f"pgxpool_{gauge}") <= 1, 10, "an idle pool")


def test_a_leak_in_a_transaction_is_idle_in_transaction(database: Database, river: StartRiver) -> None:
    """A leaked transaction looks as it does in life, and its release ends it."""
    worker = river(rate=0)
    worker.leak(2, transaction=True)
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = %s"
    with database.connect() as connection:
        assert connection.execute(query, [database.name]).fetchone() == (2,)
        worker.release()
        wait_for(lambda: connection.execute(query, [database.name]).fetchone() == (0,), 10, "the transactions to end")


def test_jobs_and_rate_change_while_it_runs(database: Database, river: StartRiver) -> None:
    """The control endpoint changes what jobs do and how many come; nonsense is refused."""
    worker = river(rate=0, pool=4, workers=4)
    worker.set_jobs(Hold=True, Seconds=600)
    worker.set_rate(50)
    wait_for(lambda: pool(worker, "pgxpool_acquired_conns") == 4, 20, "four jobs to hold four connections")
    worker.set_rate(0)
    worker.set_jobs(Hold=False, Seconds=0)
    wait_for(lambda: count(database, "state <> 'completed'") == 0, 20, "all jobs to complete")
    with pytest.raises(ServerFailed, match="not negative"):
        worker.set_rate(-1)


@both
def test_deadlines_are_those_of_the_log(river: StartRiver, database: Database) -> None:
    """A lock held for longer than the completer's ten seconds is one deadline in the log, and no more."""
    worker = river(rate=50)
    assert worker.deadlines() == []
    with psycopg.connect(database.superuser_url) as blocker:
        wait_for(
            lambda: blocker.execute("SELECT FROM river_job WHERE state = 'running' FOR UPDATE").rowcount > 0,
            10,
            "a running job to lock",
        )
        locked = blocker.execute("SELECT clock_timestamp()").fetchone()
        assert locked is not None
        wait_for(worker.deadlines, 20, "the completer's deadline")
    (first,) = worker.deadlines()
    assert 9 < (first - locked[0]).total_seconds() < 12
    assert worker.given_up() == []


def test_a_killed_worker_starts_again_at_its_address(river: StartRiver) -> None:
    """The pool's statistics keep their address over a crash, and the log goes on."""
    worker = river(rate=50)
    address = worker.metrics_url
    worker.kill()
    with pytest.raises(ServerFailed, match="doesn't take rate"):
        worker.set_rate(1)
    worker.start()
    assert worker.metrics_url == address
    assert pool(worker, "pgxpool_max_conns") == 10


def test_a_wrong_address_is_told_without_the_password() -> None:
    """A migration that can't reach its database says so, and never shows the password."""
    with pytest.raises(ServerFailed, match="could not migrate") as caught:
        migrate("postgresql://u:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(caught.value)
