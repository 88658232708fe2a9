"""Retention: whether River's cleaner deletes finished jobs, by the oldest that is still there.

Facts (River v0.51): every 30 s the leader's cleaner deletes what ended longer ago than the retention of its state. A
cleaner that times out, or whose rows a trigger keeps, shows by nothing else: the statement may well succeed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.collectors.statements import statements_read
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session
from exporter.river.facts import MAINTENANCE, RETENTION

OLDEST = gauge(
    "river_jobs_oldest_finished_seconds",
    "Seconds since the oldest finished job in the table ended; absent without one",
    "schema",
    "state",
)
PAST = gauge(
    "river_jobs_past_retention_seconds",
    "Seconds by which the oldest finished job is past its retention, 0 while it is not; absent while the retention is "
    "neither configured in `river.settings` nor shown by what the cleaner deletes or fails to",
    "schema",
    "state",
)

CLEANER_SILENT = 300.0
"""Seconds without a finished statement of the cleaner's, ten of its intervals, after which it fails or does not run."""


@dataclass(frozen=True, slots=True)
class _Oldest:
    state: str
    finalized: float
    age: float


@dataclass(slots=True)
class _Schema:
    """What is kept of one schema.

    Attributes:
        at: of the reading before, monotonic seconds.
        since: since when readings have followed one another with the statements' calls beside them, monotonic seconds.
        oldest: by state, of the reading before.
        deleted: by state, the greatest age in seconds that the oldest job had when it was last there.
    """

    at: float = float("-inf")
    since: float = 0.0
    oldest: dict[str, _Oldest] = field(default_factory=dict)
    deleted: dict[str, float] = field(default_factory=dict)

    def update(self, rows: dict[str, _Oldest]) -> None:
        """Note at what age jobs were deleted since the reading before."""
        for state, before in self.oldest.items():
            if state not in rows or rows[state].finalized > before.finalized:
                self.deleted[state] = max(before.age, self.deleted.get(state, 0.0))
        self.oldest = rows


class RetentionCollector(SchemaCollector):
    """Compares the oldest finished job of each state with how long River keeps it."""

    name = "retention"
    interval = 30.0
    needs = columns("finalized_at")
    metrics = (OLDEST, PAST)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._schemas: dict[str, _Schema] = {}

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """The oldest job of each final state."""
        kept, now = self._schemas.setdefault(schema, _Schema()), self.context.clock()
        rows = {row.state: row for row in session.rows(_Oldest, "retention", schema=schema)}
        if now - kept.at > 3 * self.pace():
            kept.since, kept.oldest = now, {}  # what was deleted meanwhile had an age that is not known
        if not statements_read(self.context):
            kept.since = now
        kept.at = now
        kept.update(rows)
        cleaned = self.context.schema_state(schema).rose(MAINTENANCE["cleaner"].operation)
        silent = now - max(cleaned, kept.since) > CLEANER_SILENT
        for state, row in rows.items():
            yield OLDEST.sample(row.age, schema, state)
            keeps = self._keeps(state, row.age, kept.deleted.get(state), silent=silent)
            if keeps is not None:
                yield PAST.sample(max(0.0, row.age - keeps), schema, state)

    def _keeps(self, state: str, age: float, deleted: float | None, *, silent: bool) -> float | None:
        """Seconds for which River keeps a job of this state; None while that is not known.

        What is not configured shows by the age at which jobs were deleted. River's default counts only where either
        which shows that it is no longer, or the cleaner's statement does not come to an end: a cleaner that is at work
        and deletes nothing may as well have a longer retention.
        """
        configured = getattr(self.context.config.river.settings.retention, state)
        if configured is not None:
            return float(configured)
        default = RETENTION[state]
        if deleted is not None and deleted >= default:
            return deleted
        return default if age > default and (deleted is not None or silent) else None
