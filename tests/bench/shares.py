"""How much of the processor a process gets: a limit like a container's, or a right of way on a machine that is busy.

A limit and a larger share are cgroups of version 1; where the machine has none that are ours to use, nothing happens.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

TWENTIETH = 0.05
"""Of a core: 50m in Kubernetes."""

_PERIOD = 100_000
_MOST_SHARES = 262_144
_REAL_TIME = 400_000
"""Microseconds of a second in which threads of a group may be urgent."""
_ROOT = Path("/sys/fs/cgroup/cpu")

Place = Callable[[int], None]
"""Puts a process into a group, by its pid."""


@contextmanager
def limited(cores: float) -> Iterator[Place | None]:
    """A group that gets no more than that share of a core; None where there is none to be had."""
    settings = {"cpu.cfs_period_us": _PERIOD, "cpu.cfs_quota_us": int(_PERIOD * cores)}
    with _group("limited", settings) as place:
        yield place


@contextmanager
def preferred() -> Iterator[bool]:
    """This process and those it starts get the processor before others that want it; whether that worked."""
    with _group("preferred", {"cpu.shares": _MOST_SHARES}) as place:
        if place:
            with suppress(OSError):  # what `urgent` needs inside a group, where the kernel counts it by group
                (_folder("preferred") / "cpu.rt_runtime_us").write_text(str(_REAL_TIME))
            place(os.getpid())
        yield place is not None


@contextmanager
def urgent(pids: Sequence[int]) -> Iterator[None]:
    """Let all threads of these processes run as soon as they can (SCHED_RR, sched(7)), where that is allowed."""
    _schedule(pids, os.SCHED_RR, 1)
    try:
        yield
    finally:
        _schedule(pids, os.SCHED_OTHER, 0)


def _schedule(pids: Sequence[int], policy: int, priority: int) -> None:
    for task in (int(path.name) for pid in pids for path in Path(f"/proc/{pid}/task").iterdir()):
        with suppress(ProcessLookupError, PermissionError):  # a thread that has just ended; an ordinary user
            os.sched_setscheduler(task, policy, os.sched_param(priority))


@contextmanager
def _group(name: str, settings: dict[str, int]) -> Iterator[Place | None]:
    folder = _folder(name)
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        for key, value in settings.items():
            (folder / key).write_text(str(value))
        yield lambda pid: _write(folder, pid)
    finally:
        for pid in (folder / "cgroup.procs").read_text().split():
            with suppress(OSError):  # it has just ended
                _write(_ROOT, int(pid))
        with suppress(OSError):  # one of them has not gone yet
            folder.rmdir()


def _folder(name: str) -> Path:
    return _ROOT / f"river-exporter-{name}-{os.getpid()}"


def _write(folder: Path, pid: int) -> None:
    (folder / "cgroup.procs").write_text(str(pid))
