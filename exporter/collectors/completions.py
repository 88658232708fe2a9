"""Completions: whether they come, looked up each second at flat cost; silence shows what no session does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.budget.silence import Running, Silence
from exporter.collectors.base import SchemaCollector, columns
from exporter.collectors.context import Context
from exporter.collectors.schema_state import Completions
from exporter.metrics.metric import Sample, gauge
from exporter.postgres.sessions import Session

SILENCE = gauge(
    "river_completer_silence_seconds",
    "Seconds since the last completion was committed although one was due; absent when none is due",
    "schema",
)
LOOK_AFTER = 2.0
"""Seconds without a completion after which it is asked what runs."""

FASTEST = 0.5
"""Seconds between two looks while completions stay away."""

KINDS_INTERVAL = 10.0


@dataclass(frozen=True, slots=True)
class _Latest:
    finalized: float | None


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

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._silences: dict[str, Silence] = {}
        self._asked: dict[str, float] = {}

    def pace(self) -> float:
        """A second, or half of it while completions stay away."""
        now, base = self.context.clock(), super().pace()
        away = any(silence.since(now) > LOOK_AFTER for silence in self._silences.values())
        return min(base, FASTEST) if away else base

    def read_schema(self, session: Session, schema: str) -> Iterator[Sample]:
        """Look at the newest; ask further only when it is old."""
        now, watch = self.context.clock(), self.context.schema_state(schema)
        silence = self._silences.setdefault(schema, Silence())
        (latest,) = session.rows(_Latest, "completions", schema=schema)
        silence.completed(now, latest.finalized, watch.sessions.completed if watch.sessions else None)
        silence.poll(watch.sessions.polled if watch.sessions else None)
        if now - self._asked.get(schema, float("-inf")) >= KINDS_INTERVAL:
            self._asked[schema] = now
            for row in session.rows(_Kind, "completions_kinds", schema=schema):
                silence.ran(row.kind, row.seconds)
        seconds: float | None = 0.0  # so soon after a completion nothing is late
        if silence.since(now) > LOOK_AFTER:
            running = session.rows(Running, "completions_running", schema=schema)
            seconds = silence.seconds(now, running, watch.sessions.oldest_start if watch.sessions else None)
        watch.completions = Completions(now, seconds, due=silence.since(now) > LOOK_AFTER and seconds is not None)
        watch.gap = silence.gap(now)
        if seconds is not None:
            yield SILENCE.sample(seconds, schema)
