"""Leader election among several exporters: the leader of a schema holds an advisory lock for it.

Facts: a session-level advisory lock is held until its session ends and is local to one database (PostgreSQL manual,
"Advisory Locks"), so it needs a session of its own: not one through a pooler in transaction mode.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from exporter.postgres.sessions import Session

log = logging.getLogger("exporter.election")

LOCK_CLASS = 1380537938
"""The first half of the lock's key, the same for every exporter: the bytes `RIVR`."""

MISSED_TICKS = 3


@dataclass(frozen=True, slots=True)
class _Lock:
    schema: str
    won: bool


@dataclass(frozen=True, slots=True)
class _Tick:
    """What the last tick that worked showed; replaced whole, as every lane reads it."""

    held: frozenset[str] = frozenset()
    generation: int = 0
    confirmed: float = float("-inf")


class Election:
    """The locks held, as of the last tick that worked.

    Args:
        interval: seconds between two ticks; a leader that misses three of them no longer is one.
    """

    def __init__(self, interval: float) -> None:
        self._patience = MISSED_TICKS * max(interval, 1.0)
        self._tick = _Tick()

    def contend(self, session: Session, generation: int, schemas: Iterable[str], now: float) -> None:
        """Request the lock of each schema not held yet; a new connection holds none.

        Args:
            generation: which connection this is; its locks went with the one before.
            now: monotonic seconds.
        """
        before = self._tick
        held = before.held if generation == before.generation else frozenset()
        wanted = sorted(set(schemas) - held)
        # also requested when nothing is wanted: only an answer shows that the session, and with it the lock, exists
        rows = session.rows(_Lock, "election", {"class": LOCK_CLASS, "schemas": wanted})
        held |= {row.schema for row in rows if row.won}
        if gained := held - before.held:
            log.info("elected", extra={"schemas": ",".join(sorted(gained))})
        self._tick = _Tick(held, generation, now)

    def assume(self, schemas: Iterable[str], now: float) -> None:
        """The server refuses the lock to all: each exporter is its own leader, until it can be asked for again."""
        self._tick = _Tick(frozenset(schemas), -1, now)

    def resign(self) -> None:
        """The session that held the locks is lost: the leader is unknown."""
        self._tick = _Tick(generation=self._tick.generation)

    def led(self, now: float) -> tuple[str, ...]:
        """The schemas whose leader this exporter is, in order; none when its session has missed three ticks."""
        return self.standing(now) or ()

    def standing(self, now: float) -> tuple[str, ...] | None:
        """As `led`, or None while the leader is unknown; other lanes ask, so both come from one tick."""
        tick = self._tick
        return tuple(sorted(tick.held)) if now - tick.confirmed <= self._patience else None

    def known(self, now: float) -> bool:
        """Whether the last tick is recent enough to name the leader; else the leader is unknown."""
        return self.standing(now) is not None
