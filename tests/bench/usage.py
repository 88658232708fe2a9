"""What processes use, as Linux tells it under /proc (proc(5)): memory and processor time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Resident memory in MiB: all of it, its own part, and the part mapped from files."""

    resident: float
    own: float
    files: float


def memory(pid: int) -> Memory:
    """Of a process that runs; OSError when it does not."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kibibytes = {words[0].rstrip(":"): int(words[1]) for words in lines if words[0].startswith(("VmRSS", "Rss"))}
    return Memory(*(kibibytes[name] / 1024 for name in ("VmRSS", "RssAnon", "RssFile")))


def processor_seconds(pid: int) -> float:
    """Processor time of a process so far, user and system, its children left out; OSError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@dataclass
class ProcessorTime:
    """Processor seconds of processes that come and go, from a first look on.

    A process that was there at the first look counts from then; one that came later counts from its birth.
    """

    _first: dict[int, float] | None = None
    _last: dict[int, float] = field(default_factory=dict)

    def look(self, seconds: dict[int, float]) -> None:
        """Take the processor seconds so far of all processes that are there, by pid."""
        if self._first is None:
            self._first = dict(seconds)
        self._last |= seconds

    def total(self) -> float:
        """Seconds used since the first look."""
        first = self._first or {}
        return sum(last - first.get(pid, 0.0) for pid, last in self._last.items())


def processor_seconds_of(pids: list[int]) -> dict[int, float]:
    """Of those that still run."""
    found = {}
    for pid in pids:
        try:
            found[pid] = processor_seconds(pid)
        except OSError:
            continue
    return found
