"""The five causes, and which of them a sample of the completing session adds to.

Wait events are PostgreSQL's (manual, "Wait Event Types"); their spelling changed case in 17 (WALSync was WalSync).
"""

from __future__ import annotations

CAUSES = ("pool", "network", "lock", "execution", "storage")
"""The causes, the same words in every metric, alert and picture."""

_STORAGE_IPC = frozenset({"syncrep", "remotewrite", "walsummaryready", "bufferio"})
_STORAGE_LWLOCKS = frozenset(
    {"walwrite", "walinsert", "walsync", "walbufmapping", "checkpoint", "checkpointercomm", "bufferio", "buffercontent",
     "xactslru", "xactbuffer", "committsslru", "committs", "committsbuffer"}
)  # fmt: skip
"""Held for microseconds, unless the holder waits for the disk: a page stays locked until WAL has taken its change."""


def cause_of(state: str, wait_event_type: str | None, wait_event: str | None) -> str:
    """The cause that a sample of a completing session adds its time to.

    Args:
        state: of pg_stat_activity: `active`, or `idle in transaction` while the server waits for River inside its
            transaction.
        wait_event_type: of pg_stat_activity; None while the session runs.
        wait_event: of pg_stat_activity.
    """
    event = (wait_event or "").lower()
    if state.startswith("idle in transaction") or wait_event_type == "Client":
        return "network"
    if wait_event_type == "Lock":
        return "lock"
    if wait_event_type == "IO" or (wait_event_type == "IPC" and event in _STORAGE_IPC):
        return "storage"
    if wait_event_type == "LWLock" and event in _STORAGE_LWLOCKS:
        return "storage"
    return "execution"
