"""Target: what a server or a role lacks turns off that one part, and what mends it is said."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import psycopg
import pytest

from exporter.collectors.runner import Runner
from exporter.doctor.connection import judge
from exporter.postgres.role import render
from tests.collecting import Exporter
from tests.conftest import ROLE, Database
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for
from tests.testbed.river import migrate

POOR = "Poor exporter"
"""A role of the test's own, whose name must be quoted."""


@pytest.fixture
def poor(database: Database) -> Iterator[str]:
    """Yield the address of a role that setup-sql made for this test alone."""
    with database.connect() as superuser:
        superuser.execute(render(role=POOR, password="x").encode())
        yield database.server.url(database.name, POOR, "x")
        superuser.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{POOR}'".encode())
        superuser.execute(f'DROP OWNED BY "{POOR}"; DROP ROLE "{POOR}"'.encode())


def capabilities(exporter: Exporter) -> dict[str, float]:
    """What is there and what is not, as of now."""
    return {name: value for (name,), value in exporter.run("target")["river_exporter_capability"].items()}


def remedies(caplog: pytest.LogCaptureFixture) -> dict[str, str]:
    """What was said since, by capability."""
    said = {
        line.__dict__["capability"]: line.__dict__["remedy"] for line in caplog.records if "remedy" in line.__dict__
    }
    caplog.clear()
    return said


def runs(exporter: Exporter, name: str) -> bool:
    """Whether a collector runs and gives something; it must not fail."""
    runner = Runner(exporter.collector(name))
    exporter.context.snapshot.drop(name)
    runner.run()
    record = {sample.metric.name: sample.value for sample in runner.samples()}
    assert record["river_exporter_collector_failures_total"] == 0
    return exporter.context.snapshot.age(name) is not None


def test_the_least_privilege_role_sees_everything(database: Database) -> None:
    """What setup-sql grants is what is needed: no capability is missing, no collector of the database fails."""
    with Exporter(database.exporter_url) as exporter:
        assert {name: there for name, there in capabilities(exporter).items() if not there} == {}
        for name in ("sessions", "locks", "completions", "statements", "jobs", "lag", "river", "table", "maintenance"):
            assert runs(exporter, name), name


@pytest.mark.parametrize(
    ("take", "capability", "remedy", "off"),
    [
        (
            f'REVOKE pg_monitor FROM "{POOR}"', "pg_monitor", f'GRANT pg_monitor TO "{POOR}";',
            ("sessions", "statements"),
        ),
        (
            f'REVOKE SELECT (state) ON river_job FROM "{POOR}"', "river_job",
            f'GRANT SELECT (state) ON public.river_job TO "{POOR}";', ("jobs", "completions"),
        ),
        (
            f'REVOKE SELECT ON river_leader FROM "{POOR}"', "river_leader",
            f'GRANT SELECT ON public.river_leader TO "{POOR}";', (),
        ),
        (
            f'REVOKE SELECT ON river_queue FROM "{POOR}"', "river_queue",
            f'GRANT SELECT ON public.river_queue TO "{POOR}";', (),
        ),
        (
            "DROP EXTENSION pg_stat_statements", "pg_stat_statements", "CREATE EXTENSION pg_stat_statements;",
            ("statements",),
        ),
    ],
)  # fmt: skip
def test_what_is_missing_turns_off_only_its_part_and_comes_back(
    database: Database,
    poor: str,
    caplog: pytest.LogCaptureFixture,
    take: str,
    capability: str,
    remedy: str,
    off: tuple[str, ...],
) -> None:
    """Said once with the SQL that mends it; with that applied it is there again without a restart."""
    everything = ("sessions", "locks", "statements", "jobs", "completions")
    with Exporter(poor) as exporter, database.connect() as superuser:
        assert all(capabilities(exporter).values())
        caplog.set_level(logging.INFO, "exporter.capability")
        remedies(caplog)
        superuser.execute(take.encode())
        missing = {name for name, there in capabilities(exporter).items() if not there}
        assert missing == {capability}
        said = remedies(caplog)
        assert said.keys() == {capability}
        assert remedy in said[capability]
        for name in everything:
            if name in off:
                assert not runs(exporter, name), name
            elif (capability, name) != ("pg_monitor", "locks"):
                assert runs(exporter, name), name
        capabilities(exporter)
        assert remedies(caplog) == {}  # once is enough
        superuser.execute(remedy.encode())
        assert all(capabilities(exporter).values())
        for name in everything:
            assert runs(exporter, name), name


