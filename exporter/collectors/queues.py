"""Queue names as label values: so many of them, the others aggregated into one."""

from __future__ import annotations

OTHER = "other"
"""The label value of all queues beyond the cap."""


class Queues:
    """Which queues of one schema have a series of their own: the first ones seen, for the life of the process."""

    def __init__(self) -> None:
        self._own: set[str] = set()

    def label(self, queue: str, limit: int) -> str:
        """The queue's name, or OTHER when `limit` queues had come before it."""
        if queue not in self._own and len(self._own) >= limit:
            return OTHER
        self._own.add(queue)
        return queue
