"""Faults that really hurt the completer, each by its stable name; demo, tests and benchmarks share them.

What each looks like was measured with River 0.16.0 and 0.51.1 on PostgreSQL 13 to 18; ``tests/faults`` proves it.
"""

from tests.testbed.faults.base import Environment, Fault
from tests.testbed.faults.locks import Ddl, LongUpdate, OtherRiver, PreparedTransaction, RowLock, TableLock, VacuumFull
from tests.testbed.faults.network import AcceptThenStall, BlackHole, Jitter, NetworkDelay, Refuse
from tests.testbed.faults.pools import PgBouncerExhausted, PoolExhausted, PoolHeld, TransactionsLeaked
from tests.testbed.faults.refusals import CheckConstraint, RaisingTrigger, ReadOnly
from tests.testbed.faults.statements import Bloat, MissingIndex, SlowStatement, SlowTrigger
from tests.testbed.faults.storage import CheckpointStorm, SyncStandby

__all__ = ["FAULTS", "Environment", "Fault"]

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (
        RowLock, LongUpdate, PreparedTransaction, TableLock, Ddl,
        PoolExhausted, PoolHeld, PgBouncerExhausted,
        NetworkDelay, Jitter, BlackHole, AcceptThenStall, Refuse,
        SlowStatement, SlowTrigger, MissingIndex, Bloat,
        SyncStandby, CheckpointStorm, VacuumFull, OtherRiver, TransactionsLeaked,
        CheckConstraint, RaisingTrigger, ReadOnly,
    )
}  # fmt: skip
"""All faults by name."""
