"""PgBouncer: how long River's clients wait for one of its server connections, from its console, with microseconds.

Facts (PgBouncer manual, "Admin console"): pools are per database and user; the console takes the simple protocol only,
and its session is one of PgBouncer, not of PostgreSQL. `maxwait` is the age of the oldest client that waits now.
After a restart there is no pool until its user connects, and a paused pool has no server connections: neither is a pool
with nothing in use.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from exporter.budget import Wait
from exporter.budget.evidence import Evidence, Waiting
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.pools import metrics as pool
from exporter.logs.log import RepeatLimit
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Connection, Unreachable, one_line, reason_of

log = logging.getLogger("exporter.pgbouncer")

SOURCE = "pgbouncer"
LONGEST_CLIENT = gauge(
    "river_pgbouncer_maxwait_seconds", "Age of the oldest client that waits now, by PgBouncer's console"
)
DEADLINE = 2.0


class PgbouncerCollector(Collector):
    """Reads SHOW POOLS and SHOW DATABASES for River's database."""

    name = "pgbouncer"
    interval = 1.0
    lane = "pgbouncer"
    elected = False
    metrics = (pool.CONNECTIONS, pool.MAX, pool.FREE, pool.LONGEST, pool.WAITING, LONGEST_CLIENT)
    evidence = (Waiting,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._connection: Connection | None = None
        self._address = context.pgbouncer
        self._longest = context.peak(pool.LONGEST)
        self._last: Wait | None = None
        self._missing = RepeatLimit(60.0)
        self._free = pool.MinimumUse()

    def wanted(self) -> bool:
        """Only where a console is configured."""
        return super().wanted() and self.context.pgbouncer is not None

    def collect(self) -> Iterator[Sample | Evidence]:
        """Ask the console; a lost connection is replaced at the next run."""
        now = self.context.clock()
        try:
            pools, databases = self._ask()
        except psycopg.Error as error:
            self.close()
            raise Unreachable(reason_of(error), f"{self.context.pgbouncer}: {one_line(error)}") from None
        except Unreachable:
            self.close()
            raise
        rivers = self._rivers(pools, databases)
        if not rivers:
            # a restart, a user that has not connected yet, or a wrong one: nothing is known, and 0 would be a number
            self._last = None
            users = ", ".join(sorted({row["user"] for row in pools if row["database"] != "pgbouncer"})) or "none"
            fields = {"users": users, "remedy": "it comes with River's first connection; else set pgbouncer.user"}
            self._missing.log(log, logging.WARNING, "PgBouncer has no pool of River's user", extra=fields)
            return
        self._missing.forget("PgBouncer has no pool of River's user")
        waiting = sum(row["cl_waiting"] for row in rivers)
        maxwait = max((row["maxwait"] + row["maxwait_us"] / 1e6 for row in rivers if row["cl_waiting"]), default=0.0)
        # what the oldest client had waited when it was last seen waiting is the least that it waited in the end
        before = self._last.now if self._last and now - self._last.at <= Waiting.lifetime else 0.0
        self._last = Wait(SOURCE, max(maxwait, before), maxwait, now)
        self._longest.see(now, maxwait, SOURCE)
        yield LONGEST_CLIENT.sample(maxwait)
        yield pool.WAITING.sample(waiting, SOURCE)
        if self._serves(rivers, databases):
            yield from self._connections(rivers, databases)
        elif not waiting:
            self._last = None  # the next client waits for as long as that lasts
        if self._last:
            yield Waiting(SOURCE, now, self._last)

    def close(self) -> None:
        """Leave the console."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ask(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if self.context.pgbouncer is not self._address:  # after a reload
            self.close()
            self._address = self.context.pgbouncer
        if self._connection is None and self.context.pgbouncer is not None:
            parameters = {"dbname": "pgbouncer", **self.context.pgbouncer.parameters()}
            self._connection = Connection.connect(
                **parameters,
                autocommit=True,
                prepare_threshold=None,
                cursor_factory=psycopg.ClientCursor,
                row_factory=dict_row,
            )
        if self._connection is None:
            return [], []
        self._connection.deadline = self.context.clock() + DEADLINE
        pools = self._connection.execute("SHOW POOLS").fetchall()
        return pools, self._connection.execute("SHOW DATABASES").fetchall()

    def _rivers(self, pools: list[dict[str, Any]], databases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The pools of River's database: of its user where that is known, else of all users but the exporter's."""
        river, own = self.context.river.parameters(), self.context.database.address.parameters()
        name = river.get("dbname")
        names = {row["name"] for row in databases if name in (row["name"], row["database"])} or {name}
        rivers = river.get("user") if river.get("user") != own.get("user") else None
        user = self.context.config.pgbouncer.user or rivers
        return [
            row
            for row in pools
            if row["database"] in names
            and (row["user"] == user if user is not None else row["user"] != own.get("user") or len(pools) <= 2)
        ]

    @staticmethod
    def _serves(rivers: list[dict[str, Any]], databases: list[dict[str, Any]]) -> bool:
        """Whether a pool of River's has a server connection and may use it.

        PgBouncer closes them for a pause, and has none while PostgreSQL is down: then none in use means nothing. Only a
        pause of one database shows in SHOW DATABASES; a pause of all shows by their absence.
        """
        paused = {row["name"] for row in databases if row["paused"]}
        there = sum(row["sv_active"] + row["sv_idle"] + row["sv_used"] + row["sv_tested"] for row in rivers)
        return bool(there) and not any(row["database"] in paused for row in rivers)

    def _connections(self, rivers: list[dict[str, Any]], databases: list[dict[str, Any]]) -> Iterator[Sample]:
        sizes: Mapping[str, int] = {row["name"]: row["pool_size"] or 0 for row in databases}
        acquired = sum(row["sv_active"] for row in rivers)
        idle = sum(row["sv_idle"] + row["sv_used"] for row in rivers)
        limits = [(row, size) for row in rivers if (size := sizes.get(row["database"]))]
        yield pool.CONNECTIONS.sample(acquired, SOURCE, "acquired")
        yield pool.CONNECTIONS.sample(idle, SOURCE, "idle")
        yield pool.CONNECTIONS.sample(sum(row["sv_login"] for row in rivers), SOURCE, "constructing")
        if limits:
            yield pool.MAX.sample(sum(size for _, size in limits), SOURCE)
            # each user's pool is one of its own: what another's has free is of no use to River
            worst = min(max(0.0, (size - row["sv_active"]) / size) for row, size in limits)
            yield pool.FREE.sample(self._free.observe(self.context.clock(), worst), SOURCE)
