"""What real servers show of River's statements is recognised."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import psycopg
import pytest
from psycopg.pq import ExecStatus

from exporter.river.operations import Statement, classify
from tests.testbed.postgres import Postgres
from tests.testbed.process import wait_for
from tests.testbed.river import River, Version, migrate
from tests.testbed.river_source import statements

SOURCES: dict[Version, str] = {"0.51": "v0.51.1", "0.16": "v0.16.0"}
"""The Go modules whose texts are there to be compared."""

BROKEN = {"ClientCreateOrSetUpdatedAt", "ClientQueueCreateOrSetUpdatedAtMany"}
"""Statements of v0.16 that name a column which isn't there; River never sends them."""

VALUES = {16: b"true", 20: b"1", 21: b"1", 23: b"1", 25: b"default", 701: b"10", 1186: b"10 s", 3802: b"{}"}
"""A value for a parameter, by its type's OID; NULL for arrays and times."""

ROLE = "river_app"
PASSWORD = "made up"

SEEN = """
SELECT query FROM pg_stat_statements
WHERE userid = %s::regrole AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

_numbers = count(1)


@pytest.fixture(scope="module", params=[15, 18])
def server(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Postgres]:
    """Yield a PostgreSQL that keeps the name comment in pg_stat_statements (15), and one that doesn't (18)."""
    with ExitStack() as started:
        own = request.param != postgres.version
        chosen = started.enter_context(Postgres(request.param)) if own else postgres
        with chosen.connect() as connection:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
            yield chosen
            connection.execute(f"DROP ROLE {ROLE}")


@pytest.fixture
def owned(server: Postgres) -> Iterator[str]:
    """Yield an empty database that belongs to River's role."""
    name = f"operations_{next(_numbers)}"
    server.create_database(name)
    with server.connect(name) as connection:
        connection.execute(f"ALTER DATABASE {name} OWNER TO {ROLE}")
        connection.execute("CREATE EXTENSION pg_stat_statements")
    yield name
    server.drop_database(name)


@pytest.mark.parametrize(("version", "schema"), [("0.51", None), ("0.51", "my schema"), ("0.16", None)])
def test_every_statement_is_recognised_as_the_server_stores_it(
    server: Postgres, owned: str, version: Version, schema: str | None
) -> None:
    """Each real statement is run, and what pg_stat_statements makes of its text has its name."""
    migrate(server.url(owned), version, schema)
    prefix = f'"{schema}".' if schema else ""
    stored: dict[str, list[Statement]] = {}
    with server.connect(owned) as connection:
        state = connection.execute(f"SELECT '{prefix}river_job_state'::regtype::oid").fetchall()[0][0]
        for name, text in statements(SOURCES[version]).items():
            connection.execute(f"DELETE FROM {prefix}river_leader")  # one row is all it may hold
            connection.execute("SELECT pg_stat_statements_reset()")
            run(connection, text.replace("/* TEMPLATE: schema */", prefix), name, state)
            texts = [text for (text,) in connection.execute(SEEN, ["postgres"]).fetchall()]
            stored[name] = [each for each in map(classify, texts) if each.operation != "other"]
    found = {name: [each.operation for each in many] for name, many in stored.items() if name not in BROKEN}
    assert found == {name: [name] for name in found}
    assert len(found) > 40
    completing = stored["JobSetStateIfRunningMany"][0]
    assert completing == Statement(
        "JobSetStateIfRunningMany",
        schema,
        completes=True,
        in_transaction=version == "0.16",
        certain=server.version < 18,
        runtime="go",
    )


@pytest.mark.parametrize("version", SOURCES)
def test_a_real_rivers_statements_are_all_known(server: Postgres, owned: str, version: Version) -> None:
    """Nothing that a River worker's role sends is `other`, but for what any program sends."""
    url = server.url(owned, ROLE, PASSWORD)
    migrate(url, version)
    needed = {"JobSetStateIfRunningMany", "JobGetAvailable", "JobSchedule", "JobGetStuck", "JobDeleteBefore"}
    needed |= {
        "LeaderAttemptElect",
        "QueueCreateOrSetUpdatedAt",
        "JobInsertFastManyCopyFrom",
        "LISTEN",
        "BEGIN",
        "COMMIT",
    }
    with server.connect(owned) as connection:
        with River(url, version=version, rate=50, job_seconds=0.02):
            seen = wait_for(seen_operations(connection, needed), 30, "all of River's everyday operations")
        seen |= operations(connection)
    unknown = {text for text, statement in seen.items() if statement.operation == "other"}
    assert {text for text in unknown if not anyones(text)} == set()
    completing = [each for text, each in seen.items() if each.completes]
    assert {each.in_transaction for each in completing} == {version == "0.16"}


def seen_operations(connection: psycopg.Connection, needed: set[str]) -> Callable[[], dict[str, Statement] | None]:
    """Return a poll that collects texts from both views, and gives them once all that is needed was seen."""
    seen: dict[str, Statement] = {}

    def poll() -> dict[str, Statement] | None:
        seen.update(operations(connection))
        return seen if needed <= {statement.operation for statement in seen.values()} else None

    return poll


def operations(connection: psycopg.Connection) -> dict[str, Statement]:
    """Classify what both views show of River's role."""
    activity = "SELECT query FROM pg_stat_activity WHERE usename = %s AND query <> ''"
    texts = [text for view in (SEEN, activity) for (text,) in connection.execute(view, [ROLE]).fetchall()]
    return {text: classify(text) for text in texts}


def anyones(text: str) -> bool:
    """Whether any program might send this: a test of a connection, and River's migration that does nothing."""
    return re.sub(r"--[^\n]*", "", text).strip() in {"", "SELECT 1", "SELECT $1"}


def run(connection: psycopg.Connection, text: str, name: str, state: int) -> None:
    """Run a statement with made-up parameters, as pgx would: by the extended protocol.

    `state` is the OID of the type of a job's state.
    """
    prepared = connection.pgconn.prepare(b"", text.encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        assert name in BROKEN, prepared.error_message
        return
    description = connection.pgconn.describe_prepared(b"")
    types = [description.param_type(number) for number in range(description.nparams)]
    values = [b"available" if oid == state else VALUES.get(oid) for oid in types]
    result = connection.pgconn.exec_params(text.encode(), values)
    assert result.status in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}, (name, result.error_message)
