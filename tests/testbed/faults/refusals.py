"""Faults in which every completion is refused at once: no attempt lasts, none times out, and no job is completed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from tests.testbed.faults.base import HeldFault
from tests.testbed.faults.storage import settings


class CheckConstraint(HeldFault):
    """A check constraint that no completed job meets, as a migration of the user's might bring it."""

    name = "check-constraint"
    cause = "refused"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Add it without looking at the rows that are there, and drop it."""
        table = self.environment.river_job
        condition = sql.SQL("ALTER TABLE {} ADD CONSTRAINT refuses CHECK (state <> 'completed') NOT VALID")
        with self.environment.connect(autocommit=True) as admin:
            admin.execute(condition.format(table))
            try:
                yield
            finally:
                admin.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS refuses").format(table))


class RaisingTrigger(HeldFault):
    """A trigger of the user's that raises when a job is completed."""

    name = "raising-trigger"
    cause = "refused"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Create function and trigger, and drop both."""
        function = sql.Identifier(self.environment.schema, "refuses")
        body = sql.SQL(
            "CREATE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today'; END $$"
        )
        trigger = sql.SQL(
            "CREATE TRIGGER refuses BEFORE UPDATE ON {} FOR EACH ROW"
            " WHEN (NEW.state = 'completed') EXECUTE FUNCTION {}()"
        )
        with self.environment.connect(autocommit=True) as admin:
            admin.execute(body.format(function))
            try:
                admin.execute(trigger.format(self.environment.river_job, function))
                yield
            finally:
                admin.execute(sql.SQL("DROP FUNCTION IF EXISTS {}() CASCADE").format(function))


class ReadOnly(HeldFault):
    """The server accepts no writes, as after a failover that leaves River on a standby."""

    name = "read-only"
    cause = "refused"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make every new transaction read-only, by a setting of the server."""
        with settings(self.environment, {"default_transaction_read_only": "on"}):
            yield
