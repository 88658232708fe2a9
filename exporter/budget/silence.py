"""Silence: jobs run, completions used to come, and none does although one is due.

Nothing in the database shows an empty pool or a dead network: there is no statement to look at. What is missing shows
them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.river.facts import ELECT_INTERVAL

PATIENCE = 1.25
"""A run may take this much longer than the longest of its kind before its completion counts as due."""

BATCH_SECONDS = 0.5
"""From a job's end to its completion's commit when all is well: the batch interval and a statement."""

SLACK = 2.0
"""A job due this long before the last completion and still running is a long or a lost one, and shows nothing."""

HEARD_WITHIN = ELECT_INTERVAL + 0.75
"""A River that is well is heard within so many seconds, when its leader renews its term. Fetches come each second or
each minute, as it is configured, and none comes while every worker has its job: their absence alone says nothing.
"""

UNSURE = 1.0
"""Seconds of silence that are said at most while River was heard lately."""

MOST_KINDS = 500

GAP_WINDOW = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs.

    Attributes:
        kind: of the job.
        age: seconds since it was fetched.
        attempted: when that was, Unix time.
    """

    kind: str
    age: float
    attempted: float


@dataclass(slots=True)
class Silence:
    """What is known of one River's completions. Times are monotonic seconds unless said otherwise."""

    latest: float | None = None
    changed: float | None = None
    polled: float = float("-inf")
    longest: dict[str, float] = field(default_factory=dict)
    gaps: deque[tuple[float, float]] = field(default_factory=deque)

    def completed(self, now: float, latest: float | None, ended: float | None) -> None:
        """Take a look at what is committed.

        Args:
            latest: the highest `finalized_at` there is, Unix time.
            ended: when a completing statement was last seen to have ended.
        """
        if self.changed is None or latest != self.latest:
            self._change(now)
        elif ended is not None and ended > self.changed:
            self._change(ended)
        self.latest = latest

    def poll(self, at: float | None) -> None:
        """Workers got a connection and an answer at `at`: neither pool nor network keeps a completion away since."""
        if at is not None:
            self.polled = max(self.polled, at)

    def gap(self, now: float) -> float:
        """The longest time between two completions of the last `GAP_WINDOW` seconds."""
        while self.gaps and now - self.gaps[0][0] > GAP_WINDOW:
            self.gaps.popleft()
        return max((seconds for _, seconds in self.gaps), default=0.0)

    def _change(self, now: float) -> None:
        if self.changed is not None:
            self.gaps.append((now, now - self.changed))
        self.changed = now

    def ran(self, kind: str, seconds: float) -> None:
        """Take the length of a run that completed; the longest of each kind is remembered."""
        if kind in self.longest or len(self.longest) < MOST_KINDS:
            self.longest[kind] = max(seconds, self.longest.get(kind, 0.0))

    def since(self, now: float) -> float:
        """Seconds since the last completion, or since the first look when there was none."""
        return now - self.changed if self.changed is not None else 0.0

    def seconds(self, now: float, running: Iterable[Running], oldest_session: float | None) -> float | None:
        """Seconds that a completion has been due for while none came; None when none is due.

        Args:
            running: jobs that run.
            oldest_session: start of River's longest-standing session, Unix time. A job fetched before it belongs to a
                client that is gone.
        """
        since = self.since(now)
        if oldest_session is None:
            return None
        due = [
            job.age - self.longest[job.kind] * PATIENCE - BATCH_SECONDS
            for job in running
            if job.kind in self.longest and job.attempted >= oldest_session
        ]
        telling = [seconds for seconds in due if 0 < seconds <= since + SLACK]
        if not telling:
            return None
        unheard = now - self.polled
        return max(0.0, min(max(telling), since, unheard if unheard > HEARD_WITHIN else UNSURE))
