"""How much of the machine a process gets: a limit like a container's, or a right of way on a machine that is busy.

Limits and a larger share are cgroups of version 1; where the machine has none that are ours to use, a limit of the
processor and the right of way are left out, and a slow disk is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.testbed.postgres import Postgres
from tests.testbed.process import ServerFailed

TWENTIETH = 0.05
"""Of a core: 50m in Kubernetes."""

_PERIOD = 100_000
_MOST_SHARES = 262_144
_REAL_TIME = 400_000
"""Microseconds of a second in which threads of a group may be urgent."""
_ROOT = Path("/sys/fs/cgroup")

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
def slow_disk(postgres: Postgres, bytes_per_second: int) -> Iterator[None]:
    """Let a server, with all its processes, write no more than that to the device that its data is on.

    Raises:
        ServerFailed: the machine has no such limit to give.
    """
    device = postgres.data.stat().st_dev
    limit = f"{os.major(device)}:{os.minor(device)} {bytes_per_second}"
    with _group("disk", {"blkio.throttle.write_bps_device": limit}, controller="blkio") as place:
        if place is None:
            raise ServerFailed("a slow disk needs root and the controller blkio of cgroup v1")
        for pid in _family(postgres.server.pid):
            with suppress(ProcessLookupError):  # a session that has just ended
                place(pid)
        yield


def _family(pid: int) -> Iterator[int]:
    """A process, and the children that it has after that; children of a process in a group are born in it."""
    yield pid
    yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


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
def _group(name: str, settings: Mapping[str, int | str], controller: str = "cpu") -> Iterator[Place | None]:
    folder = _folder(name, controller)
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
                _write(_ROOT / controller, int(pid))
        with suppress(OSError):  # one of them has not gone yet
            folder.rmdir()


def _folder(name: str, controller: str = "cpu") -> Path:
    return _ROOT / controller / f"river-exporter-{name}-{os.getpid()}"


def _write(folder: Path, pid: int) -> None:
    (folder / "cgroup.procs").write_text(str(pid))
