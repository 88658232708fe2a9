"""The probe: the network as River has it, what hangs counted while it hangs, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from exporter.budget import Wait
from exporter.budget.evidence import Completions, Sessions, Waiting
from exporter.collectors.pgbouncer import PgbouncerCollector
from exporter.config import load
from exporter.postgres.address import addresses
from tests.collecting import Exporter
from tests.conftest import PASSWORD, ROLE, Database
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.process import wait_for
from tests.testbed.proxy import TcpProxy


@pytest.fixture
def proxy(database: Database) -> Iterator[TcpProxy]:
    """Yield a proxy before the test's PostgreSQL."""
    with TcpProxy(database.server.host, database.server.port) as started:
        yield started


@pytest.fixture
def exporter(database: Database, proxy: TcpProxy) -> Iterator[Exporter]:
    """Yield an exporter whose probe goes through the proxy, like River; an answer may take two seconds."""
    url = proxy.url(database.exporter_url)
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_URL=url, RIVER_EXPORTER_RIVER_TIMEOUT="2s") as entered:
        yield entered
        entered.collector("probe").close()


def network(exporter: Exporter) -> Wait:
    """What the budget is told of the network at this moment."""
    found = waited(exporter, "network")
    assert found is not None
    return found


def waited(exporter: Exporter, source: str) -> Wait | None:
    """What a source says of waiting at this moment."""
    now = exporter.context.clock()
    waiting = exporter.context.board.latest(Waiting, source, now)
    return waiting.at_moment(now) if waiting else None


def say(exporter: Exporter, source: str, wait: Wait) -> None:
    """Let a source say something."""
    exporter.context.board.put(f"test {source}", [Waiting(source, exporter.context.clock(), wait)])


@contextmanager
def asking(exporter: Exporter) -> Iterator[threading.Thread]:
    """Let the probe ask in a thread, as its lane does."""
    thread = threading.Thread(target=exporter.run, args=("probe",))
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def test_connections_and_round_trips_are_timed(exporter: Exporter) -> None:
    """The first question is a new connection, with a phase each; the next one uses the standing one."""
    exporter.run("probe")
    found = exporter.run("probe")
    assert found["river_probe_connect_seconds_count"][()] == 1
    assert found["river_probe_roundtrip_seconds_count"][()] == 1
    assert found["river_exporter_acquire_seconds_count"][()] == 2
    assert {phase for (phase,) in found["river_probe_phase_seconds"]} == {"tcp", "tls", "login", "query"}
    assert network(exporter).done < 0.5
    assert set(found["river_probe_failures_total"].values()) == {0}


def test_a_delay_is_felt_by_the_round_trip(exporter: Exporter, proxy: TcpProxy) -> None:
    """Of 0.15 s, on the standing connection; a proxy accepts TCP at once and delays what follows."""
    exporter.run("probe")
    proxy.delay_seconds = 0.15
    exporter.run("probe")
    assert 0.15 <= network(exporter).done < 1.5
    exporter.collector("probe").close()
    phases = exporter.run("probe")["river_probe_phase_seconds"]
    assert phases["tcp",] < phases["login",]
    assert phases["login",] >= 0.3  # of two round trips at the least


@pytest.mark.parametrize(
    ("fault", "standing"), [("black_hole", True), ("black_hole", False), ("accept_then_stall", False)]
)
def test_what_hangs_counts_while_it_hangs(exporter: Exporter, proxy: TcpProxy, fault: str, standing: bool) -> None:
    """It does not wait for its own time-out to say so, and goes on over the next tries until an answer comes."""
    if standing:
        exporter.run("probe")
    getattr(proxy, fault)()
    with asking(exporter) as thread:
        wait_for(lambda: network(exporter).now > 0.5, 10, "the wait to be counted", interval=0.02)
        assert thread.is_alive()
    found = exporter.run("probe")
    assert found["river_probe_failures_total"]["timeout",] == 2
    assert network(exporter).now > 3.5  # two tries of two seconds are one wait
    proxy.heal()
    exporter.run("probe")
    assert network(exporter).now == 0


