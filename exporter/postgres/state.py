"""The state of a session's connection: one closed set for metrics, the log, the status page and doctor."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class ConnectionState(StrEnum):
    """What the last connection attempt or run of one session showed; a failure is named by its error category."""

    UNTRIED = "untried"
    UP = "up"
    AUTH = "auth"
    DNS = "dns"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TLS = "tls"
    OTHER = "other"

    @property
    def failed(self) -> bool:
        """Whether the last attempt or run failed."""
        return self not in (ConnectionState.UNTRIED, ConnectionState.UP)

    @property
    def reason(self) -> str | None:
        """The error category; None while there is none."""
        return self.value if self.failed else None


REASONS = tuple(state.value for state in ConnectionState if state.failed)
"""Error categories of a connection, the values of the label `reason`."""


def combined(states: Iterable[ConnectionState]) -> ConnectionState:
    """The state of several sessions together: the first failure, else up once one of them is."""
    found = list(states)
    failures = [state for state in found if state.failed]
    if failures:
        return failures[0]
    return ConnectionState.UP if ConnectionState.UP in found else ConnectionState.UNTRIED
