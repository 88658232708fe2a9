"""The exporter's connections: at most three, each with a state of its own, replaced as soon as one is in doubt."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from exporter.collectors.base import DatabaseCollector
from exporter.config import load
from exporter.postgres.address import Address, addresses
from exporter.postgres.sessions import Database as Sessions
from exporter.postgres.sessions import Unreachable
from exporter.postgres.state import ConnectionState, combined
from tests.collecting import Exporter as Collecting
from tests.conftest import PASSWORD, ROLE, Database, StartExporter
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import free_port, wait_for
from tests.testbed.proxy import TcpProxy


def ours(database: Database) -> int:
    """Return how many connections the exporter's role has."""
    with database.connect() as superuser:
        row = superuser.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [ROLE]).fetchone()
    assert row is not None
    return int(row[0])


def cut(database: Database) -> None:
    """End every session of the exporter's role."""
    with database.connect() as superuser:
        superuser.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [ROLE])


@contextmanager
def limited(database: Database, limit: int) -> Iterator[None]:
    """Allow the role so many connections."""
    query = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
    with database.connect() as superuser:
        before = superuser.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
        assert before is not None
        superuser.execute(query.format(sql.Identifier(ROLE), limit))
        try:
            yield
        finally:
            superuser.execute(query.format(sql.Identifier(ROLE), before[0]))


def address(url: str, **settings: str) -> Address:
    """Return the address of the database that a URL gives."""
    variables = {f"RIVER_EXPORTER_{name}": value for name, value in settings.items()}
    return addresses(load(None, {"RIVER_EXPORTER_DATABASE_URL": url, **variables}), {})[0]


def sessions(url: str, deadline: float = 5.0) -> Sessions:
    """Return the two sessions on an address."""
    return Sessions(address(url), deadline)


def test_never_more_than_three_connections(database: Database, exporter: StartExporter) -> None:
    """Sampler, collectors and probe; also while they are cut off and replaced."""
    running = exporter()
    wait_for(lambda: running.metrics().samples("river_jobs_finished_total"), 20, "the first collections")
    largest = 0
    for round_number in range(60):
        if round_number % 20 == 10:
            cut(database)
        largest = max(largest, ours(database))
        time.sleep(0.1)
    wait_for(lambda: ours(database) == 3, 20, "all three again")
    assert largest <= 3


def test_a_collectors_connection_that_was_cut_is_replaced_within_the_same_run(database: Database) -> None:
    """The pool checks it before it is used, so no collector fails for it."""
    with Collecting(database.exporter_url) as exporter:
        collector = exporter.collector("jobs")
        assert isinstance(collector, DatabaseCollector)
        exporter.run("jobs")
        before = collector.lease.generation
        cut(database)
        exporter.run("jobs")
        assert collector.lease.generation == before + 1


def test_each_session_has_a_state_of_its_own(database: Database) -> None:
    """With one connection left the sampler works and the collectors do not: together that is no contact."""
    with limited(database, 1):
        held = sessions(database.exporter_url, 2.0)
        sampler, collectors = held.leases["sampler"], held.leases["database"]
        assert held.state is ConnectionState.UNTRIED
        try:
            with sampler.session():
                pass
            assert (sampler.state, held.state) == (ConnectionState.UP, ConnectionState.UP)
            with pytest.raises(Unreachable, match="too many connections for role"), collectors.session():
                pass
            with sampler.session():
                pass
            assert (sampler.state, collectors.state) == (ConnectionState.UP, ConnectionState.AUTH)
            assert (held.state, held.state.reason) == (ConnectionState.AUTH, "auth")
        finally:
            held.close()


def test_a_failure_of_one_session_is_the_state_of_all() -> None:
    """Whichever it is; without one, up once a session is."""
    up, untried, refused = ConnectionState.UP, ConnectionState.UNTRIED, ConnectionState.REFUSED
    assert combined([up, refused]) is combined([refused, up]) is combined([untried, refused]) is refused
    assert combined([untried, up]) is up
    assert combined([untried, untried]) is untried
    assert (up.reason, untried.reason, refused.reason) == (None, None, "refused")


