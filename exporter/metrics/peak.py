"""Peaks: what came and went between two scrapes is still reported at the next one."""

from __future__ import annotations


class Peak:
    """The highest value per label set within a window: what is exposed of something that comes and goes.

    What is kept is replaced whole, so that others may read while the one who sees adds to it.

    Args:
        window: seconds a value is held for.
    """

    def __init__(self, window: float) -> None:
        self.window = window
        self._values: dict[tuple[str, ...], list[tuple[float, float]]] = {}

    def see(self, now: float, value: float, *labels: str) -> None:
        """Take a value seen at `now`; lower ones seen before it are forgotten."""
        kept = self._fresh(now)
        self._values = {**kept, labels: [*(each for each in kept.get(labels, ()) if each[1] > value), (now, value)]}

    def items(self, now: float) -> list[tuple[tuple[str, ...], float]]:
        """The label sets seen within the window, with their peaks."""
        return [(labels, seen[0][1]) for labels, seen in self._fresh(now).items()]

    def value(self, now: float, *labels: str) -> float | None:
        """The peak of one label set, or None when nothing was seen within the window."""
        return dict(self.items(now)).get(labels)

    def clear(self) -> None:
        """Forget all that was seen."""
        self._values = {}

    def _fresh(self, now: float) -> dict[tuple[str, ...], list[tuple[float, float]]]:
        return {
            labels: fresh
            for labels, seen in self._values.items()
            if (fresh := [(at, value) for at, value in seen if now - at <= self.window])
        }
