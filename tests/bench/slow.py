"""A process with a small share of a core, as a container's CPU limit gives it: a cgroup with a quota."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TWENTIETH = 0.05
"""Of a core: 50m in Kubernetes."""

_PERIOD = 100_000
_ROOT = Path("/sys/fs/cgroup/cpu")


@contextmanager
def limited(share: float) -> Iterator[Callable[[int], None] | None]:
    """What puts a process under the limit, by its pid; None where this machine has no cgroup v1 that is ours to use."""
    folder = _ROOT / f"river-exporter-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        yield None
        return
    try:
        (folder / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (folder / "cpu.cfs_quota_us").write_text(str(int(_PERIOD * share)))

        def place(pid: int) -> None:
            (folder / "cgroup.procs").write_text(str(pid))

        yield place
    finally:
        with suppress(OSError):  # a process that has not ended yet keeps it
            folder.rmdir()
