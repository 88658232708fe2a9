"""Probe: the network as River's pod has it, through River's own address, on a standing connection and on new ones."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from exporter.budget import Wait
from exporter.budget.evidence import Evidence, Waiting
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.pools.metrics import ACQUIRE as POOL_ACQUIRE
from exporter.errors import ConfigError
from exporter.logs.log import RepeatLimit
from exporter.metrics.metric import Counter, Histogram, Sample, Summary, counter, gauge, histogram
from exporter.postgres.probe import Probe, transport_seconds
from exporter.postgres.sessions import Unreachable
from exporter.postgres.state import REASONS

log = logging.getLogger("exporter.probe")

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CONNECT = histogram(
    "river_probe_connect_seconds", "Seconds until a new connection to River's connection endpoint answered", BUCKETS
)
ROUNDTRIP = histogram(
    "river_probe_roundtrip_seconds",
    "Seconds of SELECT 1 on a standing connection to River's connection endpoint",
    BUCKETS,
)
PHASE = gauge("river_probe_phase_seconds", "Longest phase of a new connection in the window", "phase")
ACQUIRE = histogram(
    "river_exporter_acquire_seconds",
    "Seconds until a connection to River's connection endpoint answered, new or standing",
    BUCKETS,
)
FAILED = counter("river_probe_failures_total", "Failed probes of River's connection endpoint, by reason", "reason")

CONNECT_EVERY = 15.0
"""Seconds between two new connections; the standing one is asked every second."""

LOOK_BEHIND_AFTER = 1.0
"""Seconds that a question to a pooler hangs before the pooler itself is asked."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The last answer's time, split into what the network took and what a pooler did, in seconds."""

    network: float
    pool: float


class ProbeCollector(Collector):
    """Asks every second, opens a new connection every fifteenth."""

    name = "probe"
    interval = 1.0
    lane = "probe"
    elected = False
    metrics = (CONNECT, ROUNDTRIP, PHASE, ACQUIRE, POOL_ACQUIRE, FAILED)
    evidence = (Waiting,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._answer: _Answer | None = None
        self._anew = 0.0
        self._since: float | None = None
        self._transport: float | None = None
        self._probe = Probe(context.river, float(context.config.river.timeout), self._publish)
        self._connect, self._roundtrip, self._acquire = Histogram(CONNECT), Histogram(ROUNDTRIP), Histogram(ACQUIRE)
        self._pool = Summary(POOL_ACQUIRE)
        for each in (self._connect, self._roundtrip, self._acquire):
            each.declare()
        self._failed = Counter(FAILED)
        for reason in REASONS:
            self._failed.add(0, reason)
        self._phases = context.peak(PHASE)
        self._connected = float("-inf")
        self._said = RepeatLimit(60.0)

    def collect(self) -> Iterator[Sample | Evidence]:
        """One question, or a new connection and its first question."""
        started = time.monotonic()
        self._probe.address = self.context.river
        try:
            self._ask(started)
        except Unreachable as error:
            self._failed.add(1, error.reason)
            fields = {"reason": error.reason, "error": str(error)}
            self._said.log(
                log, logging.WARNING, "no answer from River's connection endpoint", key=error.reason, extra=fields
            )
        for each in (self._connect, self._roundtrip, self._acquire, self._pool):
            yield from each.samples()
        yield from self._failed.samples()
        yield from self._observed()

    def _observed(self) -> Iterator[Evidence]:
        """What is known of the network, and of a pooler in between, at this moment."""
        now = self.context.clock()
        since = max(self._since, self._probe.heard) if self._since is not None else None
        for key, wait, hangs in (
            ("network", self.network(now), not self._pooler_answers),
            ("exporter", self.pool(now), self._pooler_answers),
        ):
            if wait is not None:
                yield Waiting(key, now, wait, since if hangs else None)

    def _publish(self) -> None:
        """Show a question while it hangs; the run itself ends only with the answer."""
        self.context.board.put(self.name, self._observed())

    def network(self, now: float) -> Wait | None:
        """What the budget gets of the network: the last round trip, and what the one under way has waited so far."""
        answer = self._answer
        if answer is None and self._since is None:
            return None
        waited = 0.0 if self._pooler_answers else self._waited(now)
        return Wait("probe", answer.network if answer else 0.0, waited, now, anew=self._anew)

    def pool(self, now: float) -> Wait | None:
        """What it gets of a pooler in between, which answers itself while the question waits for a server."""
        if not self.context.behind_pooler():
            return None
        answer = self._answer
        return Wait("exporter", answer.pool if answer else 0.0, self._waited(now) if self._pooler_answers else 0.0, now)

    def close(self) -> None:
        """Close the connection."""
        self._probe.close()

    def _ask(self, started: float) -> None:
        """One question; the trouble it is in began with the first one that got no answer."""
        anew = not self._probe.standing or started - self._connected >= CONNECT_EVERY
        self._since = self._since or started
        self._publish()
        try:
            with self._look_behind():
                seconds = self._probe.connect() if anew else {"query": self._probe.ask()}
        except Unreachable as error:
            self._answer = None
            if error.reason != "timeout":
                self._since = None  # it was refused at once: that is no wait
            raise
        query = seconds["query"]
        if anew:
            self._connected = started
            self._anew = sum(seconds.values())
            self._connect.observe(self._anew)
            for phase, each in seconds.items():
                self._phases.see(started, each, phase)
        else:
            self._roundtrip.observe(query)
        self._acquire.observe(sum(seconds.values()))
        network = min(query, self._transport) if self._transport is not None and self._pooler_answers else query
        self._answer = _Answer(network, query - network)
        if self.context.behind_pooler():
            self._pool.add(1, query - network, "exporter")
        self._since = self._transport = None

    def _waited(self, now: float) -> float:
        """Seconds without a byte from the other side, since the first question that got no answer."""
        since = self._since
        return max(0.0, now - max(since, self._probe.heard)) if since is not None else 0.0

    @property
    def _pooler_answers(self) -> bool:
        """Whether a pooler in between answered at once, every time, while the question still hangs."""
        return self._transport is not None and self._transport < LOOK_BEHIND_AFTER / 2

    @contextmanager
    def _look_behind(self) -> Iterator[None]:
        """While a question to River's pool of a pooler hangs, see whether the pooler itself answers."""
        if not self.context.behind_pooler():
            yield
            return
        answered = threading.Event()
        threading.Thread(target=self._ask_transport, args=(answered,), name="transport", daemon=True).start()
        try:
            yield
        finally:
            answered.set()

    def _ask_transport(self, answered: threading.Event) -> None:
        worst = 0.0
        while not answered.wait(LOOK_BEHIND_AFTER):
            try:
                worst = max(worst, transport_seconds(self.context.river, LOOK_BEHIND_AFTER))
            except (OSError, ConfigError):
                worst = math.inf
            if not answered.is_set():
                self._transport = worst
                self._publish()
