"""The guard: one small process that ends servers and removes folders when the process that made them dies.

PR_SET_PDEATHSIG alone is not enough here: it acts on the death of the *thread* that started a server,
is forgotten when a server changes its user, and removes no files. So the parent tells the guard over a
pipe what exists, one JSON object a line; when the pipe ends, for whatever reason, the guard clears up.
It is run by its path, without the package, and therefore imports the standard library only.

Lines: ``{"pid": 1, "start": 2, "signal": 3}`` a server, its start time (clock ticks since boot, field 22 of
proc_pid_stat(5)) and the signal that ends it; ``{"folder": "/…"}`` a folder, ``{"segment": 4}`` a System V
shared memory segment; each with ``"done": true`` once the parent has cleared it up itself.
"""

import ctypes
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds a server gets to end by itself before it is killed."""


def stat(pid: int) -> tuple[str, int, int] | None:
    """Return (state, parent's pid, start time) of a process, see proc_pid_stat(5); None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1]), int(fields[19])


def running(pid: int, start: int) -> bool:
    """Whether that very process (not a later one of the same pid) is there and no zombie."""
    found = stat(pid)
    return found is not None and found[2] == start and found[0] not in "ZX"


def tree(pid: int, start: int) -> list[tuple[int, int]]:
    """Return (pid, start time) of a running process and all below it, parents first.

    PostgreSQL's backends each have a process group of their own, so the group isn't enough.
    """
    if not running(pid, start):
        return []
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        found = stat(int(entry.name)) if entry.name.isdigit() else None
        if found is not None and found[0] not in "ZX":
            children.setdefault(found[1], []).append((int(entry.name), found[2]))
    result = [(pid, start)]
    for parent, _ in result:  # grows while it is walked
        result.extend(children.get(parent, []))
    return result


def send(processes: list[tuple[int, int]], number: int) -> None:
    """Send a signal to those of the processes that still run."""
    for pid, start in processes:
        if running(pid, start):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue


def gone(processes: list[tuple[int, int]], seconds: float) -> bool:
    """Wait until none of the processes runs any more, at most so long."""
    deadline = time.monotonic() + seconds
    while any(running(pid, start) for pid, start in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def remove_segment(identifier: int) -> None:
    """Remove a System V shared memory segment, see shmctl(2); PostgreSQL leaves one when it is killed."""
    ipc_rmid = 0
    ctypes.CDLL(None).shmctl(identifier, ipc_rmid, None)


def clear_up(servers: dict[int, tuple[int, int]], folders: set[str], segments: set[int]) -> None:
    """End the servers (pid to start time and signal), then remove the folders and segments."""
    trees = [tree(pid, start) for pid, (start, _) in servers.items()]
    everything = [process for members in trees for process in members]
    for pid, (start, number) in servers.items():
        send([(pid, start)], number)
    send(everything, signal.SIGCONT)
    gone([members[0] for members in trees if members], PATIENCE)
    send(everything, signal.SIGKILL)  # what outlived its server, or would not end
    gone(everything, PATIENCE)
    for identifier in segments:
        remove_segment(identifier)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Follow stdin to its end, then clear up what is left."""
    servers: dict[int, tuple[int, int]] = {}
    folders: set[str] = set()
    segments: set[int] = set()
    for line in sys.stdin:
        entry = json.loads(line)
        done = entry.get("done", False)
        if "pid" in entry:
            servers.pop(entry["pid"], None)
            if not done:
                servers[entry["pid"]] = (entry["start"], entry["signal"])
        if "folder" in entry:
            (folders.discard if done else folders.add)(entry["folder"])
        if "segment" in entry:
            (segments.discard if done else segments.add)(entry["segment"])
    clear_up(servers, folders, segments)


if __name__ == "__main__":
    main()
