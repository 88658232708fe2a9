"""Child processes that are servers: started with a log, paused, stopped, and never left behind."""

import atexit
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

from exporter.errors import ExporterError
from tests.testbed import guard
from tests.testbed.cache import say

T = TypeVar("T")

PORTS = range(20000, 32000)
"""Where free ports are looked for: below Linux's ephemeral range, so that no outgoing connection takes one."""


class ServerFailed(ExporterError):  # noqa: N818 - reads as what a user is told
    """A server didn't start, ended by itself or missed a deadline; the message ends with its log's last lines."""


class Started(ABC):
    """A context manager: entering starts it, leaving closes it, and so does a start that fails half-way."""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it serves."""

    @abstractmethod
    def close(self) -> None:
        """Stop it and remove what it left; also after a start that failed."""

    def abandon(self) -> None:
        """End what a failed start left behind."""
        self.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Guard:
    """Our end of the pipe to the guard process, started on first use; see `tests.testbed.guard`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._pipe: IO[str] = io.StringIO()
        self._owner = 0

    def tell(self, **entry: int | str | bool) -> None:
        """Send the guard one line."""
        with self._lock:
            if self._owner != os.getpid():  # the first time, or in a forked child, which needs its own
                self._start()
            self._pipe.write(json.dumps(entry) + "\n")
            self._pipe.flush()

    def _start(self) -> None:
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__],
            stdin=reading,
            stdout=subprocess.DEVNULL,  # a pipe of ours would seem open as long as the guard lives
            text=True,
            cwd="/",
            start_new_session=True,  # Ctrl-C at a terminal must not end the guard
        )
        os.close(reading)
        self._pipe = os.fdopen(writing, "w")
        self._owner = os.getpid()
        atexit.register(self._close)

    def _close(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._pipe.close()
            self._process.wait()


_guard = _Guard()


def temporary_folder(name: str, owner: int | None = None) -> Path:
    """Make a folder that is removed when this process ends, however it ends; `owner` is a uid.

    It lies in the system's folder for temporary files, not in the cache, so that a server that runs as
    another user reaches it. Sockets fit below it: a path of theirs has at most 107 bytes.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"river-exporter-{name}-"))
    _guard.tell(folder=str(folder))
    if owner is not None:
        os.chown(folder, owner, -1)
    return folder


def remove_folder(folder: Path) -> None:
    """Remove what `temporary_folder` made; nothing happens when it is gone already."""
    shutil.rmtree(folder, ignore_errors=True)
    _guard.tell(folder=str(folder), done=True)


def keep_segment(identifier: int, *, done: bool = False) -> None:
    """Have a System V shared memory segment removed when this process ends; with `done` remove it now."""
    if done:
        guard.remove_segment(identifier)
    _guard.tell(segment=identifier, done=done)


class Server:
    """A child process in a session of its own, ended with all below it when this process ends.

    A context manager: entering starts it, leaving stops it and removes its log unless that was given.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: int | None = None,
        group: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        guard_signal: signal.Signals | None = None,
    ) -> None:
        """Describe a server; nothing is started yet.

        Args:
            name: What messages and the log's folder call it.
            argv: The command. No secrets: everybody sees a command line.
            log: Where stdout and stderr are appended; a temporary folder of its own if not given.
            env: Variables beside those of this process (the place for secrets).
            cwd: The folder to run in.
            user: The uid to run as, if not ours; needs root, and `group` beside it.
            group: The gid to run as.
            stop_signal: Ends the server in an orderly way.
            guard_signal: Ends it when this process has died, `stop_signal` if not given.
        """
        self.name = name
        self.argv = [str(word) for word in argv]
        self._own_folder: Path | None = None
        if log is None:
            self._own_folder = temporary_folder(name)
            log = self._own_folder / f"{name}.log"
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._user = user
        self._group = group
        self.stop_signal = stop_signal
        self._guard_signal = guard_signal or stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._start_time = 0

    @property
    def alive(self) -> bool:
        """Whether the process runs (or is paused)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's id; 0 before the first start."""
        return self._process.pid if self._process is not None else 0

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs or before the first start."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start the process; doesn't wait until it serves (see `wait_for`).

        Raises:
            ServerFailed: it runs already, or its program isn't there.
        """
        if self.alive:
            raise ServerFailed(f"{self.name} runs already; stop it first")
        with self.log.open("ab") as log:
            try:
                self._process = subprocess.Popen(
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                    user=self._user,
                    group=self._group,
                    extra_groups=None if self._user is None else [],
                )
            except OSError as error:
                raise ServerFailed(f"{self.name} can't be started: {error}") from None
        found = guard.stat(self._process.pid)
        self._start_time = found[2] if found is not None else 0
        _guard.tell(pid=self._process.pid, start=self._start_time, signal=int(self._guard_signal))

    def stop(self, timeout: float = 10) -> None:
        """End the server in an orderly way, at the latest after `timeout` seconds by force."""
        self._end(self.stop_signal, timeout)

    def kill(self) -> None:
        """End the server and all its children at once (SIGKILL), as a crash would."""
        self._end(signal.SIGKILL, 0)

    def _end(self, number: signal.Signals, timeout: float) -> None:
        if self._process is None:
            return
        members = self._members()
        if number is not signal.SIGKILL:
            guard.send(members[:1], number)
            guard.send(members, signal.SIGCONT)  # a paused one would never see the first signal
            guard.gone(members[:1], timeout)  # what outlives its server is killed below
        members += [member for member in self._members() if member not in members]
        guard.send(members, signal.SIGKILL)
        self._process.wait()
        if not guard.gone(members, 10):
            raise ServerFailed(f"{self.name} has processes that don't end even when killed")
        _guard.tell(pid=self._process.pid, done=True)

    def pause(self) -> None:
        """Stop the server and all its children from running (SIGSTOP); their connections stay open."""
        stopped: list[tuple[int, int]] = []
        while fresh := [member for member in self._members() if member not in stopped]:
            guard.send(fresh, signal.SIGSTOP)  # parents first; again, as one may have forked meanwhile
            stopped += fresh

    def resume(self) -> None:
        """Let a paused server run on (SIGCONT)."""
        guard.send(self._members(), signal.SIGCONT)

    def _members(self) -> list[tuple[int, int]]:
        return guard.tree(self._process.pid, self._start_time) if self._process is not None else []

    def log_text(self) -> str:
        """Return all the server has written so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_end(self, lines: int = 5) -> str:
        """Return the log's last lines (of its last 8 KiB), joined by `` | `` to fit into a message of one line."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 8192))
            text = log.read().decode(errors="replace")
        return " | ".join(text.splitlines()[-lines:])

    def close(self) -> None:
        """Stop the server and remove the log's folder, if it is its own."""
        self.stop()
        if self._own_folder is not None:
            remove_folder(self._own_folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wait_for(
    condition: Callable[[], T | None],
    timeout: float,
    what: str,
    server: Server | None = None,
    interval: float = 0.02,
) -> T:
    """Poll until `condition` returns something true and return that; says after 2 s that it waits.

    Args:
        condition: Called every `interval` seconds; what it raises passes through.
        timeout: Seconds.
        what: What is waited for, for messages: ``PostgreSQL 18 to answer``.
        server: Whose log is shown; when it ends meanwhile, waiting is over.
        interval: Seconds between two polls.

    Raises:
        ServerFailed: the deadline passed or the server ended.
    """
    started = time.monotonic()
    next_word = 2.0
    while True:
        result = condition()
        if result:
            return result
        seconds = time.monotonic() - started
        if server is not None and not server.alive:
            raise ServerFailed(f"{server.name} ended ({server.returncode}) while waiting for {what}{_end(server)}")
        if seconds > timeout:
            raise ServerFailed(f"waited {timeout:g} s in vain for {what}{_end(server)}")
        if seconds > next_word:
            say(f"waiting for {what} ({seconds:.0f} s)")
            next_word += 10
        time.sleep(interval)


def _end(server: Server | None) -> str:
    return "" if server is None else f"; its log ends: {server.log_end()}"


_given: set[int] = set()
_given_lock = threading.Lock()


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on, never the same twice in this process."""
    with _given_lock:
        for port in random.sample(PORTS, len(PORTS)):
            if port in _given:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            _given.add(port)
            return port
    raise ServerFailed(f"no free TCP port between {PORTS.start} and {PORTS.stop} on 127.0.0.1")
