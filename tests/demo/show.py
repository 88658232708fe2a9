"""The demonstration: a stage, a view of it until its time is over, and keys that provoke faults."""

import io
import signal
import string
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

from tests.demo.switch import Switch
from tests.demo.terminal import Terminal, is_terminal
from tests.demo.view import Scene, Watch, line, screen
from tests.testbed.faults import FAULTS
from tests.testbed.process import ServerFailed
from tests.testbed.stage import Stage, stage

LINE_EVERY = 2.0
"""Seconds between two lines where there is no terminal."""

SCREEN_EVERY = 0.5
"""Seconds between two pictures on a terminal."""

KEYS = dict(
    zip(
        "123456789" + string.ascii_lowercase.replace("q", ""),
        (name for name in FAULTS if name != "pgbouncer-exhausted"),  # there is no PgBouncer on the stage
        strict=False,
    )
)
"""Which key provokes which fault."""


def show(seconds: float | None) -> int:
    """Run the demonstration: a live view on a terminal, lines elsewhere; returns the exit code.

    Args:
        seconds: when it ends by itself, counted from when everything is up; None: when the user quits.

    Raises:
        PartMissing: a part cannot be had on this machine.
        ServerFailed: a part does not start, or ends meanwhile.
    """
    with _terminated():
        try:
            with stage() as scene:
                _watch(scene, seconds)
        except KeyboardInterrupt:
            return 130
    return 0


def _watch(scene: Stage, seconds: float | None) -> None:
    """Show the stage until its time is over or somebody quits, then what came of it."""
    started = time.monotonic()
    over = lambda: seconds is not None and time.monotonic() - started >= seconds  # noqa: E731
    with Switch(scene.environment) as switch:
        (_on_terminal if is_terminal() else _as_lines)(scene, switch, over)
    print(
        f"completed {scene.completed()} jobs in {time.monotonic() - started:.0f} s;"
        f" attempts that River's own log says timed out: {len(scene.river.deadlines())}",
        flush=True,
    )


def _as_lines(scene: Stage, switch: Switch, over: Callable[[], bool]) -> None:
    started, watch = time.monotonic(), Watch()
    while not over():
        now = time.monotonic()
        print(line(_look(scene, watch), now - started, switch.state), flush=True)
        while not over() and time.monotonic() < now + LINE_EVERY:
            time.sleep(0.05)


def _on_terminal(scene: Stage, switch: Switch, over: Callable[[], bool]) -> None:
    watch = Watch()
    title = f"river-exporter demo: River {scene.river.version}, PostgreSQL {scene.postgres.version}"
    with redirect_stderr(io.StringIO()), Terminal() as terminal:  # progress lines would tear the picture
        while not over():
            keys = [(key, name, name == switch.on) for key, name in KEYS.items()]
            terminal.draw(screen(_look(scene, watch), title, f"{scene.exporter.url}/metrics", keys, switch.state))
            key = terminal.key(SCREEN_EVERY)
            if key == "q":
                return
            if key == "0" or key in KEYS:
                switch.press(KEYS.get(key, ""))


def _look(scene: Stage, watch: Watch) -> Scene:
    """Scrape the exporter.

    Raises:
        ServerFailed: a process of the stage has ended, or the exporter doesn't answer.
    """
    if not scene.river.alive:
        raise ServerFailed(f"River ended; its log: {scene.river.log_end()}")
    return watch.see(scene.exporter.metrics(), time.monotonic())


@contextmanager
def _terminated() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C, so that everything is cleared up."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
