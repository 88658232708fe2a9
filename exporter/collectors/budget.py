"""Budget: twice a second, what the samplers saw is added up against the completer's ten seconds.

It asks no server. The elected exporter gives all causes, every other one `pool` and `network` of its own pod.
"""

from __future__ import annotations

from collections.abc import Iterator

from exporter.budget import CAUSES, Standstill, Verdict, Wait
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.schema_state import SchemaState
from exporter.metrics.metric import Counter, Sample, counter, gauge
from exporter.river.facts import COMPLETER_INTERVAL

TIMEOUT = gauge("river_completer_timeout_seconds", "What one attempt of the completer may take: the budget")
THRESHOLD = gauge("river_completer_threshold_ratio", "Configured share of the budget to tell people at", "severity")
SECONDS = gauge(
    "river_completer_budget_seconds", "The worst attempt of the window: what each cause took of it", "schema", "cause"
)
RATIO = gauge(
    "river_completer_budget_used_ratio", "The worst attempt of the window over the budget; 1 is a timeout", "schema"
)
CAUSE = gauge("river_completer_cause", "1 for the cause that leads, from the warning threshold on", "schema", "cause")
SOURCE = gauge("river_budget_source", "1 for the source that speaks for a cause", "schema", "cause", "source")
STALL = gauge(
    "river_completer_attempt_seconds",
    "What the attempt now under way has taken, or takes as things are; not held",
    "schema",
)
STALLS = counter(
    "river_completer_slow_attempts_total",
    "Attempts far over the critical threshold, or over it right after another one",
    "schema",
)
TIMEOUTS = counter(
    "river_completer_timeouts_total", "Attempts seen to end at the deadline, by the cause that led", "schema", "cause"
)
FRESH = 3.0
"""Seconds after which a sample no longer says what is so now."""

HEALTHY = 1.0
"""A network whose answers take less, in seconds, does not explain a silence."""


class BudgetCollector(Collector):
    """Adds up; keeps the counters."""

    name = "budget"
    interval = 0.5
    lane = "budget"
    elected = False
    metrics = (TIMEOUT, THRESHOLD, SECONDS, RATIO, CAUSE, SOURCE, STALL, STALLS, TIMEOUTS)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._stalls, self._timeouts = Counter(STALLS), Counter(TIMEOUTS)
        self._counted: dict[tuple[str, str], int] = {}
        self._standstills: dict[str, Standstill] = {}
        self._unwell = float("-inf")
        self._led: frozenset[str] = frozenset()

    def collect(self) -> Iterator[Sample]:
        """One tick for every River known."""
        config = self.context.config
        yield TIMEOUT.sample(float(config.river.timeout))
        yield THRESHOLD.sample(config.thresholds.warning, "warning")
        yield THRESHOLD.sample(config.thresholds.critical, "critical")
        self._hand_over()
        for schema in self.context.target.schemas:
            watch = self.context.schema_state(schema)
            yield from self._tick(watch, self.context.clock())
        yield from self._stalls.samples()
        yield from self._timeouts.samples()

    def _hand_over(self) -> None:
        """What was seen of the database is no longer ours to say once another exporter has been elected."""
        if not self.context.election.known(self.context.clock()):
            return
        led = frozenset(self.context.led())
        for schema in self._led - led:
            self.context.schema_state(schema).forget()
        self._led = led

    def _tick(self, watch: SchemaState, now: float) -> Iterator[Sample]:
        schema, sessions = watch.schema, watch.sessions
        seen = sessions if sessions and now - sessions.at <= FRESH and schema in self._led else None
        database = None
        if seen is not None:
            cut, watch.cut = watch.cut, {}
            database = dict(cut or seen.worst or seen.finished)
        waits = self._waits(watch, now, looked=seen is not None)
        trips, opened = (seen.trips, seen.opened) if seen else (1, False)
        verdict = watch.budget.tick(now, database, waits, trips, opened=opened)
        watch.verdict = verdict
        watch.history.see(now, verdict)
        self._count(watch, verdict, now)
        for cause, seconds in verdict.seconds.items():
            yield SECONDS.sample(seconds, schema, cause)
        if verdict.seconds:
            yield RATIO.sample(verdict.ratio, schema)
        if verdict.cause:
            yield CAUSE.sample(1, schema, verdict.cause)
        for cause, source in verdict.sources.items():
            yield SOURCE.sample(1, schema, cause, source)
        if verdict.stall is not None:
            yield STALL.sample(verdict.stall, schema)

    def _waits(self, watch: SchemaState, now: float, *, looked: bool) -> dict[str, Wait]:
        """The network, and the pool from the best source there is."""
        found = {}
        network = self._ask("network", now)
        if network:
            found["network"] = network
        if network is None or network.worst >= HEALTHY:
            self._unwell = now
        own, bouncer = self._ask("pgxpool", now), self._ask("pgbouncer", now)
        seen = own or (self._ask("sessions", now) if looked else None)
        # an attempt waits in River's pool and then in PgBouncer: the longer of the two, as theirs may not be the same
        longer = max((wait for wait in (seen, bouncer) if wait), key=lambda wait: wait.worst, default=None)
        pool = longer or self._ask("exporter", now)
        if own is None and looked:
            # nobody saw River's own pool: one that leaks before a healthy PgBouncer shows by what stays away
            left = self._residual(watch, now, network)
            if pool is None or (left and left.worst > pool.worst + HEALTHY):
                pool = left
        if pool:
            found["pool"] = pool
        return found

    def _ask(self, source: str, now: float) -> Wait | None:
        ask = self.context.waits.get(source)
        return ask(now) if ask else None

    def _residual(self, watch: SchemaState, now: float, network: Wait | None) -> Wait | None:
        """What is left when a completion is late and neither the database nor the network shows why."""
        completions = watch.completions
        if network is None or completions is None or now - completions.at > FRESH:
            return None
        silent = completions.seconds or 0.0
        quiet = not watch.slow_since(now - max(silent, watch.budget.window if silent < HEALTHY else 0.0) - FRESH)
        late = self._late(watch, now)
        if now - self._unwell < max(silent, late) + FRESH or not quiet:
            return Wait("residual", 0.0, 0.0, now)
        spent = network.done * (watch.sessions.trips if watch.sessions else 1) + network.anew
        return Wait("residual", max(0.0, late - spent), silent if silent > HEALTHY else 0.0, now)

    def _late(self, watch: SchemaState, now: float) -> float:
        """The lag that nothing explains, at most as long as completions were seen to stay away."""
        lag = watch.lag
        if lag is None or lag.worst_seconds is None or now - lag.at > FRESH:
            return 0.0
        late = min(lag.worst_seconds - COMPLETER_INTERVAL, watch.gap)
        return late if late > HEALTHY else 0.0

    def _count(self, watch: SchemaState, verdict: Verdict, now: float) -> None:
        schema = watch.schema
        timeout = watch.budget.timeout
        critical = self.context.config.thresholds.critical * timeout
        standstill = self._standstills.setdefault(schema, Standstill())
        self._stalls.add(standstill.see(now, verdict.stall, critical, timeout), schema)
        for cause in CAUSES:
            ended = watch.timeouts.get(cause, 0)
            self._timeouts.add(ended - self._counted.get((schema, cause), 0), schema, cause)
            self._counted[schema, cause] = ended
