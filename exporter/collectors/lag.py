"""Completer lag: how long after a job finished its completion was committed, and what finished in which queue.

Facts (PostgreSQL manual, "System Columns", "Committed Transaction Information"): a completed row's `xmin` is the
transaction that completed it, whose commit time is kept where track_commit_timestamp is on. River stamps `finalized_at`
with the worker's clock.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from exporter.budget.evidence import Evidence, Lag
from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.collectors.queues import Queues
from exporter.metrics.metric import Counter, Histogram, Sample, counter, gauge, histogram
from exporter.postgres.sessions import Session

LAG = histogram(
    "river_completer_lag_seconds",
    "Seconds from a job's finalized_at to the commit of its completion; without track_commit_timestamp up"
    " to one interval more",
    (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 60),
    "schema",
)
SKEW = gauge(
    "river_clock_skew_seconds",
    "Lower bound of how far a worker's clock is ahead of the database's",
    "schema",
)
COMPLETED = counter(
    "river_queue_completed_total",
    "Jobs observed to be completed; queues beyond limits.queues are `other`",
    "schema",
    "queue",
)
FINISHED = counter("river_jobs_finished_total", "Jobs observed to reach a final state", "schema", "state")

STATES = ("completed", "cancelled", "discarded")
"""River's final states."""

OVERLAP = 60.0
"""Seconds of finalized_at, before the last commit seen, that each reading looks at again for late commits."""

FORGOTTEN = 600.0
"""After so many seconds without a reading the next one only starts again: another exporter was the leader meanwhile."""

REMEMBERED = 50_000
"""Ids of jobs that are remembered, 8 bytes each."""

FIRST_SIGHT_INTERVAL = 2.0
"""Seconds between readings where commits have no timestamps: what a lag may be off by."""


@dataclass(frozen=True, slots=True)
class _Bunch:
    """One row: the reading, and the jobs of one state and queue it found; without any the rest is None."""

    taken: float
    exact: bool
    xmax: str
    running: Sequence[str]
    state: str | None
    queue: str | None
    ids: Sequence[int] | None
    lags: Sequence[float | None] | None
    least: float | None
    finalized: float | None
    committed: float | None


@dataclass(slots=True)
class _Schema:
    """What is kept of one schema between two readings."""

    last: _Bunch | None = None
    system: int | None = None
    finalized: float | None = None
    committed: float | None = None
    counted: deque[tuple[float, array[int]]] = field(default_factory=deque)
    least: deque[tuple[float, float]] = field(default_factory=deque)
    queues: Queues = field(default_factory=Queues)

    def begins_anew(self, now: _Bunch, system: int | None) -> bool:
        """Whether there is no reading before this one that it could be compared with."""
        last = self.last
        return last is None or self.system != system or now.taken - last.taken > FORGOTTEN

    def parameters(self) -> dict[str, object]:
        """Those of the next reading."""
        last = self.last
        if last is None:
            return {"before": None, "since": None, "xmax": None, "running": []}
        since = min(last.taken, self.committed or last.taken) - OVERLAP
        return {
            "before": last.taken,
            "since": max(since, last.taken - FORGOTTEN),
            "xmax": last.xmax,
            "running": last.running,
        }

    def fresh(self, ids: Sequence[int]) -> list[int]:
        """Places of the ids not counted recently: a row that is written again after its completion is not new."""
        return [place for place, number in enumerate(ids) if not any(_holds(each, number) for _, each in self.counted)]

    def remember(self, taken: float, ids: list[int]) -> None:
        """These ids were counted by the reading made then; what no later reading looks at again is forgotten."""
        if ids:
            self.counted.append((taken, array("q", sorted(ids))))
        since = min(taken, self.committed or taken) - OVERLAP
        while self.counted and (self.counted[0][0] < since or sum(len(each) for _, each in self.counted) > REMEMBERED):
            self.counted.popleft()


def _holds(numbers: array[int], number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number


class LagCollector(SchemaCollector):
    """Reads what was committed since its last reading."""

    name = "lag"
    interval = 5.0
    needs = columns("id", "queue", "finalized_at", "xmin", "cmin")
    metrics = (LAG, SKEW, COMPLETED, FINISHED)
    evidence = (Lag,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._schemas: dict[str, _Schema] = {}
        self._lag = Histogram(LAG)
        self._completed = Counter(COMPLETED)
        self._finished = Counter(FINISHED)

    def pace(self) -> float:
        """Quicker where a lag is only known to lie between two readings."""
        exact = self.context.capable("track_commit_timestamp")
        return super().pace() if exact else min(FIRST_SIGHT_INTERVAL, super().pace())

    def read(self, session: Session) -> Iterator[Sample | Evidence]:
        """Every schema; the sums of those that were read: one that is not updated reports that nothing completes."""
        yield from super().read(session)
        for each in (self._lag, self._completed, self._finished):
            yield from (sample for sample in each.samples() if sample.labels[0] in self.served)

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample | Evidence]:
        """Count what is new."""
        kept = self._schemas.setdefault(schema, _Schema())
        bunches = session.rows(_Bunch, "lag", kept.parameters(), schema=schema)
        now, system = bunches[0], self.identity(session).system
        if kept.begins_anew(now, system):
            kept = self._schemas[schema] = _Schema(system=system, queues=kept.queues)
            bunches = []
        self._lag.declare(schema)
        for state in STATES:
            self._finished.add(0, schema, state)
        lags: list[float] = []
        ids: list[int] = []
        for bunch in bunches:
            self._count(kept, schema, bunch, ids, lags)
        for lag in lags:
            self._lag.observe(max(lag, 0.0), schema)
        kept.remember(now.taken, ids)
        yield self._evidence(kept, schema, now, lags)
        kept.last = replace(now, ids=None, lags=None)
        if kept.least:
            yield SKEW.sample(max(0.0, -min(least for _, least in kept.least)), schema)

    def _count(self, kept: _Schema, schema: str, bunch: _Bunch, ids: list[int], lags: list[float]) -> None:
        """Count one bunch's jobs; add their ids, and in seconds the lags of those the completer completed."""
        if bunch.ids is None or bunch.lags is None or bunch.state is None or bunch.queue is None:
            return
        fresh = kept.fresh(bunch.ids)
        ids += [bunch.ids[place] for place in fresh]
        self._finished.add(len(fresh), schema, bunch.state)
        if bunch.state == "completed":
            limit = self.context.config.limits.queues
            self._completed.add(len(fresh), schema, kept.queues.label(bunch.queue, limit))
        if bunch.least is not None:
            kept.least.append((bunch.taken, bunch.least))
        kept.finalized = max((at for at in (kept.finalized, bunch.finalized) if at is not None), default=None)
        kept.committed = max((at for at in (kept.committed, bunch.committed) if at is not None), default=None)
        lags += [lag for place in fresh if (lag := bunch.lags[place]) is not None]

    def _evidence(self, kept: _Schema, schema: str, now: _Bunch, lags: list[float]) -> Lag:
        """What the budget goes by; forgets what is older than the window."""
        while kept.least and kept.least[0][0] < now.taken - self.context.config.window:
            kept.least.popleft()
        unsure = 0.0 if now.exact or kept.last is None else now.taken - kept.last.taken
        return Lag(
            key=schema,
            at=self.context.clock(),
            now=now.taken,
            exact=now.exact,
            count=len(lags),
            worst_seconds=max(0.0, max(lags) - unsure) if lags else None,
            latest_finalized=kept.finalized,
            latest_committed=kept.committed,
        )
