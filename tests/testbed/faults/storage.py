"""Commits that wait: for a standby that isn't there, or behind checkpoints that write without end."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from psycopg import sql

from tests.testbed.faults.base import Environment, Fault, HeldFault, attempt


@contextmanager
def settings(environment: Environment, values: Mapping[str, str]) -> Iterator[None]:
    """Change settings of the whole server, and take the changes back on leaving."""
    with environment.connect(autocommit=True) as connection:
        try:
            for name, value in values.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
            reload(environment, values)
            yield
        finally:
            for name in values:
                connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
            connection.execute("SELECT pg_reload_conf()")


def reload(environment: Environment, values: Mapping[str, str]) -> None:
    """Reload the configuration and wait until new sessions see it."""
    with environment.connect(autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")

    def in_force() -> bool:
        with environment.connect() as connection:
            return all(
                connection.execute("SELECT current_setting(%s)", [name]).fetchone() == (value,)
                for name, value in values.items()
            )

    attempt(in_force, "the changed configuration")


class SyncStandby(HeldFault):
    """Commits wait for a synchronous standby that never answers; wait event SyncRep."""

    name = "sync-standby"
    cause = "storage"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Require the standby; taking that back lets all waiting commits go."""
        with settings(self.environment, {"synchronous_standby_names": "absent"}):
            yield


class CheckpointStorm(Fault):
    """Writers that fill WAL as fast as they can, and one checkpoint after the other, all of it brought to the disk.

    How much it hurts is up to the disk: commits wait behind the writers' WAL and the checkpoints' fsync.
    """

    name = "checkpoint-storm"
    cause = "storage"
    unit = "writers"
    strongest = 2.0

    def provoke(self) -> None:
        """Start the writers."""
        self._ended = threading.Event()
        self._writers: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self.stack.enter_context(
            settings(
                self.environment,
                {"max_wal_size": "64MB", "checkpoint_timeout": "30s", "full_page_writes": "on", "fsync": "on"},
            )
        )
        self.stack.callback(self._drop)
        with self.environment.connect() as connection:
            connection.execute("CREATE SCHEMA river_fault")
        self.stack.callback(self._end)
        self.adjust()

    def adjust(self) -> None:
        """Start further writers; there is no way to fewer but lifting."""
        while len(self._writers) < int(self.intensity):
            writer = threading.Thread(target=self._write, args=[len(self._writers)], name="fault's writer")
            self._writers.append(writer)
            writer.start()

    def _write(self, number: int) -> None:
        table = sql.Identifier("river_fault", f"wal_{number}")
        try:
            with self.environment.connect(autocommit=True) as connection:
                connection.execute(
                    sql.SQL("CREATE TABLE {} AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 5000)").format(
                        table
                    )
                )
                while not self._ended.is_set():
                    connection.execute(sql.SQL("UPDATE {} SET text = text").format(table))
                    connection.execute("CHECKPOINT")
        except BaseException as error:
            self._errors.append(error)

    def _end(self) -> None:
        self._ended.set()
        for writer in self._writers:
            writer.join()
        for error in self._errors:
            raise error

    def _drop(self) -> None:
        with self.environment.connect() as connection:
            connection.execute("DROP SCHEMA IF EXISTS river_fault CASCADE")
