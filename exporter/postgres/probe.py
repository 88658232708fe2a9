"""One connection to River's connection endpoint, opened in phases that are timed one by one, and asked `SELECT 1`.

Nothing else is ever sent there: no SET, no options, no prepared statement, so that nothing stays on a pooler's server
connection. What hangs is visible while it hangs: `Probe.heard` has since when.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import psycopg
from psycopg import pq, waiting
from psycopg.conninfo import conninfo_attempts, make_conninfo

from exporter.postgres.address import Address
from exporter.postgres.sessions import Connection, Unreachable, one_line, reason_of

PHASES = ("tcp", "tls", "login", "query")

_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
"""The first message of a client that wants TLS (manual, "Message Formats")."""

# libpq's states of a connection that is being made (manual, "Database Connection Control Functions")
_PHASE_OF = {
    pq.ConnStatus.STARTED: "tcp",
    pq.ConnStatus.MADE: "login",
    pq.ConnStatus.SSL_STARTUP: "tls",
}


class Probe:
    """The standing connection, and the act of replacing it.

    Args:
        deadline: seconds that any one step may take.
        on_heard: called whenever `heard` changes while a connection is made.

    Attributes:
        heard: when the other side last sent anything, monotonic seconds; to be connected is not to be heard.
    """

    def __init__(self, address: Address, deadline: float, on_heard: Callable[[], None] = lambda: None) -> None:
        self.address, self._deadline, self._on_heard = address, deadline, on_heard
        self._connection: Connection | None = None
        self.heard = float("-inf")

    @property
    def standing(self) -> bool:
        """Whether there is a connection to ask."""
        return self._connection is not None

    def connect(self) -> dict[str, float]:
        """Replace the connection by a new one.

        Returns:
            Seconds per phase; `tls` only where it was asked for, be it refused.

        Raises:
            Unreachable: it could not be had, or not within the deadline.
        """
        self.close()
        try:
            return self._connect()
        except psycopg.Error as error:
            raise Unreachable(reason_of(error), f"{self.address}: {one_line(error)}") from None

    def ask(self) -> float:
        """Seconds that `SELECT 1` took on the standing connection.

        Raises:
            Unreachable: no answer within the deadline; the connection is then closed.
        """
        if self._connection is None:
            raise Unreachable("other", f"{self.address}: no connection to ask")
        started = time.monotonic()
        self._connection.deadline = started + self._deadline
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error as error:
            self.close()
            raise Unreachable(reason_of(error), f"{self.address}: {one_line(error)}") from None
        except Unreachable:
            self.close()
            raise
        self.heard = time.monotonic()
        return self.heard - started

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> dict[str, float]:
        parameters = self.address.parameters()
        errors: psycopg.Error | None = None
        for attempt in conninfo_attempts(dict(parameters)):
            try:
                return self._try(make_conninfo("", **attempt))
            except psycopg.Error as error:
                errors = error
        raise errors or psycopg.OperationalError("no address to try")

    def _try(self, conninfo: str) -> dict[str, float]:
        times: dict[str, float] = {}
        gen = self._phases(conninfo, times)
        pgconn = waiting.wait_conn(gen, interval=0.1, timeout=self._deadline)
        connection = Connection(pgconn)
        connection.autocommit, connection.prepare_threshold = True, None
        self._connection = connection
        times["query"] = self.ask()
        return times

    def _phases(self, conninfo: str, times: dict[str, float]) -> psycopg.abc.PQGenConn[pq.abc.PGconn]:
        """Psycopg's way of connecting, with a look at the clock whenever libpq's state changes."""
        phase, since = "tcp", time.monotonic()
        pgconn = pq.PGconn.connect_start(conninfo.encode())
        while True:
            if pgconn.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError(_message(pgconn))
            status = pgconn.connect_poll()
            now = time.monotonic()
            following = _PHASE_OF.get(pq.ConnStatus(pgconn.status), "login")
            if following != phase:
                times[phase] = times.get(phase, 0.0) + now - since
                phase, since = following, now
            if status == pq.PollingStatus.OK:
                times[phase] = times.get(phase, 0.0) + now - since
                pgconn.nonblocking = 1
                return pgconn
            if status == pq.PollingStatus.FAILED:
                raise psycopg.OperationalError(_message(pgconn))
            wait = waiting.WAIT_R if status == pq.PollingStatus.READING else waiting.WAIT_W
            while not (yield pgconn.socket, wait):
                pass
            if status == pq.PollingStatus.READING:
                self.heard = time.monotonic()
                self._on_heard()


def _message(pgconn: pq.abc.PGconn) -> str:
    text = pgconn.get_error_message("utf-8")
    pgconn.finish()
    return text


def transport_seconds(address: Address, deadline: float) -> float:
    """Seconds until whoever listens at the address answers, without a session: the question is whether it talks TLS.

    A pooler answers it itself, also while none of its server connections is free (manual, "SSL Session Encryption").

    Raises:
        OSError: no answer within the deadline, or not a TCP address.
    """
    parameters = address.parameters()
    host = (parameters.get("hostaddr") or parameters.get("host") or "localhost").split(",")[0]
    if host.startswith("/"):
        raise OSError("a Unix socket has no network")
    port = int((parameters.get("port") or "5432").split(",")[0])
    started = time.monotonic()
    with socket.create_connection((host, port), timeout=deadline) as connection:
        connection.settimeout(max(0.1, deadline - (time.monotonic() - started)))
        connection.sendall(_SSL_REQUEST)
        if not connection.recv(1):
            raise OSError("closed without an answer")
    return time.monotonic() - started
