"""What the exporter knows now: each collector's last samples, with the time after which they are no longer true.

Beside them it holds peaks: those outlive a collector that sees nothing, until their own window ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from exporter.metrics.metric import Metric, Sample
from exporter.metrics.peak import Peak


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
        self._peaks: list[tuple[Metric, Peak]] = []
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

    def peak(self, metric: Metric, window: float) -> Peak:
        """A new peak of `metric`, in its unit, that is among the samples for `window` seconds after it was seen."""
        peak = Peak(window)
        self._peaks.append((metric, peak))
        return peak

    def hold(self, window: float) -> None:
        """Hold all peaks for `window` seconds from now on."""
        for _, peak in self._peaks:
            peak.window = window

    def held(self) -> Iterator[Sample]:
        """The peaks of their windows, of all collectors."""
        now = self._clock()
        for metric, peak in self._peaks:
            for labels, value in peak.items(now):
                yield metric.sample(value, *labels)

    def age(self, collector: str) -> float | None:
        """Seconds since the collector's last samples, or None when it has none that still hold."""
        now, entry = self._clock(), self._entries.get(collector)
        return now - entry.taken if entry and now < entry.expires else None

    def samples(self) -> Iterator[Sample]:
        """All samples that still hold, and the peaks."""
        now = self._clock()
        for entry in self._entries.values():
            if now < entry.expires:
                yield from entry.samples
        yield from self.held()
