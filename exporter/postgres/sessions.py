"""Sessions on the watched database: few, read-only, each run with a deadline of the client's own.

Facts: a statement_timeout does not help when the network or the backend hangs, so every wait of this client ends at a
deadline of its own, and the connection is closed with it.
"""

from __future__ import annotations

import logging
import random
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import resources
from typing import Any, LiteralString, Self, TypeVar

import psycopg
import psycopg_pool
from psycopg import sql
from psycopg.abc import RV, PQGen
from psycopg.rows import class_row

from exporter.errors import ConfigError, ExporterError
from exporter.postgres.address import Address
from exporter.postgres.encoding import ask_for_bytes, replace_undecodable
from exporter.postgres.state import ConnectionState, combined

logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # its warnings repeat ours, once per attempt

Row = TypeVar("Row")

# the server refused one statement; the session is as good as before
_REFUSALS = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientResources)

MARK = "river-exporter"
"""Stands in a comment of every statement of ours, inside it: what stands before a statement is not kept."""

FIRST_DELAY, LONGEST_DELAY = 1.0, 4.0
"""Seconds between two attempts to connect, from the first failure on; each is twice the one before."""

CHECK_DEADLINE = 2.0
"""Seconds for the answer that shows that a pooled connection still works."""

_PATTERNS = (
    (
        "auth",
        # the last is about the exporter's own role, and proves nothing about River's
        r"authentication|password|pg_hba|is not permitted|role .* does not exist|no such user|SASL|many .* for role",
    ),
    ("dns", r"translate host name|name or service not known|resolve|nodename nor servname|no address associated"),
    ("refused", r"connection refused|no such file or directory|no route to host|network is unreachable|starting up"),
    ("tls", r"SSL|TLS|certificate"),
    ("timeout", r"time(d)? ?out|expired"),
)


class Unreachable(ExporterError):  # noqa: N818 - it names the state, as libpq does
    """There is no connection to a server; `reason` is one of REASONS."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def reason_of(error: BaseException) -> str:
    """The class of a connection's failure."""
    if isinstance(error, Unreachable):
        return error.reason
    if isinstance(error, psycopg.errors.ConnectionTimeout | psycopg_pool.PoolTimeout | TimeoutError):
        return "timeout"
    text = re.sub(r'"[^"\n]*"', "", str(error))  # a host may be called tls-db, a role password
    return next((name for name, pattern in _PATTERNS if re.search(pattern, text, re.IGNORECASE)), "other")


_POOLERS = (
    (r"unsupported startup parameter", "PgBouncer", "PostgreSQL's own address"),
    (r"RDS Proxy|command-line options", "RDS Proxy", "the endpoint of the DB instance or cluster"),
)
"""What poolers answer to the `options` of our sessions, which they cannot keep apart from others'."""


def pooler_hint(message: str) -> str | None:
    """What to do where a pooler refuses a session because of its settings; None for any other message."""
    for pattern, pooler, address in _POOLERS:
        if re.search(pattern, message):
            return f"database.url leads to {pooler}: give it {address}, and keep river.url as River has it"
    return None


def one_line(error: BaseException) -> str:
    """An error's first line; PostgreSQL's messages name hosts, users and databases, never passwords."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


class Connection(psycopg.Connection[Any]):
    """A connection whose every wait ends at `deadline` (monotonic seconds): it is then closed, whatever hangs.

    Attributes:
        undecodable: texts received so far that were not valid UTF-8; they are returned with replacement characters.
    """

    deadline: float | None = None

    def __init__(self, pgconn: psycopg.pq.abc.PGconn) -> None:
        super().__init__(pgconn)
        self.undecodable = 0
        replace_undecodable(self)

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        """As psycopg's, with texts that are always str."""
        made = super().connect(conninfo, **kwargs)
        ask_for_bytes(made)
        return made

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As psycopg's; raises Unreachable with reason `timeout` at the deadline."""
        if self.deadline is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, max(0.001, self.deadline - time.monotonic()))
        except psycopg.OperationalError:
            if time.monotonic() < self.deadline:
                raise
            self.pgconn.finish()
            raise Unreachable("timeout", "no answer within the deadline; the connection is closed") from None


