"""What all faults have in common: they are provoked on entering, and lifted on leaving whatever happened."""

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

import psycopg
from psycopg import sql

from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.process import ServerFailed
from tests.testbed.proxy import TcpProxy
from tests.testbed.river import River

PAUSE = 1.0
"""Seconds between two holds of a fault that comes and goes."""

TICK = 0.05
"""Seconds between two looks at a changed intensity, and between two tries."""

PATIENCE = 30.0
"""Seconds a fault may take until it is in force; a fault that lifts itself gets as long."""


@dataclass(frozen=True)
class Environment:
    """What a fault is provoked in; which parts a fault needs is said in its docstring."""

    url: str
    """The superuser's, straight to River's database."""
    river: River | None = None
    proxy: TcpProxy | None = None
    """Between River and its database."""
    pgbouncer: PgBouncer | None = None
    """Between River and its database; River logs in as the superuser."""
    schema: str = "public"
    """Where River's tables are."""

    @property
    def river_job(self) -> sql.Identifier:
        """The table, with its schema."""
        return sql.Identifier(self.schema, "river_job")

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection:
        """Open a superuser's session whose commits wait for no standby, and whose DDL waits a while at most."""
        return psycopg.connect(
            self.url,
            autocommit=autocommit,
            connect_timeout=10,
            prepare_threshold=None,
            application_name="fault",
            options="-c synchronous_commit=off",
        )


class Fault(ABC):
    """One thing that goes wrong; a context manager that provokes it and really lifts it.

    Subclasses say in `provoke` what to do, and put what undoes it on `self.stack` before it can be needed.
    """

    name: ClassVar[str]
    """Stable: demo, tests and benchmarks choose a fault by it."""
    cause: ClassVar[str]
    """The cause of the completer's budget that it drives: pool, network, lock, execution or storage."""
    unit: ClassVar[str]
    """What `intensity` counts."""
    strongest: ClassVar[float] = math.inf
    """The intensity if none is given."""

    def __init__(self, environment: Environment, intensity: float | None = None) -> None:
        """Describe a fault; nothing happens yet. `intensity` is in `unit`, the strongest if not given."""
        self.environment = environment
        self.intensity = self.default_intensity() if intensity is None else intensity
        self.stack = ExitStack()

    def default_intensity(self) -> float:
        """Return the intensity that certainly breaks the completer, where the environment decides it."""
        return self.strongest

    @abstractmethod
    def provoke(self) -> None:
        """Bring the fault about; it is in force on return."""

    @abstractmethod
    def adjust(self) -> None:
        """Make `self.intensity` felt, at once or as soon as what is under way allows."""

    def set(self, intensity: float) -> None:
        """Make a fault that is in force stronger or weaker."""
        self.intensity = intensity
        self.adjust()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self.stack)
            self.provoke()
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stack.__exit__(kind, error, trace)


class HeldFault(Fault):
    """A fault that is on or off: held for `intensity` seconds again and again, or until it is lifted.

    It is held by a thread of its own; the first hold is in force once the fault is entered.
    """

    unit = "seconds each time"

    @abstractmethod
    def hold(self) -> AbstractContextManager[None]:
        """Return what is on while entered."""

    def provoke(self) -> None:
        """Start holding."""
        self._ended = threading.Event()
        self._held = threading.Event()
        self._error: BaseException | None = None
        thread = threading.Thread(target=self._run, name=f"fault {self.name}")
        thread.start()
        self.stack.callback(self._end, thread)
        while not self._held.wait(TICK):
            if not thread.is_alive():
                self._raise()

    def adjust(self) -> None:
        """Leave it to the thread, which looks at the intensity all the time."""

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                with self.hold():
                    self._held.set()
                    started = time.monotonic()
                    while time.monotonic() - started < self.intensity and not self._ended.wait(TICK):
                        pass
                self._ended.wait(PAUSE)
        except BaseException as error:
            self._error = error

    def _end(self, thread: threading.Thread) -> None:
        self._ended.set()
        thread.join()
        self._raise()

    def _raise(self) -> None:
        """Raise, once, what ended the thread."""
        error, self._error = self._error, None
        if error is not None:
            raise error


def attempt(condition: Callable[[], bool], what: str) -> None:
    """Try until `condition` holds.

    Raises:
        ServerFailed: it doesn't within `PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{what} was not to be had within {PATIENCE:.0f} s")
        time.sleep(TICK)


@contextmanager
def running(connection: psycopg.Connection, statement: sql.Composed | sql.SQL) -> Iterator[threading.Thread]:
    """Run a statement that does not end by itself in a thread, and cancel it on leaving."""

    def run() -> None:
        try:
            connection.execute(statement)
        except psycopg.errors.QueryCanceled:
            return

    thread = threading.Thread(target=run, name="fault's statement")
    thread.start()
    try:
        yield thread
    finally:
        while thread.is_alive():  # a cancel that comes before the statement has begun is lost
            connection.cancel_safe(timeout=10)
            thread.join(TICK)