def test_a_server_that_refuses_is_asked_seldom_by_the_sampler() -> None:
    """A run in between fails at once, with the reason of the last attempt."""
    attempts = 0
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        nonlocal attempts
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            attempts += 1
            connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    held = sessions(f"postgres://127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable")
    try:
        ends, runs = time.monotonic() + 2.5, 0
        while time.monotonic() < ends:
            with pytest.raises(Unreachable), held.leases["sampler"].session():
                pass
            runs += 1
            time.sleep(0.05)
        assert runs > 10
        assert 2 <= attempts <= 3  # at 0, 1 and 3 s
    finally:
        held.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_another_address_replaces_both_connections(database: Database) -> None:
    """The same one keeps them, and with them the lock; a wrong one is noticed by both."""
    held = sessions(database.exporter_url)
    try:
        for lease in held.leases.values():
            with lease.session():
                pass
        held.move(held.address, 5.0)
        for lease in held.leases.values():
            with lease.session():
                assert lease.generation == 1
        held.move(address(database.exporter_url, DATABASE_STATEMENT_TIMEOUT="2s"), 4.0)
        for lease in held.leases.values():
            with lease.session():
                assert lease.generation == 2
        held.move(address(f"postgres://127.0.0.1:{free_port()}/x"), 2.0)
        for lease in held.leases.values():
            with pytest.raises(Unreachable, match="refused"), lease.session():
                pass
            assert lease.state is ConnectionState.REFUSED
    finally:
        held.close()


def test_the_collectors_connection_is_made_again_with_the_sampler_s(database: Database) -> None:
    """Without a run of theirs: an exporter that is not elected has few, and the pool has given up by then."""
    with TcpProxy(database.server.host, database.server.port) as proxy:
        held = sessions(proxy.url(database.exporter_url), 2.0)
        sampler, collectors = held.leases["sampler"], held.leases["database"]
        try:
            with sampler.session(), collectors.session():
                pass
            proxy.refuse()
            for lease in (sampler, collectors):
                with pytest.raises(Unreachable), lease.session() as session:
                    session._connection.execute("SELECT 1")
            wait_for(lambda: held._pooled._pool.get_stats()["pool_size"] == 0, 20, "the pool to give up")
            proxy.heal()

            def sampled() -> bool:
                try:
                    with sampler.session():
                        return True
                except Unreachable:
                    return False

            wait_for(sampled, 10, "the sampler")
            wait_for(lambda: held.state is ConnectionState.UP, 3, "the collectors' connection")
        finally:
            held.close()


# --- encodings

RAW = b"caf\xe9"
"""Latin 1: no valid UTF-8."""


