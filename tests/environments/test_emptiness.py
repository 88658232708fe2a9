"""What a policy or a setting leaves empty is missing, not empty: no leader_present, silence or lock of 0."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import psycopg
import pytest

from exporter.collectors.statements import StatementsCollector
from exporter.postgres.role import render
from tests.conftest import PASSWORD, Database, StartRiver
from tests.conftest import ROLE as DOCUMENTED
from tests.environments.conftest import ROLE, Role
from tests.environments.seeing import View, seeing
from tests.testbed.postgres import Postgres
from tests.testbed.prepare import prepare
from tests.testbed.process import wait_for
from tests.testbed.river import migrate

OF_JOBS = (
    "river_jobs", "river_queues_folded", "river_completer_silence_seconds", "river_jobs_stuck",
    "river_completer_lag_seconds_count", "river_jobs_finished_total",
)  # fmt: skip
OF_SESSIONS = (
    "river_sessions", "river_session_seconds_total", "river_completer_inflight_seconds", "river_lock_waiting_sessions",
    "river_lock_wait_seconds",
)  # fmt: skip


IDLE = {"river_completer_silence_seconds"}
"""Absent as well when no completion is due."""


@pytest.fixture
def settings(database: Database) -> Iterator[psycopg.Connection]:
    """Yield a superuser's session for settings of the whole server, which are reset after the test."""
    with database.connect() as superuser:
        yield superuser
        superuser.execute("ALTER SYSTEM RESET ALL")
        superuser.execute("SELECT pg_reload_conf()")


def causes(view: View) -> set[str]:
    """The causes that the budget gives now."""
    found = view.exporter.run("budget").get("river_completer_budget_seconds", {})
    return {cause for _, cause in found}


def test_rows_that_a_policy_hides_are_missing(role: Role) -> None:
    """Absent, each table named with the policy that fixes it; with these everything is there again."""
    role.sql(
        "INSERT INTO river_leader VALUES (now(), now() + interval '1 hour', 'a', 'default')",
        "INSERT INTO river_job (state, kind, max_attempts, args) VALUES ('available', 'k', 1, '{}')",
    )
    tables = ("river_job", "river_leader", "river_queue")
    with seeing(role.url) as view:
        before = view.values()
        assert before["river_leader_present"] == {("public",): 1}
        for table in tables:
            role.sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        after = view.values()
        fixes = {each: f'CREATE POLICY river_exporter ON public.{each} FOR SELECT TO "{ROLE}" USING (true);'
                 for each in tables}  # fmt: skip
        assert view.missing() == fixes
        for name in (*OF_JOBS, "river_leader_present", "river_queue_paused_seconds"):
            assert name not in after, name
        assert {each for (each,) in after["river_exporter_capability"] if each.startswith("river_job.")} == set()
        for fix in fixes.values():
            role.sql(fix)
        assert view.values().keys() >= before.keys() - IDLE
        assert view.missing() == {}
        role.sql("CREATE POLICY part ON river_job AS RESTRICTIVE FOR SELECT USING (queue <> 'default')")
        assert view.missing() == {"river_job": f'ALTER ROLE "{ROLE}" BYPASSRLS;'}
        assert not {*OF_JOBS} & view.values().keys()
        role.sql(f'ALTER ROLE "{ROLE}" BYPASSRLS;')
        assert view.missing() == {}
        assert view.values()["river_jobs"]["public", "default", "available"] == 1


def test_a_policy_for_others_or_for_some_rows_hides_the_rest(role: Role) -> None:
    """Only one that applies to the role and lets every row through counts."""
    role.sql(
        "ALTER TABLE river_job ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY others ON river_job FOR SELECT TO pg_write_all_data USING (true)"
        if role.database.server.version >= 14
        else "CREATE POLICY others ON river_job FOR SELECT TO pg_signal_backend USING (true)",
        "CREATE POLICY part ON river_job FOR SELECT USING (queue = 'default')",
    )
    with seeing(role.url) as view:
        assert view.missing().keys() == {"river_job"}
        role.sql("CREATE POLICY everything ON river_job USING (true)")
        assert view.missing() == {}


