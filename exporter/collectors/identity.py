"""Which run of which server a connection leads to: asked once per connection, as neither changes within one.

Both facts are optional: some hardened servers revoke the functions from PUBLIC.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from exporter.collectors.capabilities import Refusals
from exporter.postgres.sessions import Session

RETRY = 15.0
"""Seconds after which a fact that was refused is asked again."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The cluster's system identifier, and when the server started in Unix time; None where the server refuses it.

    Statistics of the same identity are comparable: they rise, unless they were reset.
    """

    system: int | None = None
    started: float | None = None


@dataclass(frozen=True, slots=True)
class _System:
    value: int


@dataclass(frozen=True, slots=True)
class _Started:
    value: float


@dataclass(slots=True)
class Identities:
    """What was found out, by lane; each lane has a connection of its own."""

    _known: dict[str, tuple[int, float, Identity]] = field(default_factory=dict)

    def of(self, lane: str, generation: int, session: Session, refusals: Refusals) -> Identity:
        """The identity behind the lane's connection number `generation`."""
        now = time.monotonic()
        before, until, identity = self._known.get(lane, (-1, 0.0, Identity()))
        if before == generation and now < until:
            return identity
        system: int | None = None
        started: float | None = None
        with refusals.optional("pg_control_system"):
            system = session.rows(_System, "identity_system")[0].value
        with refusals.optional("pg_postmaster_start_time"):
            started = session.rows(_Started, "identity_started")[0].value
        until = now + RETRY if system is None or started is None else float("inf")
        identity = Identity(system, started)
        self._known[lane] = (generation, until, identity)
        return identity
