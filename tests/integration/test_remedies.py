"""The SQL that doctor prints is run as it is printed, whatever River's schema is called, and what was wrong is gone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import sql

from exporter.config import variable
from exporter.doctor import Options, table
from exporter.doctor.finding import Finding
from tests import remedies
from tests.conftest import Database
from tests.testbed.process import wait_for

SCHEMAS = ("order", "we ird", 'a"b', "100%")
"""A word of SQL's, a blank, a quotation mark, and what psycopg takes for a parameter."""


QUICK = Options(watch=2.0)
"""Nothing here takes longer to be seen."""


def break_all(database: Database, schema: str) -> None:
    """Break every part of the table that a remedy in SQL is printed for."""
    name = sql.Identifier(schema)
    with database.connect() as connection:
        for statement in (
            "ALTER TABLE {}.river_job SET (autovacuum_enabled = off)",
            "ALTER TABLE {}.river_job DROP CONSTRAINT river_job_pkey",
            "DROP INDEX {}.river_job_prioritized_fetching_index",
            "DROP INDEX {}.river_job_state_and_finalized_at_index",
            """CREATE FUNCTION {}.audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'""",
            """CREATE TRIGGER "a ""strange"" trigger" BEFORE UPDATE ON {0}.river_job
               FOR EACH ROW EXECUTE FUNCTION {0}.audit()""",
            """INSERT INTO {}.river_job (args, kind, max_attempts)
               SELECT '{{}}', 'k', 1 FROM generate_series(1, 60000)""",
            "DELETE FROM {}.river_job",
            'CREATE INDEX "an ""invalid"" one" ON {}.river_job (kind)',
        ):
            connection.execute(sql.SQL(statement).format(name))
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE '%invalid%'")
        connection.execute("BEGIN")
        connection.execute(sql.SQL("LOCK TABLE {}.river_queue IN ROW EXCLUSIVE MODE").format(name))
        connection.execute("PREPARE TRANSACTION 'it''s'")
    wait_for(lambda: dead(database) >= table.MANY, 20, "the statistics of the dead rows")


def dead(database: Database) -> int:
    """Dead rows of river_job, as the statistics have them."""
    with database.connect() as connection:
        row = connection.execute(
            "SELECT max(n_dead_tup) FROM pg_stat_all_tables WHERE relname = 'river_job'"
        ).fetchone()
    return int(row[0] or 0) if row else 0


def serious(findings: tuple[Finding, ...]) -> dict[str, list[Finding]]:
    """Warnings and problems, by check."""
    found: dict[str, list[Finding]] = {}
    for each in findings:
        if each.status in ("warning", "problem"):
            found.setdefault(each.check, []).append(each)
    return found


@pytest.mark.parametrize("schema", SCHEMAS)
def test_remedies_of_the_table_heal_it(schema: str, database: Database, tmp_path: Path) -> None:
    """Indexes, autovacuum, triggers, dead rows, a prepared transaction: all are found, and none is found again."""
    with database.connect() as connection:
        connection.execute(sql.SQL("ALTER SCHEMA public RENAME TO {}").format(sql.Identifier(schema)))
    environment = {variable("database.url"): database.exporter_url, variable("river.schemas"): schema}
    break_all(database, schema)
    before = serious(remedies.examined(environment, QUICK).findings)
    assert set(before) == {"indexes", "dead-rows", "triggers", "autovacuum", "prepared-transactions"}
    assert [each.status for each in before["indexes"]] == ["problem", "warning"]
    for findings in before.values():
        for finding in findings:
            assert finding.sql, finding
            remedies.run(finding.sql, database)
    wait_for(lambda: dead(database) == 0, 20, "the statistics after vacuum")
    file = tmp_path / "url"
    file.write_text(database.superuser_url)
    after = remedies.examined(environment, replace(QUICK, explain=True, explain_url_file=file))
    assert serious(after.findings) == {}
    (plan,) = [each for each in after.findings if each.check == "completing-plan"]
    assert plan.status == "ok"


def test_remedies_of_settings_and_rights_heal_them(database: Database) -> None:
    """What the server lacks is set, and what the role lacks is granted, without a word to fill in."""
    environment = {variable("database.url"): database.exporter_url}
    with database.connect() as connection:
        connection.execute("REVOKE pg_monitor FROM river_exporter")
        connection.execute("ALTER SYSTEM SET log_lock_waits = off")
        connection.execute("ALTER SYSTEM SET track_counts = off")
        connection.execute("SELECT pg_reload_conf()")
    checks = {"rights", "log-lock-waits", "autovacuum"}
    try:
        found = [each for each in remedies.examined(environment, QUICK).findings if each.check in checks and each.sql]
        assert {each.check for each in found} == checks
        for finding in found:
            remedies.run(finding.sql, database)
        after = [each for each in remedies.examined(environment, QUICK).findings if each.check in checks]
        assert [each.status for each in after] == ["ok"] * len(checks)
    finally:
        with database.connect() as connection:
            connection.execute("GRANT pg_monitor TO river_exporter")
            for name in ("log_lock_waits", "track_counts", "autovacuum"):
                connection.execute(f"ALTER SYSTEM RESET {name}".encode())
            connection.execute("SELECT pg_reload_conf()")