def test_an_extension_in_a_schema_that_is_closed_to_the_role_is_opened_by_what_is_said(
    database: Database, poor: str, caplog: pytest.LogCaptureFixture
) -> None:
    """First it is missing; then it is made where the role may not look, which is a new reason and said as well."""
    grant = f'GRANT USAGE ON SCHEMA "My stats" TO "{POOR}";'
    with Exporter(poor) as exporter, database.connect() as superuser:
        superuser.execute("DROP EXTENSION pg_stat_statements")
        assert capabilities(exporter)["pg_stat_statements"] == 0
        assert "CREATE EXTENSION" in remedies(caplog)["pg_stat_statements"]
        superuser.execute('CREATE SCHEMA "My stats"; CREATE EXTENSION pg_stat_statements SCHEMA "My stats"')
        assert {name for name, there in capabilities(exporter).items() if not there} == {"pg_stat_statements"}
        assert remedies(caplog) == {"pg_stat_statements": grant}
        assert {each.sql for each in judge(exporter.context.target) if each.check == "rights"} == {grant}
        assert not runs(exporter, "statements")
        capabilities(exporter)
        assert remedies(caplog) == {}  # once is enough
        superuser.execute(grant.encode())
        assert all(capabilities(exporter).values())
        assert runs(exporter, "statements")


def test_a_schema_that_is_not_there_is_named_with_those_that_are(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when only one of several is missing: the others are watched."""
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SCHEMAS="jobs,public") as exporter:
        assert list(exporter.context.target.schemas) == ["public"]
        assert capabilities(exporter)["river_schema"] == 0
        assert "looked for in jobs, public and is in public" in remedies(caplog)["river_schema"]
        assert runs(exporter, "jobs")
        migrate(database.superuser_url, "0.51", "jobs")
        with database.connect() as superuser:
            superuser.execute(render(["jobs"], ROLE).encode())
        assert all(capabilities(exporter).values())
        assert list(exporter.context.target.schemas) == ["jobs", "public"]


def test_river_s_schema_is_found_by_the_search_path(database: Database) -> None:
    """Of the address; the first one that has River's table, whatever else there is."""
    migrate(database.superuser_url, "0.51", "Jobs")
    with database.connect() as superuser:
        superuser.execute(render(["Jobs"], ROLE).encode())
    with Exporter(f"{database.exporter_url}?search_path=nowhere,%22Jobs%22,public") as exporter:
        assert (exporter.context.target.schemas, exporter.context.target.default) == (
            ("Jobs",),
            "Jobs",
        )
        assert exporter.run("jobs")["river_queues_folded"] == {("Jobs",): 0}


def test_a_standby_is_recognised_and_leads_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A server in recovery cannot speak for River: the remedy is the primary's address."""
    with Postgres(18) as server:
        server.create_database("app")
        prepare(server, "app", ROLE, "x")
        server.server.stop()
        (server.data / "standby.signal").touch()
        server.server.start()

        def answers() -> bool:
            try:
                server.connect("app").close()
            except psycopg.OperationalError:
                return False
            return True

        wait_for(answers, 30, "the standby to answer", server.server)
        exporter = Exporter(server.url("app", ROLE, "x"))
        try:
            assert capabilities(exporter)["primary"] == 0
            assert "the address of the primary" in remedies(caplog)["primary"]
            assert exporter.run("target")["river_postgres_in_recovery"] == {(): 1}
            assert exporter.run("election") == {}
            assert exporter.context.led() == ()
            assert not runs(exporter, "jobs")
            (unknown,) = (labels for labels, value in exporter.run("budget")["river_completer_state"].items() if value)
            assert unknown == ("public", "unknown")
        finally:
            exporter.context.database.close()


@pytest.mark.parametrize("version", [13, 16])
def test_older_servers_have_all_that_their_version_has(version: int) -> None:
    """No collector fails for a column or a view that came later."""
    with Postgres(version) as server:
        server.create_database("app")
        prepare(server, "app", ROLE, "x")
        with Exporter(server.url("app", ROLE, "x")) as exporter:
            assert {name for name, there in capabilities(exporter).items() if not there} == set()
            for name in ("sessions", "locks", "completions", "statements", "jobs", "lag", "river", "table", "storage"):
                assert runs(exporter, name), name
            wait_for(lambda: exporter.run("statements").get("river_statement_calls_total"), 10, "statements to be read")
