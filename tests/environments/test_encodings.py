"""Databases whose encodings differ on one server: a text that cannot be converted costs that text."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Database
from tests.environments.conftest import Role
from tests.environments.seeing import seeing
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for

SIBLING = "sibling of raw bytes"
COMPLETE = "/* a client's own */ SELECT count(*) FROM river_leader"


@pytest.fixture
def sibling(database: Database) -> Iterator[None]:
    """Run a statement with a byte that is no UTF-8, in another database of the server, as its encoding allows."""
    server = database.server
    with server.connect() as superuser:
        superuser.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0").format(
                sql.Identifier(SIBLING)
            )
        )
    try:
        url = server.url(SIBLING)
        with psycopg.connect(url, autocommit=True, client_encoding="SQL_ASCII") as connection:
            connection.execute(b'SELECT 1 AS "caf\xe9"')
        yield
    finally:
        server.drop_database(SIBLING)
        with database.connect() as superuser:
            superuser.execute("SELECT pg_stat_statements_reset()")


@pytest.mark.usefixtures("sibling")
def test_one_bad_entry_costs_no_other_entry(role: Role) -> None:
    """No text can be read, so those are taken that sessions show; what has none is not counted as something else."""
    with seeing(role.url) as view:
        before = view.values("statements")
        capability = view.exporter.run("target")["river_exporter_capability"]["pg_stat_statements_texts",]
        assert capability == 0
        assert before.get("river_statement_calls_total", {}).keys() <= {("public", "other_river"), ("", "other")}
        modern = role.database.server.version >= 14
        with role.database.connect() as client:
            client.execute(COMPLETE)
            view.values("statements")
            client.execute(COMPLETE)
            found = view.values("statements").get("river_statement_calls_total", {})
            assert (found.get(("public", "other_river"), 0) >= 1) == modern
        fix = view.missing()["pg_stat_statements_texts"]
        role.sql(fix.partition(": ")[2])
        view.values("statements")
        assert view.missing() == {}
        role.sql("SELECT count(*) FROM river_queue", "SELECT count(*) FROM river_leader")
        wait_for(
            lambda: view.values("statements")["river_statement_calls_total"].get(("public", "other_river"), 0) >= 2,
            10,
            "statements to be counted by their texts again",
        )


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding_is_read(role: Role, encoding: str) -> None:
    """Every collector gives what it gives in UTF-8."""
    name = f"river_in_{encoding.lower()}"
    server = role.database.server
    with seeing(role.url) as view:
        expected = view.values().keys()
    with server.connect() as superuser:
        superuser.execute(
            sql.SQL("CREATE DATABASE {} ENCODING {} LOCALE 'C' TEMPLATE template0").format(
                sql.Identifier(name), sql.Literal(encoding)
            )
        )
    try:
        prepare(server, name, "encoded_exporter", "x")
        with seeing(server.url(name, "encoded_exporter", "x")) as view:
            assert view.values().keys() >= expected
            assert view.missing() == {}
    finally:
        server.drop_database(name)
        with server.connect() as superuser:
            superuser.execute("DROP ROLE IF EXISTS encoded_exporter")


def test_names_that_are_not_of_the_encoding_cost_nothing(role: Role) -> None:
    """A queue in a database of raw bytes, and a role of another database's, have a byte that is no UTF-8."""
    server, name = role.database.server, "raw_bytes"
    with server.connect() as superuser:
        superuser.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    raw = psycopg.connect(server.url(name), autocommit=True, client_encoding="SQL_ASCII")
    try:
        prepare(server, name, "raw_exporter", "x")
        raw.execute(b"CREATE ROLE \"caf\xe9\" LOGIN PASSWORD 'x'")
        raw.execute(
            b"INSERT INTO river_job (state, queue, kind, max_attempts, args, attempted_by, attempted_at)"
            b" VALUES ('running', 'caf\xe9', 'k\xe9', 1, '{}', ARRAY['a\xe9'], now())"
        )
        raw.execute(b"INSERT INTO river_queue (name, updated_at) VALUES ('caf\xe9', now())")
        raw.execute(b'SET ROLE "caf\xe9"')
        raw.execute(b'SELECT 1 AS "caf\xe9"')
        with seeing(server.url(name, "raw_exporter", "x")) as view:
            found = view.values()
            (queue,) = {queue for _, queue, _ in found["river_jobs"]}
            assert queue.startswith("caf")
            assert found["river_jobs"]["public", queue, "running"] == 1
            assert found["river_clients"] == {("public",): 1}
            assert view.missing() == {}
            assert {"river_sessions", "river_queue_paused_seconds", "river_jobs_stuck"} <= found.keys()
        with seeing(role.url) as view:  # the role is the whole server's: another database shows its sessions' name
            assert "river_sessions" in view.values()
    finally:
        raw.execute(b'RESET ROLE; DROP ROLE IF EXISTS "caf\xe9"')
        raw.close()
        server.drop_database(name)
        with server.connect() as superuser:
            superuser.execute("DROP ROLE IF EXISTS raw_exporter")
        with role.database.connect() as superuser:
            superuser.execute("SELECT pg_stat_statements_reset()")
