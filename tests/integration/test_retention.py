"""Retention: finished jobs that a real River's cleaner leaves in the table."""

from __future__ import annotations

import psycopg
import pytest

from tests.collecting import Exporter, Values
from tests.conftest import Database, StartRiver
from tests.testbed.process import wait_for

COMPLETED = ("public", "completed")
DAY = 86400.0
PAST = "river_jobs_past_retention_seconds"
OLDEST = "river_jobs_oldest_finished_seconds"


def finished(connection: psycopg.Connection, days: float, state: str = "completed", jobs: int = 5) -> None:
    """Insert jobs that ended so long ago."""
    connection.execute(
        "INSERT INTO river_job (state, attempted_at, finalized_at, attempt, kind, max_attempts, args)"
        " SELECT %s::river_job_state, now() - make_interval(secs => %s), now() - make_interval(secs => %s),"
        " 1, 'k', 1, '{}' FROM generate_series(1, %s)",
        [state, days * DAY, days * DAY, jobs],
    )


def keep_rows(connection: psycopg.Connection, then: str) -> None:
    """Let a trigger stop every deletion: `RETURN NULL` deletes nothing, RAISE makes the statement fail."""
    connection.execute(
        f"CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {then}; END $$;"
        " CREATE TRIGGER keep BEFORE DELETE ON river_job FOR EACH ROW EXECUTE FUNCTION keep()"
    )


def test_a_cleaner_that_runs_and_deletes_nothing_is_behind(database: Database, river: StartRiver) -> None:
    """Its statement succeeds, so it is on time; the oldest rows tell. Once it deletes them, nothing is overdue."""
    with database.connect() as connection:
        finished(connection, 3)
        keep_rows(connection, "RETURN NULL")
        river(rate=5)
        with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SETTINGS_RETENTION_COMPLETED="1d") as exporter:
            exporter.run("statements")

            def cleaned() -> bool:
                exporter.run("statements")
                late = exporter.run("maintenance")["river_maintenance_late_seconds"]
                return late.get(("public", "cleaner")) == 0

            wait_for(cleaned, 60, "the cleaner's statement", interval=0.5)
            found = exporter.run("retention")
            assert found[PAST][COMPLETED] == pytest.approx(2 * DAY, abs=120)
            assert found[OLDEST][COMPLETED] == pytest.approx(3 * DAY, abs=120)
            connection.execute("DROP TRIGGER keep ON river_job")
            exporter.until(
                "retention",
                lambda now: now[OLDEST].get(COMPLETED, 0) < DAY and now[PAST].get(COMPLETED, 0) == 0,
                "the cleaner's deletions",
                timeout=60,
            )


def test_a_cleaner_that_failed_before_the_exporter_started_is_behind(database: Database, river: StartRiver) -> None:
    """Nothing is configured and it was never seen at work: past River's default, and its statement never succeeds."""
    with database.connect() as connection:
        finished(connection, 3)
        keep_rows(connection, "RAISE 'kept'")
        river(rate=5)
        with Exporter(database.exporter_url) as exporter:
            before = _after(exporter, 0)
            assert PAST not in before
            assert before[OLDEST][COMPLETED] == pytest.approx(3 * DAY, abs=120)
            assert _after(exporter, 360)[PAST] == {COMPLETED: pytest.approx(2 * DAY, abs=600)}


def test_a_longer_retention_is_not_taken_for_a_cleaner_behind(database: Database, river: StartRiver) -> None:
    """Rows past River's default, and a cleaner at work that leaves them: nothing is said until it deletes one."""
    with database.connect() as connection, Exporter(database.exporter_url) as exporter:
        finished(connection, 9, jobs=1)
        finished(connection, 8.99, jobs=1)
        keep_rows(connection, "RETURN NULL")
        exporter.run("statements")
        river(rate=5)

        def cleaned() -> bool:
            exporter.run("statements")
            return exporter.context.schema_state("public").rose("JobDeleteBefore") > 0

        wait_for(cleaned, 60, "the cleaner's statement", interval=0.5)
        assert PAST not in exporter.run("retention")
        connection.execute("DROP TRIGGER keep ON river_job")
        connection.execute("DELETE FROM river_job WHERE finalized_at < now() - interval '9 days'")
        connection.execute("UPDATE river_job SET state = 'discarded' WHERE finalized_at < now() - interval '8 days'")
        told = exporter.run("retention")[PAST]
        assert told[COMPLETED] == 0


@pytest.mark.parametrize(("configured", "past"), [("4d", 0.0), ("2d", DAY), ("never", 0.0)])
def test_the_configured_retention_counts(database: Database, configured: str, past: float) -> None:
    """By state: of discarded jobs with three days, and of none whose retention is not known."""
    with database.connect() as connection:
        finished(connection, 3, "discarded")
        finished(connection, 3, "cancelled")
    with Exporter(database.exporter_url, RIVER_EXPORTER_RIVER_SETTINGS_RETENTION_DISCARDED=configured) as exporter:
        found = exporter.run("retention")
    assert found[PAST] == {("public", "discarded"): pytest.approx(past, abs=60)}
    assert found[OLDEST].keys() == {("public", "discarded"), ("public", "cancelled")}


def _after(exporter: Exporter, seconds: float) -> Values:
    """What is told after so many seconds of readings that follow one another; the clock alone is moved."""
    real = exporter.context.clock
    found: Values = {}
    for ahead in range(0, round(seconds) + 1, 60):
        exporter.context.clock = lambda ahead=ahead: real() + ahead  # type: ignore[misc]
        exporter.run("statements")
        found = exporter.run("retention")
    return found
