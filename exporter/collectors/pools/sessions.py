"""River's pools as PostgreSQL's sessions show them, where the size of one is known from River's own URL.

A process of River's is known by its address, user and application name: each has a pool of its own. A connection that
is taken and idle outside a transaction looks like a free one, so the free connections here are an upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LISTENER = 1
"""The connection on which a River client listens, idle and taken out of its pool (pgxpool's `Hijack`)."""

Process = tuple[str, str, str]
"""Address, user and application name."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One session of River's.

    Attributes:
        held: seconds for which it has been in its transaction; None when it is idle.
    """

    process: Process
    held: float | None


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server sees of River's pools.

    Attributes:
        processes: how many have sessions.
        free_ratio: share of the fullest one's connections that is not in use, at most.
        stalled: seconds for which all connections of one have been in the same transactions, so that nobody else got
            any; 0 when one is free.
    """

    processes: int
    free_ratio: float
    stalled: float


def look(connections: Iterable[Connection], most: int) -> ServerView | None:
    """Look at each process's sessions, of which it may have `most`.

    Returns None without any session, and where one process has more sessions than it may: then several of them share an
    address, and how full each pool is cannot be known.
    """
    pools: dict[Process, list[Connection]] = {}
    for each in connections:
        pools.setdefault(each.process, []).append(each)
    if not pools or any(len(pool) > most + LISTENER for pool in pools.values()):
        return None
    held: Mapping[Process, list[float]] = {
        process: [each.held for each in pool if each.held is not None] for process, pool in pools.items()
    }
    fullest = max(len(ages) for ages in held.values())
    stalled = max((min(ages) for ages in held.values() if len(ages) == most), default=0.0)
    return ServerView(len(pools), (most - fullest) / most, stalled)
