"""What the parts of a running exporter share: configuration, sessions, and what is known of the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.address import Address
from exporter.config import Config
from exporter.database import Database, Lease
from exporter.election import Election
from exporter.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Target:
    """The watched database, as its catalogue last told it; None or empty means that it has not been asked yet."""

    schemas: tuple[str, ...] = ()
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    statements_schema: str | None = None
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

    def led(self) -> tuple[str, ...]:
        """The schemas whose database-wide numbers are this exporter's to give."""
        return self.election.led(self.clock())

    def capable(self, capability: str) -> bool:
        """Whether a capability is there; one that has not been checked yet is not."""
        return self.target.capabilities.get(capability, False)
