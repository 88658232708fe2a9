"""What the parts of a running exporter share: configuration, sessions, and what is known of the target."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.budget.evidence import Board, Sessions
from exporter.collectors.capabilities import Refusals
from exporter.collectors.identity import Identities
from exporter.collectors.schema_state import INFLIGHT, RUNNING, WAIT, WAITERS, SchemaState
from exporter.config import Config
from exporter.metrics.metric import Metric
from exporter.metrics.peak import Peak
from exporter.metrics.snapshot import Snapshot
from exporter.postgres.address import Address, addresses
from exporter.postgres.leader import Election
from exporter.postgres.sessions import Database, Lease


@dataclass(frozen=True, slots=True)
class Target:
    """The watched database, as its catalogue last had it; None or empty means that it has not been asked yet.

    `default` is the schema that River's names without one mean: the first in the search path, else of `schemas`.
    `remedies` has the fix of a missing capability for this server, where the general remedy would not.
    `lacking` has the schemas in which a capability is missing, where it depends on them. `role` is quoted for SQL.
    """

    schemas: tuple[str, ...] = ()
    default: str | None = None
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    remedies: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, frozenset[str]] = field(default_factory=dict)
    role: str = ""
    statements_schema: str | None = None
    statements_version: tuple[int, ...] = ()
    pgstattuple_schema: str | None = None
    version: int = 0
    system: int | None = None
    started: float | None = None
    standby: bool = False
    database: int = 0


@dataclass(slots=True)
class Context:
    """Passed to every collector. `target` is replaced whole, so a reader sees one moment's truth.

    Args:
        clock: a monotonic clock in seconds.

    Attributes:
        board: what collectors observed.
        identities: the server behind each lane's connection.
        refusals: what the server refused when it was tried.
        pool_names: the labels of the pool that each source's numbers are of, where an endpoint has several.
    """

    config: Config
    database: Database
    river: Address
    pgbouncer: Address | None
    snapshot: Snapshot
    election: Election
    clock: Callable[[], float]
    leases: dict[str, Lease]
    target: Target = field(default_factory=Target)
    schema_states: dict[str, SchemaState] = field(default_factory=dict)
    pool_names: Mapping[str, str] = field(default_factory=dict)
    identities: Identities = field(default_factory=Identities)
    refusals: Refusals = field(default_factory=Refusals)
    board: Board = field(default_factory=Board)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def configure(self, config: Config) -> None:
        """Use a configuration that was read again; what is held already is held by its window from now on."""
        with self._lock:  # a peak made meanwhile would keep the window of before
            self.config = config
            self.snapshot.hold(float(config.window))

    def peak(self, metric: Metric) -> Peak:
        """A peak of `metric` that is held for the configured window, also after a reload has changed it."""
        return self.snapshot.peak(metric, float(self.config.window))

    def schema_state(self, schema: str) -> SchemaState:
        """What is known of the River in `schema`; there is one for each as long as the process lasts."""
        with self._lock:
            found = self.schema_states.get(schema)
            if found is None:
                found = SchemaState(
                    schema,
                    self.board,
                    lambda: self.clock(),
                    inflight=self.peak(INFLIGHT),
                    lock_waiters=self.peak(WAITERS),
                    lock_waits=self.peak(WAIT),
                    running=self.peak(RUNNING),
                )
                self.schema_states = {**self.schema_states, schema: found}
        return found

    def led(self) -> tuple[str, ...]:
        """The schemas whose database-wide numbers are this exporter's to give; a dropped one no longer is."""
        return self.standing() or ()

    def standing(self) -> tuple[str, ...] | None:
        """As `led`, or None while the leader is unknown: both of one moment, as an expired tick is no lost election."""
        held = self.election.standing(self.clock())
        return None if held is None else tuple(schema for schema in held if schema in self.target.schemas)

    def behind_pooler(self) -> bool:
        """Whether the probe goes to River's own pool of a pooler: another address than the database's, as River's user.

        A pooler's pools are per user, so with a user of its own the probe sees the network and nothing of River's pool.
        """
        if str(self.river) == str(self.database.address):
            return False
        user = self.river.parameters().get("user")
        known = (self.board.last(Sessions, schema) for schema in self.schema_states)
        seen = {user for sessions in known if sessions for user in sessions.users}
        return user in seen if seen else user != self.database.address.parameters().get("user")

    def sample_pace(self, collector: str) -> float:
        """Seconds between two samples: the collector's own interval where it is set, else `sample_interval`."""
        return float(self.config.collector(collector).interval or self.config.sample_interval)

    def close(self) -> None:
        """Give the sessions up, and with them the election's lock, so that another exporter takes over at once."""
        for lease in self.leases.values():
            lease.give_up()
        self.database.close()

    def superseded(self) -> bool:
        """Whether the database answers and what it says is not ours to give; not so while nobody knows."""
        return self.standing() == ()

    def capable(self, capability: str, schema: str | None = None) -> bool:
        """Whether a capability is there, in `schema` or else in any; one that has not been checked yet is not."""
        target = self.target
        if self.refusals.missing(capability, schema):
            return False
        lacking = target.lacking.get(capability, frozenset())
        if not lacking:
            return target.capabilities.get(capability, False)
        return schema not in lacking if schema else not lacking >= set(target.schemas)


def build_context(
    config: Config,
    environment: Mapping[str, str],
    election: Election,
    named: Callable[[str], str] = str,
    *,
    one_session: bool = False,
) -> Context:
    """A context whose connections are made when they are first needed.

    Args:
        named: a configuration key as a message names it.
        one_session: whether the lanes share one connection to the database.

    Raises:
        ConfigError: an address is wrong.
    """
    database, river, pgbouncer = addresses(config, environment, named)
    shared = Database(database, deadline(config))
    leases = shared.leases
    return Context(
        config=config,
        database=shared,
        river=river,
        pgbouncer=pgbouncer,
        snapshot=Snapshot(time.monotonic),
        election=election,
        clock=time.monotonic,
        leases=dict.fromkeys(leases, leases["database"]) if one_session else leases,
    )


def deadline(config: Config) -> float:
    """Seconds for a whole run: the server's own timeout comes first."""
    return float(config.database.statement_timeout) + 2.0