@pytest.fixture(scope="module")
def ascii_database() -> Iterator[Database]:
    """Yield a SQL_ASCII database with River, on a server of its own: its statements would stay in the shared one's."""
    with Postgres(18) as server:
        with server.connect() as superuser:
            superuser.execute("CREATE DATABASE app ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        prepare(server, "app", ROLE, PASSWORD)
        yield Database("app", server, server.url("app"), server.url("app", ROLE, PASSWORD))


def raw_session(database: Database, user: bytes | None = None) -> psycopg.Connection:
    """Open a session whose texts are sent as they are."""
    conninfo = psycopg.conninfo.make_conninfo(database.superuser_url, client_encoding="SQL_ASCII")
    connection = psycopg.connect(conninfo, autocommit=True)
    if user is not None:
        connection.execute(b'SET SESSION AUTHORIZATION "' + user + b'"')
    return connection


def test_a_sql_ascii_database_is_read_as_any_other(ascii_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a queue, a role and statements that are no UTF-8, and with PGCLIENTENCODING=SQL_ASCII."""
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    with raw_session(ascii_database) as river:
        river.execute(b'CREATE ROLE "' + RAW + b'" SUPERUSER LOGIN')
        river.execute(
            b"INSERT INTO river_job (args, kind, max_attempts, queue, state) "
            b"VALUES ('{}', 'k', 1, '" + RAW + b"', 'available')"
        )
        river.execute(b"INSERT INTO river_queue (name, metadata, updated_at) VALUES ('" + RAW + b"', '{}', now())")
        river.execute(b'SELECT 1 AS "' + RAW + b'"')
        with Collecting(ascii_database.exporter_url) as exporter:
            for name in ("target", "sessions", "locks", "statements", "jobs", "river", "stuck", "server", "storage"):
                exporter.run(name)
            queues = {labels[1] for labels in exporter.run("jobs")["river_jobs"]}
            assert "caf�" in queues
            assert exporter.context.database.undecodable > 0
            assert exporter.context.database.state is ConnectionState.UP


@pytest.mark.parametrize("name", ["app", "utf8"])
def test_a_session_of_a_role_that_is_no_utf_8_is_seen(ascii_database: Database, name: str) -> None:
    """Roles are shared by all databases of a server, so its name is no UTF-8 in a UTF-8 database either."""
    server = ascii_database.server
    role = f"n\xe9e_{name}".encode("latin-1")
    with raw_session(ascii_database) as superuser:
        superuser.execute(b'CREATE ROLE "' + role + b"\" SUPERUSER LOGIN PASSWORD 'x'")
    if name != "app":
        server.create_database(name)
        prepare(server, name, ROLE, PASSWORD)
    place = f"host={server.host} port={server.port} dbname={name} password=x client_encoding=SQL_ASCII user="
    pgconn = psycopg.pq.PGconn.connect(place.encode() + role)
    assert pgconn.status == psycopg.pq.ConnStatus.OK, pgconn.error_message
    pgconn.exec_(b"-- name: JobGetAvailable :many\nSELECT 1 FROM river_job")
    try:
        with Collecting(server.url(name, ROLE, PASSWORD)) as exporter:
            found = exporter.run("sessions")
            assert sum(found["river_sessions"].values()) >= 1
            assert exporter.context.database.undecodable > 0
    finally:
        pgconn.finish()


# --- what refuses our sessions


def refusing(listener: socket.socket, message: str) -> None:
    """Answer each startup message with an error, as a server that cannot be had here does (RDS Proxy)."""
    fields = b"SFATAL\0VFATAL\0C0A000\0M" + message.encode() + b"\0\0"
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)


def test_rds_proxy_is_named_where_it_refuses_our_settings() -> None:
    """With the address to give instead; its message is the one its users report."""
    listener = socket.create_server(("127.0.0.1", 0))
    message = "Feature not supported: RDS Proxy currently doesn't support command-line options."
    threading.Thread(target=refusing, args=(listener, message), daemon=True).start()
    held = sessions(f"postgres://127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable", 2.0)
    try:
        for lease in held.leases.values():
            with (
                pytest.raises(Unreachable, match="give it the endpoint of the DB instance or cluster"),
                lease.session(),
            ):
                pass
    finally:
        held.close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_run_time_settings_of_the_url_reach_the_server(database: Database) -> None:
    """A role, a time zone and a custom setting, beside our own limits; read-write means the primary."""
    with database.connect() as superuser:
        superuser.execute(f"CREATE ROLE app_owner; GRANT app_owner TO {ROLE}".encode())
    url = (
        f"{database.exporter_url}?role=app_owner&TimeZone=Asia/Tokyo&myapp.x=a%20b&statement_timeout=1h"
        "&target_session_attrs=read-write&default_query_exec_mode=exec"
    )
    held = sessions(url)
    try:
        with held.leases["sampler"].session() as session:
            row = session._connection.execute(
                "SELECT current_user, current_setting('TimeZone'), current_setting('myapp.x'), "
                "current_setting('statement_timeout'), current_setting('transaction_read_only')"
            ).fetchone()
        assert row == ("app_owner", "Asia/Tokyo", "a b", "3s", "on")
    finally:
        held.close()
        with database.connect() as superuser:
            superuser.execute("DROP ROLE app_owner")