class Session:
    """A connection lent to one run; it knows the server's version and loads queries by name.

    Args:
        folder: the package whose files the queries are.
    """

    def __init__(self, connection: Connection, folder: str = "exporter.collectors") -> None:
        self._connection, self._folder = connection, folder
        self.version = connection.info.server_version

    def of(self, folder: str) -> Session:
        """The same connection for the queries of another package."""
        return Session(self._connection, folder)

    def rows(
        self, kind: type[Row], query: str, parameters: Mapping[str, Any] | None = None, schema: str | None = None
    ) -> list[Row]:
        """The rows of the named query as objects of `kind`, a dataclass whose fields are the query's columns.

        Args:
            query: name of a file `<query>.sql`; the variant `<query>.pgNN.sql` with the highest NN that is
                no newer than the server goes first.
            schema: River's schema, where the query has `{schema}`.

        Raises:
            psycopg.Error: the server refused it.
            TypeError: the query's columns are not the fields of `kind`.
            Unreachable: no answer within the deadline.
        """
        text = load(query, self.version // 10000, self._folder)
        composed: sql.Composable = sql.SQL(text)
        if schema is not None:
            # psycopg looks for parameters in the whole text: a % in a name is doubled, as one in the text is
            name = schema.replace("%", "%%") if parameters is not None else schema
            composed = sql.SQL(text).format(schema=sql.Identifier(name))
        with self._connection.cursor(row_factory=class_row(kind)) as cursor:
            # bytes, as psycopg would encode a name in a SQL_ASCII database as ASCII
            return cursor.execute(composed.as_bytes(), parameters, binary=True).fetchall()


@cache
def load(query: str, major: int, folder: str = "exporter.collectors") -> LiteralString:
    """The text of a packaged query for a server's major version."""
    files = resources.files(folder)
    for candidate in (*(f"{query}.pg{number}.sql" for number in range(major, 12, -1)), f"{query}.sql"):
        if (file := files.joinpath(candidate)).is_file():
            # packaged with the code, so as trusted as a literal in it
            return re.sub(
                r"^(\s*)select\b", rf"\1select /* {MARK} */", file.read_text("utf-8"), count=1, flags=re.MULTILINE
            )
    raise FileNotFoundError(query)


class Database:
    """The at most two sessions on `database.url`: the sampler's, and the collectors'.

    Args:
        deadline: seconds one run may take, all its statements together.

    Attributes:
        leases: the sessions, by the lane that uses each.
    """

    def __init__(self, address: Address, deadline: float) -> None:
        self.address = address
        self.deadline = deadline
        self.epoch = 0
        self._pooled = PooledLease(self)
        self.leases: dict[str, Lease] = {"sampler": HeldLease(self), "database": self._pooled}

    @property
    def state(self) -> ConnectionState:
        """The state of both sessions together."""
        return combined(lease.state for lease in self.leases.values())

    @property
    def seconds(self) -> float:
        """Seconds in which runs had a session, since the start."""
        return sum(lease.seconds for lease in self.leases.values())

    @property
    def undecodable(self) -> int:
        """Texts received since the start that were not valid UTF-8."""
        return sum(lease.undecodable for lease in self.leases.values())

    def move(self, address: Address, deadline: float) -> None:
        """Use another address, or the same with other settings: every lease then replaces its connection.

        Where nothing changes they are kept, and with them the election's lock.
        """
        changed = address.parameters() != self.address.parameters()
        self.address, self.deadline = address, deadline
        if changed:
            self.epoch += 1
            self._pooled.drain()

    def reconnected(self) -> None:
        """The sampler has a connection again: the collectors' is made as well, however far off their next run is."""
        if self._pooled.state.failed:
            self._pooled.retry()

    def close(self) -> None:
        """Close both sessions; one in the middle of a run is cut off."""
        for lease in self.leases.values():
            lease.give_up()
        self._pooled.close()

    def unreachable(self, error: Exception) -> Unreachable:
        """A failure to connect, or of a connection, with its error category and the server's name."""
        if isinstance(error, ConfigError):  # a file of the address can no longer be read
            return Unreachable("other", str(error))
        text = one_line(error)
        hint = pooler_hint(text)
        return Unreachable(reason_of(error), f"{self.address}: {text}{f'; {hint}' if hint else ''}")


class Lease(ABC):
    """What one lane reads the database through, run by run.

    Attributes:
        state: what the last connection attempt or run showed.
        generation: counts the connections that runs had: what lives in one, such as a lock, ends with it.
        seconds: in which runs had a session, since the start.
        undecodable: texts received since the start that were not valid UTF-8.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.undecodable = 0
        self.state = ConnectionState.UNTRIED
        self.generation = 0
        self.seconds = 0.0

    @contextmanager
    def session(self, deadline: float | None = None) -> Iterator[Session]:
        """A session for one run of at most `deadline` seconds (the database's own unless given).

        Raises:
            Unreachable: there is no connection within the deadline, or it was lost.
        """
        with self._connection(deadline or self._database.deadline) as connection:
            began, undecodable = time.monotonic(), connection.undecodable
            try:
                yield Session(connection)
                self.state = ConnectionState.UP
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if isinstance(error, _REFUSALS):
                    self.state = ConnectionState.UP
                    raise
                connection.close()
                raise self._failed(self._database.unreachable(error)) from None
            except BaseException as error:
                if isinstance(error, Unreachable):
                    self._failed(error)
                if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    connection.close()
                raise
            finally:
                self.seconds += time.monotonic() - began
                self.undecodable += connection.undecodable - undecodable

    @abstractmethod
    def _connection(self, limit: float) -> AbstractContextManager[Connection]:
        """A connection for one run whose waits end after `limit` seconds."""

    @abstractmethod
    def give_up(self) -> None:
        """Close the connection, and with it what lives in it; the next run gets another."""

    def _failed(self, error: Unreachable) -> Unreachable:
        self.state = ConnectionState(error.reason)
        return error


class HeldLease(Lease):
    """One connection of its own that is kept for what lives in it: the sampler's, with the advisory lock.

    A connection in doubt is closed and replaced, never used again. While the server cannot be reached, attempts are
    1, 2 and then 4 s apart with jitter, and a run in between fails with the reason of the last one.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._kept: Connection | None = None
        self._epoch = database.epoch
        self._failure: Unreachable | None = None
        self._delay = 0.0
        self._next_attempt = float("-inf")

    @contextmanager
    def _connection(self, limit: float) -> Iterator[Connection]:
        if self._epoch != self._database.epoch:
            self._epoch = self._database.epoch
            self.give_up()
            self._failure, self._delay = None, 0.0
        connection = self._kept if self._kept and not self._kept.closed else self._connect(limit)
        connection.deadline = time.monotonic() + limit
        try:
            yield connection
        finally:
            if connection.closed:
                self._kept = None

    def give_up(self) -> None:
        """Close the connection, and with it the locks; the next run gets another."""
        connection, self._kept = self._kept, None
        if connection:
            connection.close()

    def _connect(self, limit: float) -> Connection:
        if self._failure and time.monotonic() < self._next_attempt:
            raise Unreachable(self._failure.reason, str(self._failure))
        try:
            parameters = self._database.address.parameters()
            patience = str(max(1, round(min(limit, float(parameters.get("connect_timeout", limit))))))
            connection = Connection.connect(**{**parameters, "connect_timeout": patience}, autocommit=True)
        except (psycopg.Error, ConfigError) as error:
            self._failure = self._failed(self._database.unreachable(error))
            self._delay = min(2 * self._delay or FIRST_DELAY, LONGEST_DELAY)
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - no secret
            self._next_attempt = time.monotonic() + self._delay * jitter
            raise self._failure from None
        self._kept, self._failure, self._delay = connection, None, 0.0
        self.state = ConnectionState.UP
        self._database.reconnected()
        self.generation += 1
        return connection


class _PooledConnection(Connection):
    """Reports each attempt of the pool to connect: the pool's own error has only that time is up."""

    @classmethod
    def connect(cls, conninfo: str = "", *, lease: PooledLease, **kwargs: Any) -> Self:  # type: ignore[override]
        """Connect; `lease` is notified of the result."""
        try:
            made = super().connect(conninfo, **kwargs)
        except psycopg.Error as error:
            lease.attempted(error)
            raise
        lease.attempted(None)
        return made


class PooledLease(Lease):
    """The collectors' connection, one of a pool of one: checked before each run, made again in the background."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._failure: Unreachable | None = None
        self._last: Connection | None = None
        self._ends = float("inf")
        self._pool: psycopg_pool.ConnectionPool[Connection] = psycopg_pool.ConnectionPool(
            "",
            connection_class=_PooledConnection,
            kwargs=self._parameters,
            check=self._check,
            min_size=0,
            max_size=1,
            num_workers=1,
            # an attempt backs off with jitter: 1, 2, 4 s; then the next run starts again
            reconnect_timeout=8,
            open=True,
            name="database",
        )

    def attempted(self, error: Exception | None) -> None:
        """Note the result of an attempt in the background: a failure is known at once, though it is tried again."""
        self._failure = self._failed(self._database.unreachable(error)) if error else None
        if error is None:
            self.state = ConnectionState.UP

    def retry(self) -> None:
        """Connect in the background where there is no connection; the pool stops trying after some seconds."""
        self._pool.check()

    def drain(self) -> None:
        """Replace the connection, after the present run where there is one."""
        self._pool.drain()

    def give_up(self) -> None:
        """Close the connection; the next run gets another."""
        if self._last:
            self._last.close()

    def close(self) -> None:
        """Close the pool."""
        self._pool.close(timeout=1)

    @contextmanager
    def _connection(self, limit: float) -> Iterator[Connection]:
        self._ends = ends = time.monotonic() + limit
        try:
            with self._pool.connection(timeout=limit) as connection:
                self.generation += connection is not self._last
                self._last = connection
                connection.deadline = ends
                yield connection
        except psycopg_pool.PoolTimeout:
            waited = Unreachable("timeout", f"{self._database.address}: no connection within {limit:g} s")
            raise self._failed(self._failure or waited) from None

    def _parameters(self) -> dict[str, Any]:
        """Of the next connection: files of the address are read again for each."""
        try:
            return {**self._database.address.parameters(), "autocommit": True, "lease": self}
        except ConfigError as error:
            self.attempted(error)
            raise

    def _check(self, connection: Connection) -> None:
        """Raise when the connection does not answer: the pool then replaces it within the same run."""
        connection.deadline = min(time.monotonic() + CHECK_DEADLINE, self._ends)
        connection.execute("")