def test_a_refused_connection_is_no_wait(exporter: Exporter, proxy: TcpProxy) -> None:
    """Whoever is told no at once does not wait; the failure is counted by its reason."""
    exporter.run("probe")
    proxy.refuse()
    exporter.run("probe")
    found = exporter.run("probe")["river_probe_failures_total"]
    assert found["refused",] >= 1
    said = waited(exporter, "network")
    assert said is None or said.now == 0
    proxy.heal()
    exporter.run("probe")
    assert network(exporter).done < 0.5


@pytest.fixture
def pgbouncer(database: Database) -> Iterator[PgBouncer]:
    """Yield a PgBouncer in transaction mode with one server connection per user."""
    with PgBouncer(database.server, database.name, {ROLE: PASSWORD}, pool_size=1) as started:
        yield started


SETTINGS = "SELECT name, setting FROM pg_settings WHERE source NOT IN ('default', 'configuration file', 'override')"
LEFT = "SELECT count(*) FROM pg_prepared_statements"


def state(url: str) -> tuple[object, ...]:
    """What a client of a pooler finds on the server connection it is lent: the pid, settings and statements."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=None, application_name="") as client:
        pid = client.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
        settings = sorted(client.execute(SETTINGS, prepare=False).fetchall())
        return pid, settings, client.execute(LEFT, prepare=False).fetchone()


def test_nothing_stays_on_a_pooler_s_server_connection(database: Database, pgbouncer: PgBouncer) -> None:
    """No setting, no prepared statement, no name: the next client finds it as it was."""
    url = pgbouncer.url(ROLE)
    before = state(url)
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_URL=url) as exporter:
        for _ in range(12):
            exporter.run("probe")
        exporter.collector("probe").close()
        found = exporter.run("probe")
        assert set(found["river_probe_failures_total"].values()) == {0}
        exporter.collector("probe").close()
    assert state(url) == before


def test_an_exhausted_pooler_is_told_from_a_dead_network(database: Database, pgbouncer: PgBouncer) -> None:
    """The pooler answers while its question waits for a server connection; its console says who waits and how long."""
    url = pgbouncer.url()  # River's user is another than ours, and so is its pool
    settings = {
        "RIVER_EXPORTER_RIVER_URL": url,
        "RIVER_EXPORTER_RIVER_TIMEOUT": "3s",
        "RIVER_EXPORTER_PGBOUNCER_URL": pgbouncer.console_url,
    }
    with Exporter(database.exporter_url, **settings) as exporter:
        exporter.run("probe")
        found = exporter.run("pgbouncer")
        assert found["river_pool_max_connections"]["pgbouncer",] == 1
        assert found["river_pool_clients_waiting"]["pgbouncer",] == 0
        with psycopg.connect(url, prepare_threshold=None) as holder:
            holder.execute("SELECT 1")
            with asking(exporter):
                wait_for(
                    lambda: exporter.run("pgbouncer")["river_pgbouncer_maxwait_seconds"][()] > 1.5,
                    10,
                    "a client to wait",
                )
                found = exporter.run("pgbouncer")
                assert found["river_pool_clients_waiting"]["pgbouncer",] == 1
                assert found["river_pool_connections"]["pgbouncer", "acquired"] == 1
                said = waited(exporter, "pgbouncer")
                assert said is not None
                assert said.now > 1.5
                assert network(exporter).now < 1.5
                say(exporter, "pgxpool", Wait("pgxpool", 0.0, 0.0, 0.0))  # River's pool is free
                exporter.run("target")
                assert exporter.run("budget")["river_budget_source"]["public", "pool", "pgbouncer"] == 1
            wait_for(
                lambda: exporter.run("pgbouncer")["river_pool_free_ratio"]["pgbouncer",] == 0,
                20,
                "ten seconds without a free connection",
            )
        wait_for(
            lambda: exporter.run("pgbouncer")["river_pool_clients_waiting"]["pgbouncer",] == 0, 10, "it to be free"
        )
        exporter.collector("pgbouncer").close()
        exporter.collector("probe").close()


def test_the_console_is_asked_anew_after_a_restart_and_at_another_address(
    database: Database, pgbouncer: PgBouncer
) -> None:
    """A lost connection is made again; a reload's new address is used at once."""
    with Exporter(database.exporter_url, RIVER_EXPORTER_PGBOUNCER_URL=pgbouncer.console_url) as exporter:
        exporter.run("pgbouncer")
        with PgBouncer(database.server, database.name, pool_size=7) as other:
            environment = {"DATABASE_URL": database.exporter_url, "RIVER_EXPORTER_PGBOUNCER_URL": other.console_url}
            exporter.context.config = load(None, environment)
            _, _, exporter.context.pgbouncer = addresses(exporter.context.config, environment)
            collector = exporter.collector("pgbouncer")
            assert isinstance(collector, PgbouncerCollector)
            exporter.run("pgbouncer")
            assert collector._connection is not None
            assert collector._connection.info.port == other.port
        with pytest.raises(Exception, match=r"connection"):
            exporter.run("pgbouncer")
        began = time.monotonic()
        with pytest.raises(Exception, match="refused"):
            exporter.run("pgbouncer")
        assert time.monotonic() - began < 3


