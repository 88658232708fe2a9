"""Each fault really gets into the completer's way, as it is known to look, and is really gone when it is lifted."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.conftest import Database, StartRiver
from tests.testbed.faults import FAULTS, Environment
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.process import ServerFailed, wait_for
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import River

both = pytest.mark.parametrize("river_version", ["0.51", "0.16"])

NETWORK = ["network-delay", "jitter", "black-hole", "accept-then-stall", "refuse"]


@pytest.fixture
def proxy(database: Database) -> Iterator[TcpProxy]:
    """Yield a proxy before the test's PostgreSQL."""
    with TcpProxy(database.server.host, database.server.port) as started:
        yield started


@pytest.fixture
def worker(river: StartRiver) -> River:
    """Return a worker with River's usual load, straight at its database."""
    return river()


@pytest.fixture
def environment(database: Database, worker: River) -> Environment:
    """Return what most faults need."""
    return Environment(database.superuser_url, worker)


def one(database: Database, query: str) -> float:
    """Run a query for one number."""
    with database.connect() as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return float(row[0] or 0)


def completed(database: Database) -> float:
    """How many jobs are completed."""
    return one(database, "SELECT count(*) FROM river_job WHERE state = 'completed' AND kind <> 'filler'")


def completes(database: Database, within: float = 60, jobs: int = 50) -> None:
    """Wait until that many more jobs are completed."""
    before = completed(database)
    wait_for(lambda: completed(database) >= before + jobs, within, f"{jobs} more jobs to complete")


def stalls(database: Database, seconds: float = 2) -> None:
    """Wait until nothing has been completed for so long (seconds of the wall clock)."""
    state = [completed(database), time.monotonic()]

    def still() -> bool:
        now = completed(database)
        if now != state[0]:
            state[:] = [now, time.monotonic()]
        return time.monotonic() - state[1] > seconds

    wait_for(still, 60, "completion to stop", interval=0.1)


def completer_waits(database: Database) -> set[tuple[str | None, str | None]]:
    """Return (type, event) for each completing statement of River's that is under way for half a second or more.

    River 0.16 completes in a transaction: while it commits, its query is just ``commit``.
    """
    with database.connect() as connection:
        return set(
            connection.execute(
                "SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name <> 'fault' AND state = 'active' AND clock_timestamp() - query_start > '0.5 s'"
                " AND (query LIKE '%JobSetStateIfRunningMany%' OR query = 'commit')"
            ).fetchall()
        )


@both
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        ("row-lock", ("Lock", "transactionid")),
        ("long-update", ("Lock", "transactionid")),
        ("other-river", ("Lock", "transactionid")),
        ("prepared-transaction", ("Lock", "transactionid")),
        ("table-lock", ("Lock", "relation")),
        ("ddl", ("Lock", "relation")),
        ("vacuum-full", ("Lock", "relation")),
        ("slow-statement", ("Timeout", "PgSleep")),
        ("slow-trigger", (None, None)),
        ("sync-standby", ("IPC", "SyncRep")),
    ],
)
def test_the_completing_statement_waits(
    fault: str, wait: tuple[str, str], database: Database, environment: Environment
) -> None:
    """While the fault lasts the completing statement is under way and shows that wait; then it is not, and goes on."""
    completes(database, jobs=20)
    with FAULTS[fault](environment):
        wait_for(lambda: wait in completer_waits(database), 30, f"the completer to wait for {wait}")
    completes(database)
    wait_for(lambda: wait not in completer_waits(database), 30, "the completer to wait no longer")


@both
@pytest.mark.parametrize("fault", ["pool-exhausted", "transactions-leaked", "pool-held"])
def test_a_pool_without_connections_shows_no_statement(
    fault: str, database: Database, environment: Environment, worker: River
) -> None:
    """Without a connection in River's pool completion stops, in pg_stat_activity there is nothing, and attempts die."""
    completes(database, jobs=20)
    with FAULTS[fault](environment):
        stalls(database)
        assert completer_waits(database) == set()
        wait_for(worker.deadlines, 30, "the completer's deadline")
    completes(database)


def test_one_connection_left_is_enough(database: Database, environment: Environment) -> None:
    """With all connections leaked but one, completion goes on; the last one stops it; fewer heal it."""
    with FAULTS["pool-exhausted"](environment, 9) as fault:
        completes(database)
        fault.set(10)
        stalls(database)
        fault.set(5)
        completes(database)


