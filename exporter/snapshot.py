"""What the exporter knows now: each collector's last samples, with the time after which they are no longer true."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from exporter.metric import Sample


@dataclass(frozen=True, slots=True)
class Entry:
    """One run's samples; `taken` and `expires` are readings of the monotonic clock in seconds."""

    samples: tuple[Sample, ...]
    taken: float
    expires: float


class Snapshot:
    """A map from collector to its last entry, replaced whole; readers never wait for a writer.

    Args:
        clock: a monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def put(self, collector: str, samples: Iterable[Sample], lifetime: float) -> None:
        """Replace a collector's samples; they vanish `lifetime` seconds from now unless replaced again."""
        now = self._clock()
        entry = Entry(tuple(samples), now, now + lifetime)
        with self._lock:
            self._entries = {**self._entries, collector: entry}

    def drop(self, collector: str) -> None:
        """Forget a collector's samples at once: what they say is known to be no longer ours to say."""
        with self._lock:
            self._entries = {name: entry for name, entry in self._entries.items() if name != collector}

    def age(self, collector: str) -> float | None:
        """Seconds since the collector's last samples, or None when it has none that still hold."""
        now, entry = self._clock(), self._entries.get(collector)
        return now - entry.taken if entry and now < entry.expires else None

    def samples(self) -> Iterator[Sample]:
        """All samples that still hold."""
        now = self._clock()
        for entry in self._entries.values():
            if now < entry.expires:
                yield from entry.samples
