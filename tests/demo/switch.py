"""Provokes and lifts faults while something else goes on: one at a time, in a thread of its own."""

import queue
import threading
import time
from types import TracebackType
from typing import Self

from exporter.logs.masking import mask
from tests.testbed.faults import FAULTS, Environment, Fault


class Switch:
    """A context manager; leaving it lifts what is on."""

    def __init__(self, environment: Environment) -> None:
        """Describe a switch for the faults of an environment."""
        self._environment = environment
        self._wanted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="switch")
        self._fault: Fault | None = None
        self._since = 0.0
        self._doing = ""
        self._error: Exception | None = None

    @property
    def on(self) -> str:
        """The name of the fault that is on, empty if none is."""
        fault = self._fault
        return fault.name if fault is not None else ""

    @property
    def state(self) -> str:
        """What is on or being done, in words."""
        return self._doing or (f"{self.on} for {time.monotonic() - self._since:.0f} s" if self.on else "none")

    def press(self, name: str) -> None:
        """Provoke that fault in the place of the one that is on, or lift it if it is the one; empty only lifts."""
        self._wanted.put(name)

    def _run(self) -> None:
        while (name := self._wanted.get()) is not None:
            before = self.on
            try:
                self._lift()
                if name and name != before:
                    self._provoke(name)
                self._doing = ""
            except Exception as error:
                self._doing = f"{name or before} failed: {mask(str(error)).partition(chr(10))[0]}"
        try:
            self._lift()
        except Exception as error:
            self._error = error

    def _provoke(self, name: str) -> None:
        self._doing = f"{name} is being provoked"
        fault = FAULTS[name](self._environment)
        fault.__enter__()
        self._since = time.monotonic()
        self._fault = fault

    def _lift(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            self._doing = f"{fault.name} is being lifted"
            fault.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wanted.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error