def test_sessions_that_do_not_show_what_they_run_are_not_seen(role: Role, river: StartRiver) -> None:
    """River's role has track_activities off, and its completions wait behind a real lock: no lock of 0 is reported."""
    role.sql(
        "CREATE ROLE hidden_river LOGIN PASSWORD 'x'; ALTER ROLE hidden_river SET track_activities = off;"
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO hidden_river; GRANT ALL ON SCHEMA public TO hidden_river;"
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO hidden_river"
    )
    name = role.database.name
    url = role.database.server.url(name, "hidden_river", "x")
    try:
        river(url, rate=20)
        with seeing(role.url) as view:
            with role.database.connect() as holder:
                holder.execute("BEGIN; LOCK TABLE river_job IN EXCLUSIVE MODE")
                found = view.values()
                assert view.missing() == {
                    "track_activities": "ALTER ROLE hidden_river RESET track_activities; and restart River"
                }
                assert not {*OF_SESSIONS} & found.keys()
                assert causes(view) <= {"pool", "network"}
                assert "river_queues_folded" in found
            role.sql("ALTER ROLE hidden_river RESET track_activities")
            # its sessions are as they were opened: they still tell nothing
            assert view.missing() == {
                "track_activities": "let hidden_river connect with track_activities = on, and restart River"
            }
            role.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hidden_river'")
            wait_for(lambda: not view.missing(), 20, "River's new sessions to show what they run")
            wait_for(lambda: "river_sessions" in view.values("sessions"), 10, "them to be sampled")
    finally:
        role.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hidden_river'",
            "DROP OWNED BY hidden_river; DROP ROLE hidden_river",
        )


@pytest.mark.parametrize(
    ("setting", "capability", "absent", "present"),
    [
        ("track_activities = off", "track_activities", OF_SESSIONS, "river_statement_calls_total"),
        ("pg_stat_statements.track = none", "pg_stat_statements", ("river_statement_calls_total",), "river_sessions"),
        ("track_counts = off", "track_counts", ("river_table_rows", "river_table_scans_total"), "river_sessions"),
    ],
)
def test_a_setting_of_the_server_that_leaves_views_empty(
    role: Role, settings: psycopg.Connection, setting: str, capability: str, absent: tuple[str, ...], present: str
) -> None:
    """Its own capability with the ALTER SYSTEM that fixes it; the rest stays."""
    with seeing(role.url) as view:
        before = view.values()
        assert {*absent} & before.keys()
        settings.execute(f"ALTER SYSTEM SET {setting}".encode())
        settings.execute("SELECT pg_reload_conf()")
        wait_for(lambda: capability in view.missing(), 10, "the setting to be seen")
        fix = view.missing()[capability]
        assert fix.startswith("ALTER SYSTEM SET")
        for _, held in view.exporter.context.snapshot._peaks:
            held.clear()
        after = view.values()
        assert not {*absent} & after.keys()
        assert present in after
        for statement in fix.split(";"):  # ALTER SYSTEM stands alone
            if statement.strip():
                settings.execute(statement.encode())
        # an idle session shows what it does again with its next statement
        wait_for(lambda: settings.execute("SELECT 1") and not view.missing(), 10, "the fix to be seen")
        assert view.values().keys() >= before.keys() - IDLE


def test_statements_of_river_s_role_that_are_not_tracked(role: Role) -> None:
    """The setting of a role that may complete jobs counts; that of another, and our own, does not."""
    role.sql(
        "CREATE ROLE quiet_river LOGIN; CREATE ROLE quiet_other LOGIN; GRANT ALL ON river_job TO quiet_river",
        "ALTER ROLE quiet_other SET pg_stat_statements.track = none",
        "ALTER ROLE {role} SET pg_stat_statements.track = none",
    )
    try:
        with seeing(role.url) as view:
            assert view.missing() == {}
            role.sql("ALTER ROLE quiet_river SET pg_stat_statements.track = none")
            fix = "ALTER ROLE quiet_river RESET pg_stat_statements.track;"
            assert view.missing() == {"pg_stat_statements": fix}
            role.sql(fix)
            assert view.missing() == {}
    finally:
        role.sql("DROP OWNED BY quiet_river; DROP ROLE quiet_river; DROP ROLE quiet_other")


