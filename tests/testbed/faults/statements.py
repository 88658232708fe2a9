"""The statements themselves become slow: a trigger, a lost index, dead rows.

What these add to the database lives in the schema ``river_fault``, or is a row of the kind ``filler``.
"""

from typing import ClassVar, LiteralString

import psycopg
from psycopg import sql

from tests.testbed.faults.base import Environment, Fault, attempt

DDL_PATIENCE = "2s"
"""How long DDL may make River queue behind it before it steps back and tries again."""


def change(environment: Environment, *statements: sql.Composed | sql.SQL) -> None:
    """Run DDL in one transaction, again and again in short tries, as it needs strong locks on a busy table.

    Raises:
        ServerFailed: it never got its lock.
    """

    def done() -> bool:
        with environment.connect() as connection:
            try:
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(DDL_PATIENCE))
                for statement in statements:
                    connection.execute(statement)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                connection.rollback()
                return False
            return True

    attempt(done, "the lock on river_job")


class SlowStatement(Fault):
    """Statements that complete jobs sleep (wait event PgSleep) in a trigger while they hold their rows."""

    name = "slow-statement"
    cause = "execution"
    unit = "seconds a statement"
    strongest = 12.0
    spend: ClassVar[str] = "pg_sleep(least(0.05, rest))"
    """How the trigger passes a moment."""

    def provoke(self) -> None:
        """Add the trigger."""
        self.stack.callback(self._lift)
        change(
            self.environment,
            sql.SQL("CREATE SCHEMA river_fault"),
            sql.SQL("CREATE TABLE river_fault.pause AS SELECT {}::float8 AS seconds").format(self.intensity),
            # The duration is read again and again, so that a change is felt by what is under way.
            sql.SQL("""
                CREATE FUNCTION river_fault.pass_time() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
                DECLARE rest float8;
                BEGIN
                  IF EXISTS (SELECT FROM changed WHERE state = 'completed') THEN
                    LOOP
                      SELECT seconds - extract(epoch FROM clock_timestamp() - statement_timestamp())
                        INTO rest FROM river_fault.pause;
                      EXIT WHEN rest <= 0;
                      PERFORM {};
                    END LOOP;
                  END IF;
                  RETURN NULL;
                END $$""").format(sql.SQL(self.spend)),
            sql.SQL("""
                CREATE TRIGGER fault AFTER UPDATE ON {} REFERENCING NEW TABLE AS changed
                FOR EACH STATEMENT EXECUTE FUNCTION river_fault.pass_time()""").format(self.environment.river_job),
        )

    def adjust(self) -> None:
        """Change the duration, also of statements under way."""
        self._set_seconds(self.intensity)

    def _set_seconds(self, seconds: float) -> None:
        with self.environment.connect() as connection:
            connection.execute("UPDATE river_fault.pause SET seconds = %s", [seconds])

    def _lift(self) -> None:
        with self.environment.connect() as connection:
            if connection.execute("SELECT to_regclass('river_fault.pause')").fetchone() == (None,):
                return
        self._set_seconds(0)
        change(self.environment, sql.SQL("DROP SCHEMA river_fault CASCADE"))


class SlowTrigger(SlowStatement):
    """Statements that complete jobs burn processor time in a trigger: active, and waiting for nothing."""

    name = "slow-trigger"
    spend = "count(*) FROM generate_series(1, 20000)"


class MissingIndex(Fault):
    """The indexes by id and by state are gone, so that completing scans a table in which finished jobs pile up.

    Without the primary key alone River's statement finds its rows by their state. Fetching scans as well.
    """

    name = "missing-index"
    cause = "execution"
    unit = "finished jobs"
    strongest = 200_000.0

    def provoke(self) -> None:
        """Fill the table and drop the indexes."""
        self.filled = 0
        self.stack.callback(self._empty)
        self.adjust()
        table = self.environment.river_job
        drops = [sql.SQL("ALTER TABLE {} DROP CONSTRAINT river_job_pkey").format(table)]
        makes = [sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(table)]
        for name, definition in self._indexes_by_state():
            drops.append(sql.SQL("DROP INDEX {}").format(sql.Identifier(self.environment.schema, name)))
            makes.append(sql.Composed([sql.SQL(definition)]))
        change(self.environment, *drops)
        self.stack.callback(change, self.environment, *makes)

    def _indexes_by_state(self) -> list[tuple[str, LiteralString]]:
        """Return (name, statement that makes it) of the indexes whose first column is state."""
        query = """
            SELECT c.relname, pg_get_indexdef(indexrelid) FROM pg_index
            JOIN pg_class c ON c.oid = indexrelid
            JOIN pg_attribute a ON a.attrelid = indrelid AND a.attnum = indkey[0] AND attname = 'state'
            WHERE indrelid = %s::regclass"""
        with self.environment.connect() as connection:
            return connection.execute(query, [self.environment.river_job.as_string()]).fetchall()

    def adjust(self) -> None:
        """Add finished jobs; there is no way to fewer but lifting."""
        missing = int(self.intensity) - self.filled
        if missing > 0:
            with self.environment.connect() as connection:
                fill(self.environment, connection, missing, "completed")
            self.filled += missing
            maintain(self.environment, "ANALYZE")

    def _empty(self) -> None:
        with self.environment.connect() as connection:
            empty(self.environment, connection)
        maintain(self.environment, "VACUUM ANALYZE")


class Bloat(Fault):
    """Dead rows that an old snapshot keeps from being vacuumed lie where River looks for work.

    What slows down is fetching (JobGetAvailable), step by step with each dead row.
    """

    name = "bloat"
    cause = "execution"
    unit = "dead rows"
    strongest = 300_000.0

    def provoke(self) -> None:
        """Open the snapshot and make dead rows."""
        self.dead = 0
        self.stack.callback(maintain, self.environment, "VACUUM")
        snapshot = self.stack.enter_context(self.environment.connect())
        snapshot.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        snapshot.execute("SELECT FROM pg_class LIMIT 1")  # takes the snapshot
        self.adjust()

    def adjust(self) -> None:
        """Make more dead rows; there is no way to fewer but lifting."""
        missing = int(self.intensity) - self.dead
        if missing > 0:
            with self.environment.connect() as connection:
                fill(self.environment, connection, missing, "available")
                empty(self.environment, connection)  # in the same transaction: River sees none of them
            self.dead += missing


def fill(environment: Environment, connection: psycopg.Connection, rows: int, state: str) -> None:
    """Insert jobs of the kind ``filler``, about 1 kB each, scheduled long ago."""
    connection.execute(
        sql.SQL(
            "INSERT INTO {} (args, kind, max_attempts, state, finalized_at, scheduled_at)"
            " SELECT jsonb_build_object('text', repeat(md5(n::text), 25)), 'filler', 25, {state},"
            " CASE {state} WHEN 'completed' THEN now() END, 'epoch' FROM generate_series(1, {rows}) n"
        ).format(environment.river_job, state=state, rows=rows)
    )


def empty(environment: Environment, connection: psycopg.Connection) -> None:
    """Delete what `fill` inserted."""
    connection.execute(sql.SQL("DELETE FROM {} WHERE kind = 'filler'").format(environment.river_job))


def maintain(environment: Environment, command: str) -> None:
    """Run VACUUM or ANALYZE on river_job."""
    with environment.connect(autocommit=True) as connection:
        connection.execute(sql.SQL("{} {}").format(sql.SQL(command), environment.river_job))
