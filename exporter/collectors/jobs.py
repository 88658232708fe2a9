"""Jobs: how many wait, run or are to be retried in each queue, at a cost that no number of jobs raises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session

JOBS = gauge("river_jobs", "Unfinished jobs, by queue and state", "schema", "queue", "state")
CAPPED = gauge(
    "river_jobs_capped",
    "1 where `river_jobs` is a lower bound because counting stopped there; absent where all jobs were counted",
    "schema",
    "queue",
    "state",
)
OLDEST = gauge(
    "river_queue_oldest_available_seconds", "Age of the oldest available job since it was due", "schema", "queue"
)
FOLDED = gauge("river_queues_folded", "Queues beyond limits.queues, aggregated into queue `other`", "schema")
STATES = ("available", "pending", "retryable", "running", "scheduled")
OTHER = "other"

EXACT = 10_000
"""Live jobs of a schema up to which all are counted."""

BUDGET = 6_000
"""Jobs that are counted where there are more, shared by the queues. A second round may count some of them again, so a
run costs no more than twice what it costs with `EXACT` jobs."""


@dataclass(frozen=True, slots=True)
class _Row:
    state: str
    queue: str
    jobs: int
    oldest: float
    capped: bool


class JobsCollector(SchemaCollector):
    """Counts the live states."""

    name = "jobs"
    interval = 10.0
    needs = columns("id", "queue", "priority", "scheduled_at")
    metrics = (JOBS, CAPPED, OLDEST, FOLDED)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._large: set[str] = set()

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """The largest queues by name, the rest as one; a queue that was shown stays shown while it has jobs."""
        rows = self._rows(session, schema)
        jobs: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(STATES, 0))
        oldest: dict[str, float] = defaultdict(float)
        capped: set[tuple[str, str]] = set()
        kept = self._kept(rows)
        for row in rows:
            queue = row.queue if row.queue in kept else OTHER
            jobs[queue][row.state] += row.jobs
            if row.capped:
                capped.add((queue, row.state))
            oldest[queue] = max(oldest[queue], row.oldest)
        for queue, states in jobs.items():
            for state, count in states.items():
                yield JOBS.sample(count, schema, queue, state)
            yield OLDEST.sample(oldest[queue], schema, queue)
        for queue, state in capped:
            yield CAPPED.sample(1, schema, queue, state)
        yield FOLDED.sample(len({row.queue for row in rows} - kept), schema)

    def _rows(self, session: Session, schema: str) -> list[_Row]:
        """All live jobs where they are few; a schema that has many is asked for shares until none is capped."""
        if schema not in self._large:
            rows = session.rows(_Row, "jobs", {"limit": EXACT}, schema=schema)
            if sum(row.jobs for row in rows) <= EXACT:
                return rows
            self._large.add(schema)
        rows = session.rows(_Row, "jobs_capped", {"budget": BUDGET}, schema=schema)
        if not any(row.capped for row in rows):
            self._large.discard(schema)
        return rows

    def _kept(self, rows: list[_Row]) -> set[str]:
        totals: dict[str, int] = defaultdict(int)
        for row in rows:
            totals[row.queue] += row.jobs
        return set(sorted(totals, key=lambda queue: (-totals[queue], queue))[: self.context.config.limits.queues])