@pytest.mark.parametrize(
    ("river_version", "exec_mode"), [("0.51", "exec"), ("0.16", "cache_describe")], ids=["0.51", "0.16"]
)
def test_pgbouncer_without_server_connections(database: Database, river: StartRiver, exec_mode: str) -> None:
    """With all of PgBouncer's server connections held completion stops, nothing shows, and attempts die."""
    with PgBouncer(database.server, database.name, pool_size=5) as pgbouncer:
        # Long enough that some still run when the last connection has gone, and need completing then.
        worker = river(pgbouncer.url(), exec_mode=exec_mode, poll_only=True, job_seconds=2, rate=10)
        completes(database, jobs=20)
        with FAULTS["pgbouncer-exhausted"](Environment(database.superuser_url, worker, pgbouncer=pgbouncer)):
            stalls(database)
            assert completer_waits(database) == set()
            wait_for(worker.deadlines, 30, "the completer's deadline")
        completes(database)
        worker.stop()


@both
@pytest.mark.parametrize("fault", NETWORK)
def test_a_bad_network_shows_no_statement(fault: str, database: Database, river: StartRiver, proxy: TcpProxy) -> None:
    """A network that is too slow or dead stops completion; pg_stat_activity shows no statement that lasts."""
    worker = river(proxy.url(database.superuser_url))
    completes(database, jobs=20)
    environment = Environment(database.superuser_url, worker, proxy)
    with FAULTS[fault](environment):
        stalls(database, 1 if fault == "jitter" else 2)
        assert completer_waits(database) == set()
    completes(database)
    worker.stop()


def test_attempts_die_in_a_slow_network(database: Database, river: StartRiver, proxy: TcpProxy) -> None:
    """A round trip of more than ten seconds ends attempts at their deadline, by River's own log."""
    worker = river(proxy.url(database.superuser_url))
    completes(database, jobs=20)
    with FAULTS["network-delay"](Environment(database.superuser_url, worker, proxy)):
        wait_for(worker.deadlines, 40, "the completer's deadline")
    completes(database)
    worker.stop()


def test_a_delay_grows(database: Database, river: StartRiver, proxy: TcpProxy) -> None:
    """A delay that is raised step by step makes completion later and later, without stopping it."""
    lag = (
        "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin) - finalized_at)) FROM river_job"
        " WHERE state = 'completed' AND finalized_at > now() - interval '1 second'"
    )
    worker = river(proxy.url(database.superuser_url))
    completes(database, jobs=20)
    with FAULTS["network-delay"](Environment(database.superuser_url, worker, proxy), 0.2) as fault:
        wait_for(lambda: 0.3 <= one(database, lag) < 0.9, 40, "a lag of the first step")
        fault.set(1.5)
        wait_for(lambda: one(database, lag.replace("1 second", "4 seconds")) > 1.0, 40, "a lag of the second step")
    worker.stop()


def test_a_slow_statement_grows(database: Database, environment: Environment) -> None:
    """The duration of completing statements follows the intensity, for those under way too."""
    mean = (
        "SELECT max(extract(epoch FROM clock_timestamp() - query_start)) FROM pg_stat_activity"
        " WHERE query LIKE '%JobSetStateIfRunningMany%' AND state = 'active' AND datname = current_database()"
        " AND application_name <> 'fault'"
    )
    with FAULTS["slow-statement"](environment, 600) as fault:
        wait_for(lambda: one(database, mean) > 2, 40, "a statement of more than 2 s")
        fault.set(0.1)
        completes(database)
        wait_for(lambda: one(database, mean) < 2, 30, "statements of less than 2 s")


def test_a_held_fault_comes_and_goes(database: Database, environment: Environment) -> None:
    """With an intensity a lock is held again and again for so long, and jobs complete in between."""
    with FAULTS["row-lock"](environment, 1.5):
        for _ in range(2):
            wait_for(lambda: completer_waits(database), 30, "the completer to wait")
            completes(database, jobs=1)


def test_a_missing_index_makes_completing_scan_the_table(database: Database, environment: Environment) -> None:
    """Without its indexes each completing statement reads the whole table; the indexes come back as they were."""
    blocks = blocks_of("query ~ 'UPDATE' AND query ~ 'job_input'")
    completes(database)
    healthy, before = one(database, blocks), indexes(database)
    with FAULTS["missing-index"](environment, 50_000):
        assert len(before) - len(indexes(database)) >= 2
        one(database, "SELECT count(*) FROM (SELECT pg_stat_statements_reset()) x")
        completes(database)
        assert one(database, blocks) > 20 * healthy
    assert indexes(database) == before
    assert one(database, "SELECT count(*) FROM river_job WHERE kind = 'filler'") == 0
    completes(database)


