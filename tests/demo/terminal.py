"""A terminal that is redrawn in place and read key by key, and is left as it was."""

import os
import select
import shutil
import sys
import termios
import tty
from collections.abc import Sequence
from types import TracebackType
from typing import Self

# ECMA-48 sequences and xterm's private modes: other screen, cursor, erase to the end of line or screen.
ENTER = "\x1b[?1049h\x1b[?25l"
LEAVE = "\x1b[?25h\x1b[?1049l"
HOME = "\x1b[H"
ERASE_LINE = "\x1b[K"
ERASE_BELOW = "\x1b[J"


def is_terminal() -> bool:
    """Whether somebody looks at standard output and types on standard input."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Terminal:
    """A context manager around standard input and output; Ctrl-C still interrupts."""

    def __init__(self) -> None:
        self._input = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._input)

    def draw(self, lines: Sequence[str]) -> None:
        """Show the lines from the top, cut to the terminal's size."""
        columns, rows = shutil.get_terminal_size()
        shown = [line[:columns] for line in lines[:rows]]
        sys.stdout.write(HOME + "\r\n".join(line + ERASE_LINE for line in shown) + ERASE_BELOW)
        sys.stdout.flush()

    def key(self, seconds: float) -> str:
        """Wait so long for a key and return it; empty if none came, ``q`` at the end of input."""
        ready, _, _ = select.select([self._input], [], [], seconds)
        if not ready:
            return ""
        return os.read(self._input, 1).decode(errors="replace") or "q"

    def __enter__(self) -> Self:
        tty.setcbreak(self._input)
        sys.stdout.write(ENTER)
        sys.stdout.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.write(LEAVE)
        sys.stdout.flush()
        termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)
