"""Roles on a real River that waits for a lock: each metric is right, or it is absent and its capability is 0.

Beside each role's exporter one of a superuser looks at the same moment: what it gives is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from exporter.catalog import catalog
from exporter.postgres.role import JOB_COLUMNS, render
from exporter.status.view import look as view_of
from tests.collecting import Values
from tests.environments.seeing import NAMES, View, seeing
from tests.testbed.postgres import Postgres
from tests.testbed.process import wait_for
from tests.testbed.river import River, migrate

APP, LOOKER, PASSWORD = "river_app", "looker", "x"
"""River's own role, which owns its tables, and the exporter's."""

SESSIONS = ("pg_monitor", "track_activities", "track_activity_query_size")
STATEMENTS = ("pg_monitor", "pg_stat_statements")


def columns(*names: str) -> tuple[str, ...]:
    """River_job itself and some of its columns."""
    return ("river_job", *(f"river_job.{name}" for name in names))


COLLECTORS = {
    "sessions": SESSIONS,
    "locks": SESSIONS,
    "statements": STATEMENTS,
    "completions": columns("kind", "attempted_at", "finalized_at"),
    "jobs": columns("id", "queue", "priority", "scheduled_at"),
    "lag": columns("id", "queue", "finalized_at", "xmin", "cmin"),
    "stuck": columns("kind", "attempted_at", "finalized_at", "attempted_by"),
    "river": columns("attempted_by"),
    "maintenance": (*STATEMENTS, *columns("queue", "priority", "scheduled_at")),
    "retention": columns("finalized_at"),
    "table": (),
    "vacuum": (),
    "storage": (),
    "server": (),
    "target": (),
}
"""What a collector's metrics depend on; those of no capability are never absent."""

METRICS = {
    **dict.fromkeys(("river_leader_present", "river_leader_lease_seconds", "river_leader_elected_timestamp_seconds",
                     "river_leader_changes_total"), ("river_leader",)),
    "river_queue_paused_seconds": ("river_queue",),
    "river_migration_version": ("river_migration",),
    "river_autovacuum_workers": ("pg_monitor",),
    "river_table_vacuum_running": ("pg_monitor",),
    "river_postgres_synchronous_standbys": ("pg_monitor",),
    "river_vacuum_held_back_seconds": ("pg_monitor",),
    "river_vacuum_held_back_transactions": ("pg_monitor",),
}  # fmt: skip
"""Of single metrics, where that is something else; the last two lose some of their series only."""

PARTLY = {"river_vacuum_held_back_seconds", "river_vacuum_held_back_transactions", "river_maintenance_late_seconds"}

MOVING = {
    "river_exporter_capability", "river_listeners", "river_postgres_connections", "river_sessions",
    "river_pool_connections",
    "river_statement_calls_total", "river_statement_seconds_total", "river_statement_rows_total",
    "river_statement_blocks_total", "river_statements_folded_total", "river_session_seconds_total",
    "river_vacuum_held_back_transactions", "river_table_rows", "river_table_bytes_per_row",
    "river_table_vacuum_overdue_ratio", "river_table_size_bytes", "river_index_size_bytes",
    "river_lock_waiting_sessions", "river_lock_waiters", "river_lock_wait_seconds",
}  # fmt: skip
"""Values that the exporters themselves, River's attempts or autovacuum change between two looks.

Which others of River's statements wait differs too; `look` does not end before the completion does.
"""

SECONDS = 30.0
"""By how much a time may differ: the looks are some seconds apart."""


@dataclass(frozen=True)
class Variant:
    """A role: how it is made, by SQL in which `{role}` is its name, what it lacks, and who connects."""

    make: tuple[str, ...]
    lacks: frozenset[str] = frozenset()
    user: str = LOOKER
    undo: tuple[str, ...] = field(default=())


def granted(*columns: str, monitor: str = "pg_monitor") -> tuple[str, ...]:
    """A role made by hand, as older versions of setup-sql did: some of the columns."""
    tables = "river_leader, river_queue, river_migration"
    monitoring = (f"GRANT {monitor} TO {LOOKER}",) if monitor else ()
    role = (
        f"CREATE ROLE {LOOKER} LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA public TO {LOOKER};"
        f"GRANT SELECT ({', '.join(columns)}) ON river_job TO {LOOKER}; GRANT SELECT ON {tables} TO {LOOKER}"
    )
    return role, *monitoring


DOCUMENTED = (render(role=LOOKER, password=PASSWORD),)
RLS = tuple(f"ALTER TABLE {each} ENABLE ROW LEVEL SECURITY" for each in ("river_job", "river_leader", "river_queue"))
POLICIES = tuple(
    f"CREATE POLICY looker ON {each} FOR SELECT TO {LOOKER} USING (true)"
    for each in ("river_job", "river_leader", "river_queue")
)
UNDO_RLS = tuple(each.replace("ENABLE", "DISABLE") for each in RLS)
NO_POLICIES = tuple(each.split(" FOR")[0].replace("CREATE", "DROP") for each in POLICIES)

