"""The demonstration, run as a user runs it: on a terminal, without one, and stopped in the middle."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.testbed.process import wait_for
from tests.testbed.river import binary

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.demo"]


@pytest.fixture(autouse=True)
def built() -> None:
    """Have the River worker built, so that a test's deadline doesn't have to pay for that."""
    binary()


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the demonstration a folder for temporary files, and find it empty afterwards, with no process in it."""
    folder = Path(tempfile.mkdtemp(prefix="demo-"))  # pytest's own is too long for the path of a socket
    folder.chmod(0o1777)  # PostgreSQL runs as another user where root runs the tests
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setenv("RIVER_EXPORTER_DATABASE_URL", "postgresql://of-the-user.invalid/x")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    monkeypatch.chdir(ROOT)
    yield folder
    wait_for(lambda: not list(folder.iterdir()), 10, "the temporary files to go")
    assert processes(folder) == []
    folder.rmdir()


def processes(folder: Path) -> list[str]:
    """The command lines of processes that have something to do with a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:
                continue
            if str(folder).encode() in environment + command:
                found.append(command.decode())
    return found


def completed(text: str) -> int:
    """How many jobs the demonstration says were completed."""
    match = re.search(r"completed (\d+) jobs in", text)
    assert match, text
    return int(match[1])


def test_without_a_terminal_it_prints_lines_and_ends(traces: Path) -> None:
    """It shows progress on stderr, lines on stdout, ends by itself, and River has completed jobs."""
    assert traces
    done = subprocess.run([*COMMAND, "--seconds", "8"], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert completed(done.stdout) > 100
    lines = re.findall(r"^ *\d+ s  available=.*fault=none$", done.stdout, re.MULTILINE)
    assert len(lines) >= 3
    assert re.search(r"completions_per_second=[1-9]", lines[-1])
    assert "the exporter answers at http://127.0.0.1:" in done.stderr


class Screen:
    """The demonstration on a terminal of ours."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.text = ""

    def shows(self, pattern: str, within: float = 60) -> None:
        """Read until the terminal has shown a text that matches, from now on."""
        self.text = ""

        def read() -> bool:
            self.text += os.read(self.master, 65536).decode(errors="replace")
            return re.search(pattern, self.text) is not None

        wait_for(read, within, f"the terminal to show {pattern}")

    def press(self, key: str) -> None:
        """Type a key."""
        os.write(self.master, key.encode())

    def rest(self) -> str:
        """Read to the end."""
        text = ""
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # how Linux ends a terminal whose last user has gone
                return text
            text += data.decode(errors="replace")


@contextmanager
def on_terminal(*arguments: str) -> Iterator[Screen]:
    """Run the demonstration on a pseudo-terminal of 120 columns."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        yield Screen(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_keys_provoke_and_lift_faults(traces: Path) -> None:
    """A key provokes a row lock, which the view shows; the key again lifts it; q ends with 0, the terminal restored."""
    assert traces
    with on_terminal() as screen:
        screen.shows(r"completed +\d+")
        screen.press("1")
        screen.shows(r"fault: row-lock for")
        screen.shows(r"waited \d+\.\d s behind idle_in_transaction")
        screen.press("1")
        screen.shows(r"fault: none")
        screen.press("6")
        screen.shows(r"10 of 10 connections in use")
        screen.press("q")
        rest = screen.rest()
        assert screen.process.wait(20) == 0
    assert rest.index("\x1b[?1049l") < rest.index("completed ")
    assert completed(rest) > 50


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stop_in_the_middle_leaves_nothing(traces: Path, number: signal.Signals) -> None:
    """However it is ended, no process and no file stays behind, even while a fault is on."""
    with on_terminal() as screen:
        screen.shows(r"completed +\d+")
        screen.press("1")
        screen.shows(r"fault: row-lock for")
        assert len(processes(traces)) >= 4
        screen.process.send_signal(number)
        screen.rest()
        assert screen.process.wait(20) == (-9 if number == signal.SIGKILL else 130)
        wait_for(lambda: processes(traces) == [], 20, "all processes to end")


def test_a_stop_while_it_starts_leaves_nothing(traces: Path) -> None:
    """Ctrl-C before everything is up ends what is up already."""
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(processes(traces)) >= 2, 60, "the first server", interval=0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in errors
