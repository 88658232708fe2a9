"""Vacuum: who keeps dead rows from being removed and for how long, and whether autovacuum has workers left.

Facts (PostgreSQL manual, "Routine Vacuuming", "Replication Slots", "Prepared Transactions"): a dead row stays while any
of these still needs a transaction from before its death. The role needs pg_monitor to see the other sessions; slots and
prepared transactions are visible to every role.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.base import DatabaseCollector
from exporter.collectors.context import Context
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session

SECONDS = gauge(
    "river_vacuum_held_back_seconds", "Seconds for which the holder has kept dead rows from vacuum", "holder"
)
TRANSACTIONS = gauge(
    "river_vacuum_held_back_transactions",
    "Age in transactions of the oldest one that the holder still needs",
    "holder",
)
WORKERS = gauge("river_autovacuum_workers", "Autovacuum workers that run, and their maximum", "state")

HOLDERS = ("session", "slot", "prepared_transaction", "standby")


@dataclass(frozen=True, slots=True)
class _Holder:
    holder: str
    oldest: str
    transactions: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class _Workers:
    running: float
    most: float


class VacuumCollector(DatabaseCollector):
    """Reads the oldest of each kind of holder."""

    name = "vacuum"
    interval = 15.0
    metrics = (SECONDS, TRANSACTIONS, WORKERS)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._holding: dict[str, tuple[str, float]] = {}

    def read(self, session: Session) -> Iterator[Sample]:
        """Each kind that the role may see, 0 where none of it holds anything."""
        with self.optional("pg_replication_slots"):
            yield from self._holders(session, "vacuum_slots", "slot")
        with self.optional("pg_prepared_xacts"):
            yield from self._holders(session, "vacuum_prepared", "prepared_transaction")
        if self.context.capable("pg_monitor"):
            yield from self._holders(session, "vacuum", "session", "standby")
            (workers,) = session.rows(_Workers, "vacuum_workers")
            yield WORKERS.sample(workers.running, "running")
            yield WORKERS.sample(workers.most, "max")

    def _holders(self, session: Session, query: str, *holders: str) -> Iterator[Sample]:
        found = {row.holder: row for row in session.rows(_Holder, query)}
        now = self.context.clock()
        for holder in holders:
            row = found.get(holder)
            yield SECONDS.sample(self._seconds(holder, row, now), holder)
            yield TRANSACTIONS.sample(row.transactions if row else 0.0, holder)

    def _seconds(self, holder: str, row: _Holder | None, now: float) -> float:
        """As the view has it; of a slot or standby, since when its oldest transaction has not advanced."""
        if row is None:
            self._holding.pop(holder, None)
            return 0.0
        if row.seconds is not None:
            return row.seconds
        oldest, since = self._holding.get(holder, ("", now))
        if oldest != row.oldest:
            since = now
        self._holding[holder] = (row.oldest, since)
        return now - since