VARIANTS = {
    "documented": Variant(DOCUMENTED),
    "pg_read_all_stats": Variant(granted(*JOB_COLUMNS, monitor="pg_read_all_stats")),
    "older grant": Variant(
        granted(*(each for each in JOB_COLUMNS if each not in ("xmin", "cmin"))),
        frozenset({"river_job.xmin", "river_job.cmin"}),
    ),
    "without pg_monitor": Variant(granted(*JOB_COLUMNS, monitor=""), frozenset({"pg_monitor"})),
    "no right at all": Variant(
        (f"CREATE ROLE {LOOKER} LOGIN PASSWORD '{PASSWORD}'",),
        frozenset({"pg_monitor", "river_job", "river_leader", "river_queue", "river_migration"}),
    ),
    "River's own role, the owner": Variant((), frozenset({"pg_monitor"}), user=APP),
    "superuser": Variant((), user="postgres"),
    "row-level security": Variant(
        (*DOCUMENTED, *RLS), frozenset({"river_job", "river_leader", "river_queue"}), undo=UNDO_RLS
    ),
    "row-level security with policies": Variant((*DOCUMENTED, *RLS, *POLICIES), undo=(*NO_POLICIES, *UNDO_RLS)),
}


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """Yield a server with a River whose role owns its tables and is no superuser, and works."""
    with Postgres(request.config.getoption("--pg-version")) as server:
        with server.connect() as superuser:
            superuser.execute(f"CREATE ROLE {APP} LOGIN PASSWORD '{PASSWORD}'; GRANT ALL ON SCHEMA public TO {APP}")
            superuser.execute("CREATE EXTENSION pg_stat_statements")
        url = server.url("postgres", APP, PASSWORD)
        migrate(url, "0.51")
        with River(url, rate=10, workers=10, pool=30, job_seconds=0.2):
            yield server


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest, server: Postgres) -> Iterator[Variant]:
    """Yield a role, made before River is held up and gone afterwards."""
    made = VARIANTS[request.param]
    with server.connect() as superuser:
        for each in made.make:
            superuser.execute(each.encode())
        yield made
        superuser.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{LOOKER}'")
        for each in made.undo:
            superuser.execute(each.encode())
        if made.user == LOOKER:
            superuser.execute(f"DROP OWNED BY {LOOKER}; DROP ROLE {LOOKER}")


def look(server: Postgres, user: str) -> tuple[Values, dict[str, str], str]:
    """What an exporter gives that logs in so, once it has seen what there is; what it lacks; and its page."""
    with seeing(server.url("postgres", user, None if user == "postgres" else PASSWORD)) as view:
        found = view.values()
        if view.exporter.context.capable("pg_monitor"):
            found = wait_for(lambda: _waiting(view), 20, "River's completion to be seen waiting")
        view.exporter.run("budget")
        found |= view.exporter.run("budget")
        missing = view.missing()
        page = view_of(view.exporter.context, ())
        return found, missing, f"{page.level}: {page.text}"


def _waiting(view: View) -> Values | None:
    found = view.values()
    waits = found.get("river_lock_wait_seconds", {})
    return found if any(labels[1].startswith("JobSetState") for labels in waits) else None


def test_every_metric_is_right_or_absent_with_its_capability(server: Postgres, variant: Variant) -> None:
    """While a completion of River's waits behind a real lock, which no role may report as none."""
    with server.connect() as holder:
        running = "SELECT 1 FROM river_job WHERE state = 'running'"
        wait_for(lambda: holder.execute(running).fetchone(), 20, "jobs to run", interval=0.05)
        holder.execute("BEGIN; LOCK TABLE river_job IN EXCLUSIVE MODE")
        expected, nothing, _ = look(server, "postgres")
        assert nothing == {}
        found, missing, page = look(server, variant.user)
        holder.execute("ROLLBACK")
    assert missing.keys() == variant.lacks
    owners = {
        name: next((each for each in owners if each in COLLECTORS), "budget") for name, (_, owners) in catalog().items()
    }
    seen = 0
    for name, series in expected.items():
        metric = next((name.removesuffix(end) for end in ("_count", "_sum", "_bucket")
                       if name.removesuffix(end) in owners and name not in owners), name)  # fmt: skip
        if owners[metric] == "budget":
            continue
        needs = METRICS.get(metric, COLLECTORS[owners[metric]])
        if name not in found:
            assert not variant.lacks.isdisjoint(needs), f"{name} is absent, and nothing says why"
            continue
        seen += 1
        if name not in PARTLY:
            assert variant.lacks.isdisjoint(needs), f"{name} is given without what it needs"
        wrong = _wrong(name, series, found[name], partly=not variant.lacks.isdisjoint(needs))
        assert wrong == {}, f"{name}: {wrong}"
    assert seen > 20
    assert {cause for _, cause in found.get("river_completer_budget_seconds", {})} - {"pool", "network"} == (
        set() if "pg_monitor" in variant.lacks else {"lock", "execution", "storage"}
    )
    states = {state for (_, state), value in found["river_completer_state"].items() if value}
    assert len(states) == 1
    if variant.lacks & {"pg_monitor", "river_job"}:
        assert states == {"unknown"}  # never well
        assert page.startswith("unknown: The state of completions is unknown: the capability ")
    if "pg_monitor" not in variant.lacks:
        assert found["river_completer_budget_seconds"]["public", "lock"] > 0


def _wrong(
    name: str, expected: dict[tuple[str, ...], float], found: dict[tuple[str, ...], float], *, partly: bool
) -> dict[tuple[str, ...], tuple[float | None, float | None]]:
    """The series that are neither as expected nor rightly absent."""
    wrong: dict[tuple[str, ...], tuple[float | None, float | None]] = {}
    for labels in expected.keys() | found.keys():
        right, value = expected.get(labels), found.get(labels)
        if right is None or value is None:
            # a service is given once it was seen at work
            if name in MOVING or name == "river_maintenance_late_seconds" or (partly and value is None):
                continue
        elif name in MOVING or abs(value - right) <= _tolerance(name, right):
            continue
        wrong[labels] = (right, value)
    return wrong


def _tolerance(name: str, value: float) -> float:
    if name.endswith("_total"):
        return abs(value) + 1e7  # each exporter counts from its own start
    if "_seconds" in name:
        return SECONDS
    return 0.2 * abs(value)


def test_the_table_names_every_collector() -> None:
    """One that is added is looked at here as well."""
    assert {*NAMES, "target"} == COLLECTORS.keys()
