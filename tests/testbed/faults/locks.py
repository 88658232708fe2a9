"""Other transactions in the completing statement's way.

Row locks show as a wait for the holder's transaction, table locks as a wait for the relation (PostgreSQL
manual, "The pg_locks View").
"""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, LiteralString

import psycopg
from psycopg import sql

from tests.testbed.faults.base import Environment, HeldFault, attempt, running
from tests.testbed.faults.pools import river
from tests.testbed.river import River

NEVER = 86400
"""Seconds a statement sleeps that is cancelled long before."""


def lock_running_rows(environment: Environment, connection: psycopg.Connection) -> None:
    """Lock rows of jobs that run, so that the completer comes for them; waits until there are some."""
    statement = sql.SQL("SELECT FROM {} WHERE state = 'running' FOR UPDATE").format(environment.river_job)
    attempt(lambda: connection.execute(statement).rowcount > 0, "a running job to lock")


def waits(environment: Environment, pid: int, event: str) -> bool:
    """Whether a session waits for that event now."""
    with environment.connect() as connection:
        query = "SELECT FROM pg_stat_activity WHERE pid = %s AND %s IN (wait_event, wait_event_type)"
        return connection.execute(query, [pid, event]).rowcount > 0


class RowLock(HeldFault):
    """A transaction locks rows of running jobs and then idles."""

    name = "row-lock"
    cause = "lock"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the rows."""
        with self.environment.connect() as connection:
            lock_running_rows(self.environment, connection)
            yield
            connection.rollback()


class LongUpdate(HeldFault):
    """A statement updates rows of running jobs and goes on for long: the blocker is active."""

    name = "long-update"
    cause = "lock"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the rows."""
        update = sql.SQL(
            "WITH held AS (UPDATE {} SET priority = priority WHERE state = 'running' RETURNING 1)"
            " SELECT CASE WHEN count(*) > 0 THEN pg_sleep({})::text END FROM held"
        ).format(self.environment.river_job, NEVER)
        with self.environment.connect() as connection:
            while True:
                with running(connection, update) as thread:
                    if self._sleeps(connection, thread):
                        yield
                        break
                connection.rollback()  # no job was running just then
            connection.rollback()

    def _sleeps(self, connection: psycopg.Connection, thread: threading.Thread) -> bool:
        """Wait until the statement has updated rows and sleeps; false when it found none and ended."""
        pid = connection.info.backend_pid
        attempt(lambda: not thread.is_alive() or waits(self.environment, pid, "PgSleep"), "a running job to update")
        return thread.is_alive()


class OtherRiver(HeldFault):
    """Another program with a River client cancels running jobs, in a transaction that it then leaves open."""

    name = "other-river"
    cause = "lock"

    def provoke(self) -> None:
        """Start the other program, which works a queue without jobs."""
        version, schema = river(self.environment).version, self.environment.schema
        self.other = self.stack.enter_context(
            River(self.environment.url, version=version, schema=schema, rate=0, queues={"other": 1}, pool=4)
        )
        super().provoke()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the rows of the cancelled jobs; rolled back, so that the jobs themselves come to no harm."""
        attempt(lambda: self.other.cancel() > 0, "a running job to cancel")
        yield
        self.other.release()


class PreparedTransaction(HeldFault):
    """A prepared transaction holds rows of running jobs: a blocker without a session.

    The server needs ``max_prepared_transactions`` above 0.
    """

    name = "prepared-transaction"
    cause = "lock"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the rows."""
        name = sql.Literal(f"fault-{uuid.uuid4()}")
        with self.environment.connect(autocommit=True) as connection:
            connection.execute("BEGIN")
            lock_running_rows(self.environment, connection)
            connection.execute(sql.SQL("PREPARE TRANSACTION {}").format(name))
            try:
                yield
            finally:
                connection.execute(sql.SQL("ROLLBACK PREPARED {}").format(name))


class TableLock(HeldFault):
    """A transaction takes ACCESS EXCLUSIVE on river_job and then idles: readers wait too."""

    name = "table-lock"
    cause = "lock"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the table."""
        with self.environment.connect() as connection:
            connection.execute(sql.SQL("LOCK TABLE {}").format(self.environment.river_job))
            yield
            connection.rollback()


class Ddl(HeldFault):
    """An ALTER TABLE queues behind an idle reader, and everybody else behind the ALTER TABLE."""

    name = "ddl"
    cause = "lock"
    statement: ClassVar[LiteralString] = "ALTER TABLE {} ALTER priority SET DEFAULT 1"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep the statement waiting."""
        statement = sql.SQL(self.statement).format(self.environment.river_job)
        with self.environment.connect() as reader, self.environment.connect(autocommit=True) as changing:
            reader.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(self.environment.river_job))
            with running(changing, statement):
                pid = changing.info.backend_pid
                attempt(lambda: waits(self.environment, pid, "Lock"), f"a waiting {self.name}")
                yield
            reader.rollback()


class VacuumFull(Ddl):
    """A VACUUM FULL queues behind an idle reader, and everybody else behind the VACUUM FULL."""

    name = "vacuum-full"
    statement = "VACUUM FULL {}"
