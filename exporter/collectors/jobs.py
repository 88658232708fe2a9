"""Jobs: how many wait, run or are to be retried in each queue, at a cost that finished jobs do not touch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from exporter.collectors.base import SchemaCollector, columns
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session

JOBS = gauge("river_jobs", "Unfinished jobs, by queue and state", "schema", "queue", "state")
OLDEST = gauge(
    "river_queue_oldest_available_seconds", "Age of the oldest available job since it was due", "schema", "queue"
)
FOLDED = gauge("river_queues_folded", "Queues beyond limits.queues, aggregated into queue `other`", "schema")
STATES = ("available", "pending", "retryable", "running", "scheduled")
OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Row:
    state: str
    queue: str
    jobs: int
    oldest: float


class JobsCollector(SchemaCollector):
    """Counts the live states."""

    name = "jobs"
    interval = 10.0
    needs = columns("queue", "scheduled_at")
    metrics = (JOBS, OLDEST, FOLDED)

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """The largest queues by name, the rest as one; a queue that was shown stays shown while it has jobs."""
        rows = session.rows(_Row, "jobs", schema=schema)
        jobs: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(STATES, 0))
        oldest: dict[str, float] = defaultdict(float)
        kept = self._kept(rows)
        for row in rows:
            queue = row.queue if row.queue in kept else OTHER
            jobs[queue][row.state] += row.jobs
            oldest[queue] = max(oldest[queue], row.oldest)
        for queue, states in jobs.items():
            for state, count in states.items():
                yield JOBS.sample(count, schema, queue, state)
            yield OLDEST.sample(oldest[queue], schema, queue)
        yield FOLDED.sample(len({row.queue for row in rows} - kept), schema)

    def _kept(self, rows: list[_Row]) -> set[str]:
        totals: dict[str, int] = defaultdict(int)
        for row in rows:
            totals[row.queue] += row.jobs
        return set(sorted(totals, key=lambda queue: (-totals[queue], queue))[: self.context.config.limits.queues])
