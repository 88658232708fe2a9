"""One part's failure stays its own: it is named with its fix, what needs it is absent, and everything else goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import psycopg
import pytest

from exporter.collectors.runner import Runner
from exporter.postgres.role import JOB_COLUMNS, render
from tests.collecting import Values
from tests.conftest import StartRiver
from tests.environments.conftest import ROLE, Role
from tests.environments.seeing import seeing
from tests.testbed.process import wait_for
from tests.testbed.river import migrate

COLUMNS = {
    "id": {"jobs", "lag"},
    "queue": {"jobs", "lag", "maintenance"},
    "kind": {"stuck", "completions"},
    "priority": {"jobs", "maintenance"},
    "attempt": set[str](),
    "scheduled_at": {"jobs", "maintenance"},
    "attempted_at": {"stuck", "completions"},
    "finalized_at": {"lag", "stuck", "completions", "retention"},
    "attempted_by": {"stuck", "river"},
    "xmin": {"lag"},
    "cmin": {"lag"},
}
"""Which collectors lose what, by the column that is missing."""

GIVES = {
    "lag": "river_completer_lag_seconds_count",
    "jobs": "river_queues_folded",
    "maintenance": "river_maintenance_late_seconds",
    "stuck": "river_jobs_stuck",
    "completions": "river_completer_silence_seconds",
    "river": "river_clients",
    "retention": "river_jobs_oldest_finished_seconds",
}
"""A metric of each of them, which an idle River has as well."""


def test_every_column_of_the_grant_is_tried() -> None:
    """The table above leaves none out; `state` is needed by all."""
    assert {"state", *COLUMNS} == set(JOB_COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_missing_costs_what_needs_it(role: Role, column: str) -> None:
    """The column and the GRANT are named, and leader, queues and the other tables' metrics stay."""
    role.sql(
        "INSERT INTO river_leader VALUES (now(), now() + interval '1 hour', 'a', 'default')",
        "INSERT INTO river_job (state, kind, max_attempts, args, finalized_at, attempted_at)"
        " VALUES ('completed', 'k', 1, '{}', now(), now())",
        "INSERT INTO river_job (state, kind, max_attempts, args, attempted_at, attempted_by)"
        " VALUES ('running', 'k', 1, '{}', now(), '{a}')",
    )
    with seeing(role.url) as view:
        assert view.missing() == {}
        names = ("statements", *COLUMNS_ALL)
        before = view.values(*names)
        role.sql(f"REVOKE SELECT ({column}) ON river_job FROM {{role}}")
        after = view.values(*names)
        grant = f'GRANT SELECT ({column}) ON public.river_job TO "{ROLE}";'
        assert view.missing() == {f"river_job.{column}": grant}
        assert {name for name, metric in GIVES.items() if metric not in before} == set()
        assert {name for name, metric in GIVES.items() if metric not in after} == COLUMNS[column]
        for metric in ("river_leader_present", "river_queue_paused_seconds", "river_migration_version"):
            assert (metric in after) == (metric in before), metric
        assert after["river_leader_present"] == {("public",): 1}
        role.sql(grant)
        again = view.values(*names)
        assert view.missing() == {}
        assert again.keys() >= before.keys()


COLUMNS_ALL = tuple(GIVES)


@dataclass(frozen=True)
class Refused:
    """A part that the server refuses: how, which metrics it costs, and its fix."""

    take: tuple[str, ...]
    capability: str
    costs: tuple[str, ...]
    fix: str
    collectors: tuple[str, ...]
    since: int = 13


def unsupported(view: str) -> tuple[str, ...]:
    """Make a view say what Aurora's says: that the feature is not supported."""
    refuse = (
        "CREATE FUNCTION public.unsupported() RETURNS bool LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'function is currently not supported for Aurora' USING ERRCODE = '0A000'; END $$"
    )
    replace = (
        "SET allow_system_table_mods = on;"
        f"ALTER VIEW pg_catalog.{view} RENAME TO real_{view};"
        f"CREATE VIEW pg_catalog.{view} AS SELECT r.* FROM public.unsupported() LEFT JOIN pg_catalog.real_{view} AS r"
        " ON true;"
        f"GRANT SELECT ON pg_catalog.{view} TO PUBLIC"
    )
    return refuse, replace


STORAGE = {
    "pg_stat_wal": ("river_postgres_wal_bytes_total", "river_postgres_wal_buffers_full_total"),
    "pg_stat_io": ("river_postgres_io_operations_total",),
    "pg_stat_checkpointer": ("river_postgres_checkpoints_total", "river_postgres_checkpoint_seconds_total"),
    "pg_stat_replication": ("river_postgres_synchronous_standbys",),
}

