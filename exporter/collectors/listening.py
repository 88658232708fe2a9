"""Which sessions LISTEN for River, by the statements they show.

Facts: PostgreSQL shows no session what another listens to. River for Go (v0.51) listens on a connection of its own,
which sends LISTEN once and a ping, the comment `-- ping` alone, after 5 s without a notification; a pool pings a
connection before it lends it, and a statement follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

Backend = tuple[int, float]
"""Pid and start of a session."""

Client = tuple[str, str, str]
"""Address, user and application of a session."""

PING = "-- ping"

PINGS = 2
"""Pings without another statement between them after which a session is a listener's."""


class Shown(NamedTuple):
    """What one sample shows of a session.

    Attributes:
        operation: of its statement, `LISTEN` or `UNLISTEN` among them.
        statement: when it began, Unix time.
        schema: of the River that the session is known to belong to; None where it is not.
    """

    backend: Backend
    client: Client
    operation: str
    query: str
    statement: float
    schema: str | None


class Listening:
    """Remembers sessions that LISTEN until they end or UNLISTEN."""

    def __init__(self) -> None:
        self._listeners: dict[Backend, str] = {}
        self._pings: dict[Backend, tuple[float, int]] = {}

    def update(self, sample: Iterable[Shown]) -> Mapping[str, int]:
        """How many sessions listen, by schema, as of a sample of all sessions."""
        rows = list(sample)
        rivers = {row.client: row.schema for row in rows if row.schema is not None}
        listeners: dict[Backend, str] = {}
        pings: dict[Backend, tuple[float, int]] = {}
        for row in rows:
            schema = self._listeners.get(row.backend)
            if row.operation == "LISTEN":
                schema = row.schema or schema
            elif row.operation == "UNLISTEN":
                schema = None
            elif row.query.strip() == PING:
                last, number = self._pings.get(row.backend, (0.0, 0))
                pings[row.backend] = (row.statement, number + (row.statement != last))
                if pings[row.backend][1] >= PINGS:
                    # a listener that the exporter came too late to see LISTEN is known by its client's other sessions
                    schema = schema or row.schema or rivers.get(row.client)
            if schema is not None:
                listeners[row.backend] = schema
        self._listeners, self._pings = listeners, pings
        found: dict[str, int] = {}
        for schema in listeners.values():
            found[schema] = found.get(schema, 0) + 1
        return found
