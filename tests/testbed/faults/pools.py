"""No connection left for the completer: in River's own pool, or in PgBouncer."""

import psycopg

from tests.testbed.faults.base import Environment, Fault
from tests.testbed.pgbouncer import PgBouncer
from tests.testbed.process import ServerFailed
from tests.testbed.river import Jobs, River


def river(environment: Environment) -> River:
    """Return the environment's River.

    Raises:
        ServerFailed: there is none.
    """
    if environment.river is None:
        raise ServerFailed("this fault needs a River worker")
    return environment.river


class PoolExhausted(Fault):
    """River's pool leaks: connections are taken and never given back.

    With one connection left the completer is as fast as ever; with none it stops.
    """

    name = "pool-exhausted"
    cause = "pool"
    unit = "connections leaked"
    in_transaction = False
    """Whether they are leaked with a transaction open, which PostgreSQL shows as such."""

    def default_intensity(self) -> float:
        """Return the pool's size."""
        return river(self.environment).pool

    def provoke(self) -> None:
        """Leak the connections."""
        self.leaked = 0
        self.stack.callback(river(self.environment).release)
        self.adjust()

    def adjust(self) -> None:
        """Leak more, or give back and leak fewer."""
        worker = river(self.environment)
        if self.intensity < self.leaked:
            worker.release()
            self.leaked = 0
        missing = int(self.intensity) - self.leaked
        if missing > 0:
            self.leaked = worker.leak(missing, transaction=self.in_transaction)


class TransactionsLeaked(PoolExhausted):
    """River's pool leaks connections that are in a transaction: a `Tx` that nobody commits or rolls back."""

    name = "transactions-leaked"
    in_transaction = True


class PoolHeld(Fault):
    """Each job keeps a connection for its whole run, with as many workers as connections or more."""

    name = "pool-held"
    cause = "pool"
    unit = "seconds a job"
    strongest = 60.0

    def provoke(self) -> None:
        """Make jobs hold connections."""
        worker = river(self.environment)
        before: Jobs = {"Hold": worker.load.get("hold", False), "Seconds": worker.load.get("job_seconds", 0.25)}
        self.stack.callback(lambda: worker.set_jobs(**before))
        self.adjust()

    def adjust(self) -> None:
        """Make jobs that start from now on hold them for so long."""
        river(self.environment).set_jobs(Hold=True, Seconds=self.intensity)


class PgBouncerExhausted(Fault):
    """Clients keep PgBouncer's server connections in open transactions; needs the environment's PgBouncer."""

    name = "pgbouncer-exhausted"
    cause = "pool"
    unit = "server connections held"

    @property
    def pgbouncer(self) -> PgBouncer:
        """The environment's PgBouncer.

        Raises:
            ServerFailed: there is none.
        """
        if self.environment.pgbouncer is None:
            raise ServerFailed("this fault needs a PgBouncer between River and its database")
        return self.environment.pgbouncer

    def default_intensity(self) -> float:
        """Return the size of the pool River shares."""
        databases = self.pgbouncer.console("SHOW DATABASES")
        return float(next(row["pool_size"] for row in databases if row["name"] == self.pgbouncer.dbname))

    def provoke(self) -> None:
        """Hold the connections."""
        self.holders: list[psycopg.Connection] = []
        self.stack.callback(self._hold, 0)
        self.adjust()

    def adjust(self) -> None:
        """Hold more or fewer."""
        self._hold(int(self.intensity))

    def _hold(self, count: int) -> None:
        while len(self.holders) > count:
            self.holders.pop().close()
        while len(self.holders) < count:
            holder = psycopg.connect(self.pgbouncer.url(), prepare_threshold=None, connect_timeout=10)
            self.holders.append(holder)
            holder.execute("SELECT 1")  # begins a transaction, which keeps a server connection
