"""Statements: pg_stat_statements by River's operations; resets, evictions and our own statements do no harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter.postgres.role import render
from tests.collecting import Exporter, Values
from tests.conftest import ROLE, Database, StartRiver
from tests.playing import COMPLETE, add_jobs
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for
from tests.testbed.river import migrate

COMPLETING = "JobSetStateIfRunningMany"
CALLS = "river_statement_calls_total"


def calls(values: Values, operation: str = COMPLETING, schema: str = "public") -> float:
    """Calls of an operation so far."""
    return values.get(CALLS, {}).get((schema, operation), 0.0)


def complete(database: Database, times: int = 1) -> None:
    """Complete a job per statement, as River does, all in one session."""
    jobs = add_jobs(database, times)
    with database.connect() as connection:
        for job in jobs:
            connection.execute(COMPLETE.encode(), [[job]])


def test_what_was_there_before_counts_for_nothing(database: Database) -> None:
    """The first reading is only the base of what follows; then every call counts once."""
    complete(database, 5)
    with Exporter(database.exporter_url) as exporter:
        assert calls(exporter.run("statements")) == 0
        complete(database, 3)
        found = exporter.run("statements")
        assert calls(found) == 3
        assert found["river_statement_rows_total"]["public", COMPLETING] == 3
        assert found["river_statement_seconds_total"]["public", COMPLETING] > 0
        assert found["river_statement_blocks_total"]["public", COMPLETING, "hit"] > 0
        assert calls(exporter.run("statements")) == 3


def test_a_reset_is_neither_a_fall_nor_a_spike(database: Database) -> None:
    """What was gathered since it counts, and nothing twice."""
    with Exporter(database.exporter_url) as exporter, database.connect() as superuser:
        complete(database, 5)
        before = calls(exporter.run("statements"))
        complete(database, 5)
        assert calls(exporter.run("statements")) == before + 5
        superuser.execute("SELECT pg_stat_statements_reset()")
        complete(database, 2)
        assert calls(exporter.run("statements")) == before + 7
        complete(database, 6)
        assert calls(exporter.run("statements")) == before + 13


def test_our_own_statements_are_left_out(database: Database) -> None:
    """They read River's tables each second, and must not look like River's load."""
    with Exporter(database.exporter_url) as exporter:
        exporter.run("statements")
        for _ in range(20):
            for name in ("sessions", "completions", "jobs", "target"):
                exporter.run(name)
        found = exporter.run("statements")
        with database.connect() as superuser:
            rows = superuser.execute(
                "SELECT query FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE rolname = %s"
                " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [ROLE],
            ).fetchall()
        assert len(rows) >= 5
        assert not [query for (query,) in rows if "/* river-exporter */" not in query and "pg_catalog" in query]
        assert calls(found, "other_river") == calls(found, "other", schema="") == 0


def test_another_database_s_statements_are_not_this_one_s(database: Database, postgres: Postgres) -> None:
    """Its River has an exporter of its own."""
    with Exporter(database.exporter_url) as exporter:
        exporter.run("statements")
        postgres.create_database("neighbour", "river_template")
        try:
            complete(Database("neighbour", postgres, postgres.url("neighbour"), ""), 3)
            assert calls(exporter.run("statements")) == 0
        finally:
            postgres.drop_database("neighbour")


def test_statements_of_several_schemas_have_a_label_each(database: Database) -> None:
    """By the schema written before the tables; without one it is the first in the search path."""
    migrate(database.superuser_url, "0.51", "Jobs")
    with database.connect() as superuser:
        superuser.execute(render(["public", "Jobs"], ROLE).encode())
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SCHEMAS="public,Jobs") as exporter:
        exporter.run("statements")
        complete(database, 2)
        with database.connect() as connection:
            for _ in range(3):
                connection.execute(COMPLETE.replace("river_job", '"Jobs".river_job', 1).encode(), [[1]])
        found = exporter.run("statements")
        assert (calls(found), calls(found, schema="Jobs")) == (2, 3)


@pytest.mark.parametrize("river_version", ["0.51", "0.16"])
def test_a_real_river_s_statements_are_named(database: Database, river: StartRiver) -> None:
    """With and without the name comment, which PostgreSQL 18 does not keep; the completions add up."""
    with Exporter(database.exporter_url) as exporter, database.connect() as superuser:
        exporter.run("statements")
        worker = river(rate=100, job_seconds=0.02)

        def completed() -> int:
            row = superuser.execute("SELECT count(*) FROM river_job WHERE state = 'completed'").fetchone()
            assert row is not None
            return int(row[0])

        wait_for(lambda: completed() >= 100, 20, "a hundred completed jobs")
        worker.stop()
        found = exporter.run("statements")
        # the completer's statement returns a row per job, be it completed or not
        assert found["river_statement_rows_total"]["public", COMPLETING] == completed()
        for operation in ("JobGetAvailable", "LeaderAttemptElect", "QueueCreateOrSetUpdatedAt"):
            assert calls(found, operation) > 0, operation
        assert found["river_statements_folded_total"]["other_river",] <= 3


@pytest.fixture
def crowded() -> Iterator[Database]:
    """Yield a database of a server that keeps a hundred statements only, the least there may be."""
    with Postgres(18, {"pg_stat_statements.max": 100}) as server:
        server.create_database("app")
        prepare(server, "app", ROLE, "x")
        yield Database("app", server, server.url("app"), server.url("app", ROLE, "x"))


def test_evictions_make_no_counter_fall_and_no_spike(crowded: Database) -> None:
    """A statement that was thrown out and comes again begins at zero: it counts from there."""
    with Exporter(crowded.exporter_url) as exporter, crowded.connect() as superuser:
        made, before, evicted = 0, 0.0, 0.0
        for turn in range(12):
            complete(crowded, 5)
            made += 5
            found = exporter.run("statements")
            now = calls(found)
            assert before <= now <= made, turn
            before, evicted = now, found["river_statements_deallocated_total"][()]
            for number in range(120):
                columns = ", ".join(["1"] * (number + 1))  # another number of columns is another statement
                superuser.execute(f"SELECT {columns}".encode())
        assert evicted > 0
        assert before >= 5


def test_a_restart_of_the_server_is_no_fall(crowded: Database) -> None:
    """Clean or by a crash, after which the statistics begin anew."""
    with Exporter(crowded.exporter_url) as exporter:
        complete(crowded, 3)
        exporter.run("statements")
        complete(crowded, 4)
        before = calls(exporter.run("statements"))
        crowded.server.restart("immediate")

        def again() -> float | None:
            try:
                exporter.run("target")
                return calls(exporter.run("statements"))
            except Exception:
                return None

        assert wait_for(again, 30, "the exporter to be back") == before
        complete(crowded, 2)
        assert calls(exporter.run("statements")) == before + 2