def test_a_view_in_a_table_s_place_is_not_believed(role: Role) -> None:
    """Of the leader, and of river_job itself, which is then looked for elsewhere."""
    role.sql(
        "CREATE SCHEMA kept; ALTER TABLE river_leader SET SCHEMA kept;"
        "CREATE VIEW river_leader AS SELECT * FROM kept.river_leader; GRANT SELECT ON river_leader TO {role}"
    )
    with seeing(role.url) as view:
        found = view.values()
        assert view.missing().keys() == {"river_leader"}
        assert "public.river_leader is a view" in view.missing()["river_leader"]
        assert "river_leader_present" not in found
        assert "river_queues_folded" in found
        role.sql("ALTER TABLE river_job RENAME TO river_job_moved; CREATE VIEW river_job AS TABLE river_job_moved")
        assert "public (a view)" in view.missing()["river_schema"]
        assert not {*OF_JOBS} & view.values().keys()


def test_a_second_river_that_is_not_watched_is_named(role: Role, caplog: pytest.LogCaptureFixture) -> None:
    """The catalogue betrays it; it costs nothing, and watching it is the fix."""
    caplog.set_level(logging.INFO, "exporter.capability")
    migrate(role.database.superuser_url, "0.51", "second")
    with seeing(role.url) as view:
        fix = view.missing()["other_schemas"]
        assert fix.startswith("river_job is also in second, which is not watched")
        assert [each.__dict__["capability"] for each in caplog.records] == ["other_schemas"]
        assert view.values()["river_queues_folded"].keys() == {("public",)}
    role.sql(render(["second"], ROLE))
    with seeing(role.url, RIVER_EXPORTER_RIVER_SCHEMAS="public,second") as view:
        assert view.missing() == {}


def test_texts_too_short_to_tell_two_rivers_apart_cost_their_sessions(request: pytest.FixtureRequest) -> None:
    """With one River they are enough: a lock is never charged to the wrong schema."""
    version = request.config.getoption("--pg-version")
    with Postgres(version, {"track_activity_query_size": 100}) as server:
        prepare(server, "postgres", DOCUMENTED, PASSWORD)
        url = server.url("postgres", DOCUMENTED, PASSWORD)
        with seeing(url) as view:
            assert view.missing() == {}
            assert "river_sessions" in view.values("sessions", "locks")
        migrate(server.url(), "0.51", "two")
        with server.connect() as superuser:
            superuser.execute(render(["two"], DOCUMENTED).encode())
        with seeing(url, RIVER_EXPORTER_RIVER_SCHEMAS="public,two") as view:
            found = view.values()
            assert view.missing().keys() == {"track_activity_query_size"}
            assert "ALTER SYSTEM SET track_activity_query_size = 1024" in view.missing()["track_activity_query_size"]
            assert not {*OF_SESSIONS} & found.keys()
            assert found["river_queues_folded"].keys() == {("public",), ("two",)}


def test_statements_that_are_not_read_make_no_service_late(role: Role) -> None:
    """A service that was seen at work is absent while nothing shows its calls, and counts anew afterwards."""
    now = [1000.0]
    with seeing(role.url) as view:
        exporter = view.exporter
        exporter.context.clock = lambda: now[0]
        exporter.context.snapshot._clock = lambda: now[0]
        exporter.context.election._patience = 1e9
        statements = exporter.collector("statements")
        assert isinstance(statements, StatementsCollector)
        statements._rose["public"] = {"JobDeleteBefore": 990.0}

        def late() -> dict[tuple[str, ...], float]:
            return exporter.run("maintenance")["river_maintenance_late_seconds"]

        exporter.run("statements")
        assert late() == {("public", "cleaner"): 0, ("public", "scheduler"): 0}
        for now[0] in (1015.0, 1030.0):  # one reading missed, and another
            assert late()["public", "cleaner"] == 0
        for now[0] in (1045.0, 1060.0, 1200.0):
            assert late() == {("public", "scheduler"): 0}
        exporter.run("statements")
        now[0] = 1215.0
        assert late()["public", "cleaner"] == 0
        for now[0] in (1230.0, 1245.0, 1260.0, 1275.0, 1290.0):
            exporter.run("statements")
            seen = late()["public", "cleaner"]
        assert seen == 60  # since it could be seen again, less its interval