SINCE = {"pg_stat_wal": 14, "pg_stat_io": 16, "pg_stat_checkpointer": 17}
"""PostgreSQL's versions from which these views are."""

REFUSED = {
    **{
        f"{name} not offered": Refused(
            unsupported(name), name, costs, "this server does not offer", ("storage",), SINCE.get(name, 13)
        )
        for name, costs in STORAGE.items()
    },
    **{
        f"{name} revoked": Refused(
            (f"REVOKE SELECT ON pg_catalog.{name} FROM PUBLIC",),
            name,
            costs,
            f'GRANT SELECT ON pg_catalog.{name} TO "{ROLE}";',
            ("storage",),
            SINCE.get(name, 13),
        )
        for name, costs in STORAGE.items()
    },
    "pg_replication_slots not offered": Refused(
        unsupported("pg_replication_slots"), "pg_replication_slots", (), "this server does not offer", ("vacuum",)
    ),
    "a view's function revoked": Refused(
        ("REVOKE EXECUTE ON FUNCTION pg_stat_get_wal() FROM PUBLIC",),
        "pg_stat_wal",
        STORAGE["pg_stat_wal"],
        f'GRANT EXECUTE ON FUNCTION pg_stat_get_wal TO "{ROLE}";',
        ("storage",),
        since=14,
    ),
    "pg_control_system revoked": Refused(
        ("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",),
        "pg_control_system",
        (),
        f'GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO "{ROLE}";',
        ("lag", "statements", "storage"),
    ),
    "pg_postmaster_start_time revoked": Refused(
        ("REVOKE EXECUTE ON FUNCTION pg_postmaster_start_time() FROM PUBLIC",),
        "pg_postmaster_start_time",
        ("river_postgres_start_timestamp_seconds",),
        f'GRANT EXECUTE ON FUNCTION pg_catalog.pg_postmaster_start_time() TO "{ROLE}";',
        ("statements", "storage", "server", "table"),
    ),
    "pg_stat_statements_info revoked": Refused(
        ("REVOKE EXECUTE ON FUNCTION pg_stat_statements_info() FROM PUBLIC",),
        "pg_stat_statements_info",
        ("river_statements_deallocated_total",),
        f'GRANT EXECUTE ON FUNCTION pg_stat_statements_info() TO "{ROLE}";',
        ("statements",),
        since=14,
    ),
    "pg_stat_statements revoked": Refused(
        ("REVOKE EXECUTE ON FUNCTION pg_stat_statements(boolean) FROM PUBLIC",),
        "pg_stat_statements",
        ("river_statement_calls_total", "river_statements_folded_total"),
        f'GRANT EXECUTE ON FUNCTION public.pg_stat_statements(boolean) TO "{ROLE}";',
        ("statements",),
    ),
    "pg_stat_database revoked": Refused(
        ("REVOKE SELECT ON pg_catalog.pg_stat_database FROM PUBLIC",),
        "pg_stat_database",
        (
            "river_postgres_connections",
            "river_postgres_max_connections",
            "river_postgres_temp_files_total",
            "river_postgres_temp_bytes_total",
            "river_postgres_deadlocks_total",
        ),
        f'GRANT SELECT ON pg_catalog.pg_stat_database TO "{ROLE}";',
        ("server",),
    ),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case that the server's version has."""
    if "case" in metafunc.fixturenames:
        version = metafunc.config.getoption("--pg-version")
        metafunc.parametrize("case", [name for name, each in REFUSED.items() if each.since <= version])


def test_what_the_server_refuses_costs_its_own_metrics(role: Role, caplog: pytest.LogCaptureFixture, case: str) -> None:
    """Absent, with its capability 0 and its fix logged once; the rest stays, and the fix brings it back."""
    refused = REFUSED[case]
    caplog.set_level(logging.INFO, "exporter.capability")
    with seeing(role.url) as view:
        before = view.values(*refused.collectors)
        assert view.missing() == {}
    role.sql(*refused.take)
    with seeing(role.url) as view:  # a session of its own: what is asked once per connection is asked again
        after = view.values(*refused.collectors)
        view.values(*refused.collectors)
        missing = view.missing()
        assert missing.keys() == {refused.capability}
        assert refused.fix in missing[refused.capability]
        assert {name for name in refused.costs if name not in before} == set()
        assert before.keys() - after.keys() >= set(refused.costs)
        lost = {name for name in before.keys() - after.keys() if not name.startswith("river_statement")}
        assert lost <= {*refused.costs, "river_postgres_wal_write_seconds_total", "river_postgres_io_seconds_total"}
        said = [each for each in caplog.records if each.__dict__.get("capability") == refused.capability]
        assert [each.getMessage() for each in said] == ["capability missing"]
        if refused.fix.startswith("GRANT"):
            role.sql(refused.fix)
            view.exporter.context.identities._known.clear()
            assert view.values(*refused.collectors).keys() >= before.keys()
            assert view.missing() == {}


def test_slots_that_are_not_offered_cost_only_the_slots(role: Role) -> None:
    """Sessions and prepared transactions that hold vacuum back are seen all the same."""
    role.sql(*unsupported("pg_replication_slots"))
    with seeing(role.url) as view:
        held = view.values("vacuum")["river_vacuum_held_back_seconds"]
        assert held.keys() == {("session",), ("prepared_transaction",), ("standby",)}


def test_without_advisory_locks_an_exporter_leads_alone(role: Role) -> None:
    """Nobody can be elected, so it gives everything, and says why others may give it too."""
    role.sql("REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock(int, int) FROM PUBLIC")
    with seeing(role.url) as view:
        found = view.values()
        assert found["river_exporter_capability"]["river_job",] == 1
        assert "river_queues_folded" in found
        assert view.exporter.run("election")["river_exporter_is_leader"] == {("public",): 1}
        (grant,) = view.missing().values()
        assert grant == f'GRANT EXECUTE ON FUNCTION pg_catalog.pg_try_advisory_lock(int, int) TO "{ROLE}";'
        role.sql(grant)
        view.exporter.collector("election")._retry = 0.0  # type: ignore[attr-defined]
        assert view.exporter.run("election")["river_exporter_is_leader"] == {("public",): 1}
        assert view.missing() == {}


@pytest.mark.parametrize("version", ["1.4", "1.6", "1.8"])
def test_an_extension_that_an_upgrade_left_old_is_read(role: Role, version: str) -> None:
    """pg_upgrade keeps the extension's version; its numbers are those of the newest."""
    role.sql("DROP EXTENSION pg_stat_statements", f"CREATE EXTENSION pg_stat_statements VERSION '{version}'")
    with seeing(role.url) as view:
        view.values("statements")
        role.sql("SELECT count(*) FROM river_leader")
        found = view.values("statements")
        assert view.missing() == {}
        assert found["river_statement_calls_total"]["public", "other_river"] >= 1
        assert found["river_statement_seconds_total"]["public", "other_river"] > 0
        assert "river_statements_deallocated_total" not in found


def test_a_schema_that_is_dropped_costs_the_others_nothing(role: Role) -> None:
    """Nor one that is closed to the role, or locked."""
    migrate(role.database.superuser_url, "0.51", "two")
    role.sql(render(["two"], ROLE))
    with seeing(role.url, RIVER_EXPORTER_RIVER_SCHEMAS="public,two") as view:
        assert view.missing() == {}
        both = {schema for (schema,) in view.values()["river_queues_folded"]}
        assert both == {"public", "two"}
        role.sql("REVOKE USAGE ON SCHEMA two FROM {role}")
        found = view.values()
        assert found["river_queues_folded"].keys() == {("public",)}
        held = {sample.metric.name for sample in view.exporter.context.snapshot.held()}
        for name, series in view.values("completions", "jobs", "lag", "river", "stuck").items():
            assert name in held or not any("two" in labels for labels in series), name
        assert view.missing() == dict.fromkeys(
            ("river_job", "river_leader", "river_queue", "river_migration"), f'GRANT USAGE ON SCHEMA two TO "{ROLE}";'
        )
        role.sql(f'GRANT USAGE ON SCHEMA two TO "{ROLE}";')
        assert view.values()["river_queues_folded"].keys() == {("public",), ("two",)}
        with role.database.connect() as holder:
            holder.execute("BEGIN; LOCK TABLE two.river_job")
            found = view.exporter.run("jobs")
            assert found["river_queues_folded"].keys() == {("public",)}
            assert view.exporter.collector("jobs").partial is not None
        role.sql("DROP SCHEMA two CASCADE")
        for name in ("jobs", "river", "lag", "stuck", "maintenance", "table"):  # before the target is looked up again
            view.exporter.run(name)
        assert view.values()["river_queues_folded"].keys() == {("public",)}
        assert view.missing().keys() == {"river_schema"}


def test_a_table_that_is_locked_costs_what_is_read_from_it(role: Role) -> None:
    """The leader's for one, and river_job for another; the run counts as failed, and what it has is published."""
    with seeing(role.url) as view, role.database.connect() as holder:
        river, table = view.exporter.collector("river"), view.exporter.collector("table")
        runner = Runner(river)
        whole = {name: view.exporter.run(name).keys() for name in ("river", "table")}
        holder.execute("BEGIN; LOCK TABLE river_leader")
        lost = whole["river"] - view.exporter.run("river").keys()
        assert lost == {"river_leader_present", "river_leader_changes_total"}
        assert runner.run()
        record = {sample.metric.name: sample.value for sample in runner.samples()}
        assert record["river_exporter_collector_success"] == 0
        assert record["river_exporter_collector_failures_total"] == 1
        assert "lock timeout" in runner.failure
        published = {sample.metric.name for sample in view.exporter.context.snapshot.samples()}
        assert "river_migration_version" in published
        holder.execute("ROLLBACK; BEGIN; LOCK TABLE river_job")
        assert view.exporter.run("river").keys() >= {"river_leader_present", "river_migration_version"}
        lost = whole["table"] - view.exporter.run("table").keys()
        assert {"river_table_size_bytes"} <= lost <= {"river_table_size_bytes", "river_table_bytes_per_row"}
        assert table.partial is not None
        holder.execute("ROLLBACK")
        assert view.exporter.run("table").keys() == whole["table"]
        assert runner.run()
        assert runner.failure == ""


def test_a_schema_that_is_slow_comes_last(role: Role) -> None:
    """It takes the whole statement_timeout, so the others are read before it, in the next run at the latest."""
    migrate(role.database.superuser_url, "0.51", "aaa")
    role.sql(render(["aaa"], ROLE))
    role.sql(
        "CREATE FUNCTION slow() RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN true; END'",
        "ALTER TABLE aaa.river_job RENAME TO river_job_moved;"
        "CREATE TABLE aaa.river_job (LIKE aaa.river_job_moved INCLUDING DEFAULTS);"
        "GRANT SELECT ON aaa.river_job TO {role};"
        "INSERT INTO aaa.river_job (args, kind, max_attempts) VALUES ('{}', 'k', 1);"
        "ALTER TABLE aaa.river_job ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY everything ON aaa.river_job USING (true)",
    )
    with seeing(role.url, RIVER_EXPORTER_RIVER_SCHEMAS="public,aaa") as view:
        assert view.values("jobs")["river_queues_folded"].keys() == {("public",), ("aaa",)}
        role.sql("CREATE POLICY waits ON aaa.river_job AS RESTRICTIVE USING (public.slow())")
        with pytest.raises(psycopg.errors.QueryCanceled):
            view.exporter.run("jobs")
        for _ in range(2):
            assert view.exporter.run("jobs")["river_queues_folded"].keys() == {("public",)}


@pytest.mark.parametrize(
    ("take", "fix"),
    [
        ("REVOKE SELECT ON pg_catalog.pg_locks FROM PUBLIC", f'GRANT SELECT ON pg_catalog.pg_locks TO "{ROLE}";'),
        (
            "REVOKE EXECUTE ON FUNCTION pg_blocking_pids(int) FROM PUBLIC",
            f'GRANT EXECUTE ON FUNCTION pg_blocking_pids TO "{ROLE}";',
        ),
    ],
)
def test_locks_that_are_closed_leave_the_sessions_that_wait(role: Role, river: StartRiver, take: str, fix: str) -> None:
    """Behind a real lock: how long they wait is absent, not 0, and that they wait is seen."""
    role.sql(take)
    river(role.database.superuser_url, rate=10, pool=20, job_seconds=0.2)
    with seeing(role.url) as view, role.database.connect() as holder:
        holder.execute("BEGIN; LOCK TABLE river_job IN EXCLUSIVE MODE")

        def waits() -> Values | None:
            found = view.values("sessions", "locks")
            return found if found["river_lock_waiting_sessions"]["public",] else None

        found = wait_for(waits, 20, "sessions to wait")
        assert "river_lock_wait_seconds" not in found
        assert view.missing() == {"pg_locks": fix}
        role.sql(fix)
        wait_for(lambda: "river_lock_wait_seconds" in (waits() or {}), 20, "the wait to be measured")
        assert view.missing() == {}
