"""Completions: whether they are committed, looked up each second at flat cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.budget.evidence import Completions, Evidence, Sessions
from exporter.budget.silence import AttemptTotals, Latest, Running, Silence
from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session
from exporter.river.facts import RESCUE_AFTER

SILENCE = gauge(
    "river_completer_silence_seconds",
    "Seconds since a completion was committed while one is due; absent when none is due",
    "schema",
)
LOOK_AFTER = 2.0
"""Seconds without a completion after which it is asked what runs."""

FASTEST = 0.5
"""Seconds between two looks while completions stay away."""

KINDS_INTERVAL = 10.0


@dataclass(frozen=True, slots=True)
class _Rollbacks:
    number: int


@dataclass(frozen=True, slots=True)
class _Kind:
    kind: str
    seconds: float


class CompletionsCollector(SchemaCollector):
    """Watches the newest completion change."""

    name = "completions"
    interval = 1.0
    lane = "sampler"
    needs = columns("kind", "attempted_at", "finalized_at")
    metrics = (SILENCE,)
    evidence = (Completions,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._silences: dict[str, Silence] = {}
        self._asked: dict[str, float] = {}

    def pace(self) -> float:
        """A second, or half of it while completions stay away."""
        now, base = self.context.clock(), super().pace()
        away = any(silence.since(now) > LOOK_AFTER for silence in self._silences.values())
        return min(base, FASTEST) if away else base

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample | Evidence]:
        """Look at the newest; ask further only when it is old, or something is wrong."""
        now, state = self.context.clock(), self.context.schema_state(schema)
        silence = self._silences.setdefault(schema, Silence())
        silence.rescued_after = self.context.config.river.settings.rescued_after() or RESCUE_AFTER
        sessions = self.context.board.last(Sessions, schema)
        (rollbacks,) = session.rows(_Rollbacks, "completions_rollbacks")
        totals = _attempts(sessions, rollbacks.number)
        silence.completed(now, session.rows(Latest, "completions", schema=schema), totals)
        silence.poll(sessions.polled if sessions else None)
        if now - self._asked.get(schema, float("-inf")) >= KINDS_INTERVAL:
            self._asked[schema] = now
            for row in session.rows(_Kind, "completions_kinds", schema=schema):
                silence.ran(row.kind, row.seconds)
        condition = state.condition
        trouble = condition.since if condition and condition.trouble else None
        seconds: float | None = 0.0  # so soon after a completion nothing is late
        looked = trouble is not None or silence.since(now) > LOOK_AFTER
        if looked:
            running = session.rows(Running, "completions_running", schema=schema)
            seconds = silence.seconds(now, running, self.context.config.river.workers, trouble)
        yield Completions(
            key=schema,
            at=now,
            seconds=seconds,
            gap=silence.gap(now),
            on_time=silence.on_time,
            age=silence.age,
            refused=silence.refused,
            refusing=silence.is_refused,
            overdue=looked and silence.overdue,
            idle=looked and silence.idle,
        )
        if seconds is not None:
            yield SILENCE.sample(seconds, schema)


def _attempts(sessions: Sessions | None, rollbacks: int) -> AttemptTotals:
    if sessions is None:
        return AttemptTotals(rollbacks=rollbacks)
    return AttemptTotals(
        oldest=sessions.inflight,
        ended=sessions.ended,
        timed_out=sum(sessions.timeouts.values()),
        slow=sessions.slow,
        oldest_session=sessions.oldest_start,
        rollbacks=rollbacks,
    )