def indexes(database: Database) -> list[str]:
    """The definitions of river_job's indexes."""
    with database.connect() as connection:
        query = "SELECT indexdef FROM pg_indexes WHERE tablename = 'river_job' ORDER BY indexname"
        return [row[0] for row in connection.execute(query)]


def blocks_of(condition: str) -> str:
    """The query for how many blocks a call of statements that meet a condition reads."""
    return (
        "SELECT sum(shared_blks_hit + shared_blks_read) / sum(calls) FROM pg_stat_statements JOIN pg_database d"
        f" ON d.oid = dbid WHERE datname = current_database() AND {condition}"
    )


def test_bloat_makes_fetching_slow(database: Database, environment: Environment) -> None:
    """Dead rows that nobody may vacuum lie in the way of fetching, until the old snapshot has gone."""
    blocks = blocks_of("query ~ 'locked_jobs' AND query ~ 'SKIP LOCKED'")
    dead = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'river_job'"
    completes(database)
    healthy = one(database, blocks)
    with FAULTS["bloat"](environment, 50_000):
        one(database, "SELECT count(*) FROM (SELECT pg_stat_statements_reset()) x")
        completes(database)
        assert one(database, blocks) > 20 * healthy
        wait_for(lambda: one(database, dead) > 40_000, 30, "the statistics to count dead rows")
    wait_for(lambda: one(database, dead) < 5_000, 30, "the dead rows to go")
    completes(database)


def test_a_checkpoint_storm_checkpoints(database: Database, environment: Environment) -> None:
    """Checkpoints follow each other while it lasts; settings and tables are as before afterwards."""
    new = database.server.version >= 17
    count = "SELECT num_requested FROM pg_stat_checkpointer" if new else "SELECT checkpoints_req FROM pg_stat_bgwriter"
    limit = "SELECT setting FROM pg_settings WHERE name = 'max_wal_size'"
    before, usual = one(database, count), one(database, limit)
    with FAULTS["checkpoint-storm"](environment):
        wait_for(lambda: one(database, count) >= before + 5, 30, "five checkpoints")
    wait_for(lambda: one(database, limit) == usual, 30, "the settings of before")
    assert one(database, "SELECT count(*) FROM pg_namespace WHERE nspname = 'river_fault'") == 0
    completes(database)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_lifted_after_an_exception(
    fault: str, database: Database, river: StartRiver, proxy: TcpProxy
) -> None:
    """An exception while a fault lasts lifts it all the same, and comes out unchanged."""
    with PgBouncer(database.server, database.name, pool_size=10) as pgbouncer:
        url = proxy.url(database.superuser_url)
        worker = river(pgbouncer.url(), exec_mode="exec", poll_only=True) if "bouncer" in fault else river(url)
        environment = Environment(database.superuser_url, worker, proxy, pgbouncer)
        small = {"missing-index": 1000.0, "bloat": 1000.0}.get(fault)
        with pytest.raises(ZeroDivisionError), FAULTS[fault](environment, small):
            raise ZeroDivisionError
        completes(database)
        worker.stop()
    assert traces(database) == []


def traces(database: Database) -> list[str]:
    """Name what a fault left in the database."""
    checks = {
        "a session": "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fault'",
        "a prepared transaction": "SELECT count(*) FROM pg_prepared_xacts",
        "the schema": "SELECT count(*) FROM pg_namespace WHERE nspname = 'river_fault'",
        "a trigger": "SELECT count(*) FROM pg_trigger WHERE tgname = 'fault'",
        "filler": "SELECT count(*) FROM river_job WHERE kind = 'filler'",
        "a setting": "SELECT count(*) FROM pg_settings WHERE sourcefile LIKE '%auto.conf'",
    }
    wait_for(lambda: one(database, checks["a session"]) == 0, 30, "the fault's sessions to end")
    return [what for what, query in checks.items() if one(database, query) > 0]


@pytest.mark.parametrize(
    ("fault", "part"), [("black-hole", "proxy"), ("pool-exhausted", "River"), ("pgbouncer-exhausted", "PgBouncer")]
)
def test_a_fault_names_the_part_it_misses(fault: str, part: str) -> None:
    """A fault that needs a part the environment hasn't got says which."""
    with pytest.raises(ServerFailed, match=part), FAULTS[fault](Environment("postgresql://nowhere.invalid")):
        pass


def test_a_fault_that_fails_says_why() -> None:
    """A fault whose database isn't there raises while it is provoked."""
    with pytest.raises(psycopg.OperationalError), FAULTS["row-lock"](Environment("postgresql://127.0.0.1:1/x")):
        pass