def test_a_changed_window_holds_what_is_held_already(database: Database) -> None:
    """A reload that shortens it lets the probe's peaks go after the new window."""
    with Exporter(database.exporter_url) as exporter:
        exporter.run("probe")
        assert exporter.context.snapshot._peaks
        changed = load(None, {"DATABASE_URL": database.exporter_url, "RIVER_EXPORTER_WINDOW": "20s"})
        exporter.context.configure(changed)
        assert {peak.window for _, peak in exporter.context.snapshot._peaks} == {20.0}
        exporter.collector("probe").close()


def test_what_stays_away_speaks_where_nobody_sees_rivers_own_pool(database: Database) -> None:
    """A pool that leaks before a healthy PgBouncer; but not once River's own statistics say that it is free."""
    with Exporter(database.exporter_url) as exporter:
        for name in ("target", "sessions"):
            exporter.run(name)
        now = exporter.context.clock()
        say(exporter, "network", Wait("probe", 0.001, 0.0, now))
        say(exporter, "pgbouncer", Wait("pgbouncer", 0.0, 0.0, now))
        pieces = [Sessions("public", now, total=1, recognised=True), Completions("public", now, seconds=6.0)]
        exporter.context.board.put("test", pieces)
        found = exporter.run("budget")
        assert found["river_budget_source"]["public", "pool", "residual"] == 1
        assert found["river_completer_budget_seconds"]["public", "pool"] == 6
        for source in ("pgxpool", "sql"):  # what the page says it is
            say(exporter, "pgxpool", Wait(source, 0.0, 0.0, now))
            assert exporter.run("budget")["river_budget_source"]["public", "pool", source] == 1


def test_what_stays_away_is_not_put_down_to_the_pool_of_a_completer_never_recognised(database: Database) -> None:
    """Then the cause is unknown: a runtime whose statement is not known would look the same."""
    with Exporter(database.exporter_url) as exporter:
        exporter.run("target")
        now = exporter.context.clock()
        say(exporter, "network", Wait("probe", 0.001, 0.0, now))
        exporter.context.board.put("test", [Sessions("public", now, total=1), Completions("public", now, seconds=6.0)])
        found = exporter.run("budget")
        assert ("public", "pool", "residual") not in found["river_budget_source"]
        assert found["river_completer_state"]["public", "stalled"] == 1
        assert found["river_completer_cause"] == {("public", "unknown"): 1}
