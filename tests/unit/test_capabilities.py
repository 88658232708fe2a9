"""Capabilities: each has a fix, is documented, and is found out in one way."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import psycopg
import pytest

from exporter.collectors.capabilities import COLUMNS, OPTIONAL, REMEDIES, TRIED, Refusals, answered, fix
from exporter.collectors.context import Context, Target
from exporter.collectors.discovery import classes
from tests.collecting import Exporter

ROOT = Path(__file__).parents[2]


def test_no_collector_needs_what_only_trying_shows() -> None:
    """It would stop trying, and never learn that the part is back."""
    needed = {each for collector in classes() for each in collector.needs}
    assert needed <= REMEDIES.keys() - TRIED
    assert {"pg_monitor", "river_job"} <= needed


def test_what_is_tried_is_one_of_the_capabilities() -> None:
    """Every name in the code, and every name of the list in the code."""
    code = "".join(path.read_text() for path in sorted((ROOT / "exporter" / "collectors").glob("*.py")))
    assert set(re.findall(r"""optional\("(\w+)\"""", code)) == TRIED
    assert REMEDIES.keys() >= TRIED | OPTIONAL


def test_the_guide_has_them_all() -> None:
    """With what makes each one missing, in the table of docs/database-role.md."""
    table = (ROOT / "docs" / "database-role.md").read_text().partition("## What is missing")[2]
    first = {cell for line in table.splitlines() if line.startswith("|") for cell in line.split("|")[1:2]}
    assert set(re.findall(r"`([\w.]+)`", " ".join(first))) == REMEDIES.keys()


@pytest.mark.parametrize(
    ("capability", "sqlstate", "reason", "expected"),
    [
        ("pg_stat_wal", "42501", "permission denied for view pg_stat_wal", "GRANT SELECT ON pg_catalog.pg_stat_wal TO"),
        ("pg_stat_wal", "42501", "permission denied for function pg_stat_get_wal",
         "GRANT EXECUTE ON FUNCTION pg_stat_get_wal TO \"Its role\";"),
        ("pg_stat_wal", "42501", "keine Berechtigung", "GRANT SELECT ON pg_catalog.pg_stat_wal TO \"Its role\";"),
        ("pg_stat_wal", "0A000", "not supported for Aurora", "this server does not offer pg_stat_wal"),
    ],
)  # fmt: skip
def test_the_fix_is_made_of_what_was_refused(capability: str, sqlstate: str, reason: str, expected: str) -> None:
    """By the server's words where they are English, else by what is known of the capability."""
    assert fix(capability, '"Its role"', sqlstate, reason).startswith(expected)


def test_a_refusal_is_logged_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    """What is refused does not stop what follows; another schema, or another reason, is another line."""
    caplog.set_level(logging.INFO, "exporter.capability")
    refusals = Refusals()
    refusals.role = "looker"
    for schema, error in (
        ("one", psycopg.errors.InsufficientPrivilege),
        ("one", psycopg.errors.InsufficientPrivilege),
        ("two", psycopg.errors.InsufficientPrivilege),
        ("two", psycopg.errors.FeatureNotSupported),
    ):
        with refusals.optional("pgstattuple", schema):
            raise error("permission denied for function pgstatginindex")
    assert refusals.missing("pgstattuple", "one")
    assert not refusals.missing("pgstattuple", "three")
    for _ in range(2):
        with refusals.optional("pgstattuple", "one"):
            pass
    assert not refusals.missing("pgstattuple", "one")
    assert refusals.missing("pgstattuple")
    said = [(each.getMessage(), each.__dict__["schema"]) for each in caplog.records]
    assert said == [
        ("capability missing", "one"),
        ("capability missing", "two"),
        ("capability missing", "two"),
        ("capability restored", "one"),
    ]
    assert dict(refusals.remedies())["pgstattuple"].startswith("this server does not offer")


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
        psycopg.errors.AdminShutdown("terminating connection"),
        psycopg.ProgrammingError("the client's own"),
        ValueError("ours"),
    ],
)
def test_what_is_no_refusal_passes(error: Exception) -> None:
    """A busy server, a lost connection and a fault of ours are no capabilities."""
    refusals = Refusals()
    with pytest.raises(type(error)), refusals.optional("pg_stat_wal"):
        raise error
    assert dict(refusals.remedies()) == {}


def test_a_lost_connection_is_told_from_a_refusal() -> None:
    """By the class of the error's code."""
    assert answered(psycopg.errors.LockNotAvailable())
    assert not answered(psycopg.errors.AdminShutdown())
    assert not answered(psycopg.OperationalError("server closed the connection unexpectedly"))


@pytest.fixture
def context() -> Context:
    """A context whose second schema lacks a column and all of its queues."""
    context = Exporter("postgresql://nobody@127.0.0.1:1/none").context
    context.target = Target(
        schemas=("one", "two"),
        capabilities={"pg_monitor": True, "river_queue": False, "river_leader": False, COLUMNS[0]: False},
        lacking={
            "river_queue": frozenset({"two"}), "river_leader": frozenset({"one", "two"}),
            COLUMNS[0]: frozenset({"two"}),
        },
    )  # fmt: skip
    return context


def test_a_capability_is_asked_for_a_schema(context: Context) -> None:
    """Without one it is there when any schema has it; what was not looked for is not."""
    assert context.capable("pg_monitor", "two")
    assert [context.capable("river_queue", each) for each in ("one", "two", None)] == [True, False, True]
    assert [context.capable(COLUMNS[0], each) for each in ("one", "two", None)] == [True, False, True]
    assert not context.capable("river_leader")
    assert not context.capable("river_migration", "one")
    context.database.close()
