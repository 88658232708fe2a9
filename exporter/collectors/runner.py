"""The one wrapper that runs each collector: timed, checked, its samples swapped in whole."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import psycopg

from exporter.budget.evidence import Evidence
from exporter.collectors.base import Collector
from exporter.errors import ExporterError
from exporter.metrics.metric import Counter, Metric, Sample, gauge
from exporter.postgres.sessions import Unreachable, one_line

log = logging.getLogger("exporter.collector")

RETRY = 15.0
"""Seconds until a collector whose run failed is run again, at most: collecting resumes when the fault ends."""

LIFETIME_INTERVALS = 3
MINIMUM_LIFETIME = 10.0
"""Samples vanish after three intervals without a successful run, at least 10 s."""

SUCCESS = gauge("river_exporter_collector_success", "1 when the collector's last run succeeded", "collector")
DURATION = gauge("river_exporter_collector_duration_seconds", "Duration of the collector's last run", "collector")
LATENESS = gauge(
    "river_exporter_collector_lateness_seconds",
    "Delay of the start of the collector's last run",
    "collector",
)
LAST_SUCCESS = gauge(
    "river_exporter_collector_last_success_timestamp_seconds",
    "Unix time of the collector's last successful run",
    "collector",
)
FAILURES = Metric(
    "river_exporter_collector_failures_total", SUCCESS.kind.COUNTER, "Failed runs of the collector", ("collector",)
)
RUNNER_METRICS = (SUCCESS, DURATION, LATENESS, LAST_SUCCESS, FAILURES)


class Runner:
    """Runs one collector and keeps the record of its runs."""

    def __init__(self, collector: Collector) -> None:
        self.collector = collector
        self._failures = Counter(FAILURES)
        self._failures.add(0, collector.name)
        self._last: tuple[float, float, float] | None = None  # success, duration, lateness
        self._last_success: float | None = None
        self._backoff = 0.0  # in intervals; 0 while runs succeed
        self._said = ""

    def run(self, lateness: float = 0.0) -> bool:
        """One run; no exception leaves it, and a failed run leaves the former samples to their lifetime.

        Returns:
            Whether the collector had a reason to run here.
        """
        collector, context = self.collector, self.collector.context
        if not self._may_run():
            if not collector.elected or context.superseded() or not collector.wanted():
                context.snapshot.drop(collector.name)
                context.board.drop(collector.name)
            self._last = None
            return False
        started = time.monotonic()
        try:
            samples = publish(collector)
        except Exception as error:
            self._fail(error, lateness, started)
        else:
            lifetime = max(MINIMUM_LIFETIME, LIFETIME_INTERVALS * collector.pace())
            context.snapshot.put(collector.name, samples, lifetime)
            self._last = (1.0, time.monotonic() - started, lateness)
            self._last_success = time.time()
            if collector.partial:  # what worked is published all the same
                self._fail(collector.partial, lateness, started)
            else:
                self._said, self._backoff = "", 0.0
        return True

    def pace(self) -> float:
        """Seconds from one start to the next.

        After a run that took the whole `statement_timeout`, which is what it costs the server where an index is
        missing, twice as long each time; after any failure `RETRY` at most.
        """
        pace = self.collector.pace()
        return min(max(1.0, self._backoff) * pace, RETRY) if self._backoff else pace

    @property
    def failure(self) -> str:
        """Why the last run failed; empty when it did not."""
        return self._said

    @property
    def seconds(self) -> float | None:
        """How long the last run took; None while the collector has no reason to run here."""
        last = self._last
        return last[1] if last else None

    def samples(self) -> Iterator[Sample]:
        """The record: nothing while the collector has no reason to run here."""
        name, last = self.collector.name, self._last  # read once: its lane may replace it meanwhile
        if last:
            for metric, value in zip((SUCCESS, DURATION, LATENESS), last, strict=True):
                yield metric.sample(value, name)
        if self._last_success is not None:
            yield LAST_SUCCESS.sample(self._last_success, name)
        yield from self._failures.samples()

    def _may_run(self) -> bool:
        collector, context = self.collector, self.collector.context
        if not collector.wanted() or (collector.elected and not context.led()):
            return False
        return all(context.capable(capability) for capability in collector.needs)

    def _fail(self, error: Exception, lateness: float, started: float) -> None:
        self._failures.add(1, self.collector.name)
        self._last = (0.0, time.monotonic() - started, lateness)
        cut_off = isinstance(error, psycopg.errors.QueryCanceled) and self.collector.lane == "database"
        self._backoff = max(1.0, 2 * self._backoff) if cut_off else 1.0
        self._say(error)

    def _say(self, error: Exception) -> None:
        """Log a failure once, until it changes: a dead database must not fill the log."""
        expected = isinstance(error, ExporterError | psycopg.Error | OSError)
        text = one_line(error) if expected else f"{type(error).__name__}: {one_line(error)}"
        level = logging.WARNING if expected else logging.ERROR
        if isinstance(error, Unreachable):
            text = f"no connection ({error.reason}): {text}"
        if text != self._said:
            self._said = text
            log.log(
                level,
                "collector failed",
                extra={"collector": self.collector.name, "error": text},
                exc_info=None if expected else error,
            )


def publish(collector: Collector) -> list[Sample]:
    """Run a collector and publish its evidence in one step; returns its samples."""
    samples: list[Sample] = []
    pieces: list[Evidence] = []
    for each in collector.collect():
        if isinstance(each, Evidence):
            pieces.append(each)
        else:
            samples.append(each)
    _check(collector, samples, pieces)
    collector.context.board.put(collector.name, pieces)
    return samples


def _check(collector: Collector, samples: list[Sample], pieces: list[Evidence]) -> None:
    """Refuse undeclared metrics and evidence, which no documentation has, and double series, which break a scrape."""
    for piece in pieces:
        if type(piece) not in collector.evidence:
            raise ValueError(f"{type(piece).__name__} is not declared by collector {collector.name}")
    seen: set[tuple[str, tuple[str, ...]]] = set()
    declared = collector.metrics
    for sample in samples:
        if sample.metric not in declared:
            raise ValueError(f"{sample.metric.name} is not declared by collector {collector.name}")
        key = (sample.metric.name, sample.labels)
        if key in seen:
            raise ValueError(f"{sample.metric.name}{sample.labels} stands twice in one run")
        seen.add(key)
