"""Sessions on the watched database: few, read-only, each run with a deadline of the client's own.

Facts: a statement_timeout does not help when the network or the backend hangs, so every wait of this client ends at a
deadline of its own, and the connection is given up with it.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, LiteralString, Self, TypeVar

import psycopg
import psycopg_pool
from psycopg import sql
from psycopg.abc import RV, PQGen
from psycopg.abc import QueryNoTemplate as Query
from psycopg.rows import class_row

from exporter.errors import ConfigError, ExporterError
from exporter.postgres.address import Address

logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)  # its warnings repeat ours, once per attempt

Row = TypeVar("Row")

# the server refused one statement; the session is as good as before
_REFUSALS = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientResources)

MARK = "river-exporter"
"""Stands in a comment of every statement of ours, inside it: what stands before a statement is not kept."""

REASONS = ("auth", "dns", "refused", "timeout", "tls", "other")
"""Why there is no contact with a server, as the label `reason` says it."""

_PATTERNS = (
    (
        "auth",
        # the last is about the exporter's own role, and says nothing of River's
        r"authentication|password|pg_hba|is not permitted|role .* does not exist|no such user|SASL|many .* for role",
    ),
    ("dns", r"translate host name|name or service not known|resolve|nodename nor servname|no address associated"),
    ("refused", r"connection refused|no such file or directory|no route to host|network is unreachable|starting up"),
    ("tls", r"SSL|TLS|certificate"),
    ("timeout", r"time(d)? ?out|expired"),
)


class Unreachable(ExporterError):  # noqa: N818 - it names the state, as libpq does
    """There is no contact with a server; `reason` is one of REASONS."""

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


def one_line(error: BaseException) -> str:
    """An error's first line; PostgreSQL's messages name hosts, users and databases, never passwords."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


class Connection(psycopg.Connection[Any]):
    """A connection whose every wait ends at `deadline` (monotonic seconds): it is then closed, whatever hangs."""

    deadline: float | None = None

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
            raise Unreachable("timeout", "no answer within the deadline; the connection is given up") from None


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
        composed: Query = text
        if schema is not None:
            # psycopg looks for parameters in the whole text: a % in a name is doubled, as one in the text is
            name = schema.replace("%", "%%") if parameters is not None else schema
            composed = sql.SQL(text).format(schema=sql.Identifier(name))
        with self._connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(composed, parameters, binary=True).fetchall()


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
    """The at most two sessions on `database.url`: the sampler's and the collectors'.

    Args:
        deadline: seconds one run may take, all its statements together.

    Attributes:
        failure: why the last attempt to connect failed, until one works.
        seconds: in which runs had a session, since the start.
        reason: of the last contact: empty when it worked, else one of REASONS; None before the first.
    """

    def __init__(self, address: Address, deadline: float) -> None:
        self.address = address
        self.deadline = deadline
        self.failure: Unreachable | None = None
        self.reason: str | None = None
        self.epoch = 0
        self.seconds = 0.0
        database = self

        class Recording(Connection):
            @classmethod
            def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
                """Connect, and keep the reason of a failure: the pool's own error says only that time is up."""
                try:
                    parameters: dict[str, Any] = {**database.address.parameters(), **kwargs}
                    return super().connect(conninfo, **parameters)
                except ConfigError as error:  # a file of the address is there no longer
                    database.fail(Unreachable("other", str(error)))
                    raise
                except psycopg.Error as error:
                    database.fail(Unreachable(reason_of(error), f"{database.address}: {one_line(error)}"))
                    raise

        self.pool: psycopg_pool.ConnectionPool[Connection] = psycopg_pool.ConnectionPool(
            "",
            connection_class=Recording,
            kwargs={"autocommit": True},
            min_size=0,
            max_size=2,
            num_workers=2,
            # an attempt backs off with jitter: 1, 2, 4 s; then the next run starts anew
            reconnect_timeout=8,
            open=True,
            name="database",
        )

    def fail(self, failure: Unreachable) -> None:
        """An attempt to connect failed; it is tried again in the background, but known at once."""
        self.failure, self.reason = failure, failure.reason

    def lease(self) -> Lease:
        """One of the sessions, to be kept."""
        return Lease(self)

    def move(self, address: Address, deadline: float) -> None:
        """Use another address, or the same with other settings: every lease then replaces its connection.

        Where nothing changes they are kept, and with them the election's lock.
        """
        changed = address.parameters() != self.address.parameters()
        self.address, self.deadline = address, deadline
        self.epoch += changed

    def close(self) -> None:
        """Close both sessions; one in the middle of a run is cut off."""
        self.pool.close(timeout=1)


class Lease:
    """A session that is kept from run to run, for what lives in it (an advisory lock, prepared statements).

    A connection in doubt is closed and replaced, never used again; `generation` counts the connections there were.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self.generation = 0
        self._epoch = database.epoch

    @contextmanager
    def session(self, deadline: float | None = None) -> Iterator[Session]:
        """A session for one run of at most `deadline` seconds (the database's own unless given).

        Raises:
            Unreachable: there is no connection within the deadline, or it was lost.
        """
        limit = deadline or self._database.deadline
        if self._epoch != self._database.epoch:
            self._epoch = self._database.epoch
            self.give_up()
        ends = time.monotonic() + limit
        connection = self._connection or self._connect(limit)
        connection.deadline = ends
        began = time.monotonic()
        try:
            yield Session(connection)
            self._database.reason = ""
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if isinstance(error, _REFUSALS):
                raise
            self.give_up()
            self._database.reason = reason_of(error)
            raise Unreachable(self._database.reason, f"{self._database.address}: {one_line(error)}") from None
        except BaseException as error:
            if isinstance(error, Unreachable):
                self._database.reason = error.reason
            if connection.closed or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.give_up()
            raise
        finally:
            self._database.seconds += time.monotonic() - began

    def give_up(self) -> None:
        """Close the connection, and with it what lives in it; the next run gets another."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()
            self._database.pool.putconn(connection)

    def _connect(self, limit: float) -> Connection:
        try:
            connection = self._database.pool.getconn(timeout=limit)
        except psycopg_pool.PoolTimeout:
            waited = Unreachable("timeout", f"{self._database.address}: no connection within {limit:g} s")
            failure = self._database.failure or waited
            self._database.reason = failure.reason
            raise failure from None
        self._database.failure = None
        self._connection = connection
        self.generation += 1
        return connection
