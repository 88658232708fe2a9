"""River for Go and for Rust on one database: both are recognised, whichever of them leads."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from exporter.river.operations import classify
from tests.collecting import Exporter
from tests.conftest import Database
from tests.testbed.process import wait_for
from tests.testbed.river import River, Version

MAINTENANCE = ("JobSchedule", "JobGetStuck", "JobDeleteBefore")
"""What shows the scheduler, the rescuer and the cleaner at work."""

COMPLETING = "SELECT query FROM pg_stat_activity WHERE datname = current_database()"


def leader(database: Database) -> str:
    """The client that leads."""
    with database.connect() as connection:
        rows = connection.execute("SELECT leader_id FROM river_leader WHERE expires_at > now()").fetchall()
    return str(rows[0][0]) if rows else ""


def test_both_complete_and_both_are_recognised(database: Database) -> None:
    """Each by its own text, in one schema, as one operation."""
    seen: set[str | None] = set()
    with ExitStack() as workers, Exporter(database.exporter_url) as exporter, database.connect() as connection:
        for version in ("0.51", "rust-0.5"):
            workers.enter_context(River(database.superuser_url, version=version, rate=30, job_seconds=0.05))

        def both() -> bool:
            statements = [classify(text) for (text,) in connection.execute(COMPLETING).fetchall()]
            seen.update(statement.runtime for statement in statements if statement.completes)
            exporter.run("sessions")
            return seen >= {"go", "rust"}

        wait_for(both, 30, "a completing statement of both")
        assert seen == {"go", "rust"}
        assert exporter.run("budget")["river_completer_budget_used_ratio"]["public",] < 0.3


@pytest.mark.parametrize(("first", "second"), [("0.51", "rust-0.5"), ("rust-0.5", "0.51")])
def test_the_maintenance_is_seen_after_the_leader_has_changed(
    database: Database, first: Version, second: Version
) -> None:
    """Every service of the new leader's is recognised, so that none is reported late."""
    with (
        Exporter(database.exporter_url) as exporter,
        River(database.superuser_url, version=first, rate=5) as old,
    ):
        state = exporter.context.schema_state("public")

        def observed_since(moment: float) -> bool:
            exporter.run("statements")
            return all(state.rose(operation) > moment for operation in MAINTENANCE)

        wait_for(lambda: observed_since(0), 60, "the maintenance of the first leader", interval=0.5)
        before = leader(database)
        with River(database.superuser_url, version=second, rate=5):
            old.stop()
            wait_for(lambda: leader(database) not in {"", before}, 30, "the other to lead")
            moment = exporter.context.clock()
            wait_for(lambda: observed_since(moment), 60, "the maintenance of the second leader", interval=0.5)
            exporter.run("maintenance")
            assert set(exporter.run("maintenance")["river_maintenance_late_seconds"].values()) == {0}
