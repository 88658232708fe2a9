"""Budget: twice a second, what the samplers saw is added up against the completer's ten seconds.

It asks no server. The elected exporter gives all causes, every other one `pool` and `network` of its own pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exporter.budget import CAUSES, Budget, Standstill, Verdict, Wait
from exporter.budget.evidence import Completions, Evidence, Judgement, Sessions, Waiting
from exporter.budget.state import RECENT, CompleterState, Condition, Signals, StateMachine
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.schema_state import SchemaState
from exporter.metrics.metric import Counter, Sample, counter, gauge
from exporter.river.facts import COMPLETER_INTERVAL

TIMEOUT = gauge("river_completer_timeout_seconds", "Timeout of one attempt to write completions")
THRESHOLD = gauge("river_completer_threshold_ratio", "Configured alert threshold as a share of the timeout", "severity")
SECONDS = gauge(
    "river_completer_budget_seconds",
    "Seconds of the worst attempt of the window, by cause; only causes that were measured",
    "schema",
    "cause",
)
RATIO = gauge(
    "river_completer_budget_used_ratio", "Worst attempt of the window over the timeout; 1 is a timeout", "schema"
)
CAUSE = gauge(
    "river_completer_cause",
    "1 for the dominant cause from the warning threshold on, and while the state is not ok; absent otherwise",
    "schema",
    "cause",
)
STATE = gauge(
    "river_completer_state",
    "1 for the state of completions: ok, slow, stalled (due and none is committed), failing or unknown",
    "schema",
    "state",
)
REFUSED = counter(
    "river_completer_refused_total",
    "Completing statements that ended without completing a job while a completion was due",
    "schema",
)
SOURCE = gauge("river_budget_source", "1 for the source that a cause's value comes from", "schema", "cause", "source")
ATTEMPT = gauge(
    "river_completer_attempt_seconds",
    "Age of the attempt in progress in seconds, or the seconds that one would take now; not held for the window",
    "schema",
)
SLOW_ATTEMPTS = counter(
    "river_completer_slow_attempts_total",
    "Attempts far over the critical threshold, and attempts over it for 3 s or right after another one",
    "schema",
)
TIMEOUTS = counter(
    "river_completer_timeouts_total", "Attempts seen to end at the deadline, by dominant cause", "schema", "cause"
)
SETTLED = 3.0
"""Seconds without a slow attempt or network after which what stays away is put down to the pool."""

HEALTHY = 1.0
"""A network whose answers take less, in seconds, does not explain a silence."""

GONE = 60.0
"""Seconds without any session of River's after which its completions count as not observable."""

CAPABILITIES = ("pg_monitor", "track_activities")
"""Without these River's sessions cannot be seen; one that no collector reports is there."""


@dataclass(slots=True)
class _River:
    """What the budget's lane keeps of one River."""

    budget: Budget
    machine: StateMachine = field(default_factory=StateMachine)
    standstill: Standstill = field(default_factory=Standstill)
    cut: int = 0
    present: float = float("-inf")
    started: float = 0.0


class BudgetCollector(Collector):
    """Adds up, and judges the state; keeps the counters."""

    name = "budget"
    interval = 0.5
    lane = "budget"
    elected = False
    metrics = (TIMEOUT, THRESHOLD, SECONDS, RATIO, CAUSE, STATE, SOURCE, ATTEMPT, SLOW_ATTEMPTS, TIMEOUTS, REFUSED)
    evidence = (Judgement,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._slow, self._timeouts, self._refused = Counter(SLOW_ATTEMPTS), Counter(TIMEOUTS), Counter(REFUSED)
        self._counted: dict[tuple[str, str], int] = {}
        self._rivers: dict[str, _River] = {}
        self._unwell = float("-inf")
        self._led: frozenset[str] = frozenset()

    def collect(self) -> Iterator[Sample | Evidence]:
        """One tick for every River known."""
        config = self.context.config
        yield TIMEOUT.sample(float(config.river.timeout))
        yield THRESHOLD.sample(config.thresholds.warning, "warning")
        yield THRESHOLD.sample(config.thresholds.critical, "critical")
        self._hand_over()
        for schema in self.context.target.schemas:
            yield from self._tick(self.context.schema_state(schema), self.context.clock())
        for counted in (self._slow, self._timeouts, self._refused):
            yield from counted.samples()

    def _hand_over(self) -> None:
        """What was observed of the database is no longer ours to report once another exporter has been elected."""
        led = self.context.standing()
        if led is None:
            return
        for schema in self._led.difference(led):
            self._rivers.pop(schema, None)
        # each time, as a sample that was under way at the hand-over may be added after it
        for schema in (self._led | set(self.context.target.schemas)).difference(led):
            self.context.schema_state(schema).clear()
        self._led = frozenset(led)

    def _river(self, schema: str, now: float) -> _River:
        config = self.context.config
        timeout, window = float(config.river.timeout), float(config.window)
        river = self._rivers.get(schema)
        if river is None:
            river = self._rivers[schema] = _River(Budget(timeout, window, config.thresholds.warning), started=now)
            last = self.context.board.last(Sessions, schema)
            river.cut = last.cut.number if last else 0
        river.budget.timeout, river.budget.window = timeout, window
        river.budget.warning = config.thresholds.warning
        return river

    def _tick(self, state: SchemaState, now: float) -> Iterator[Sample | Evidence]:
        schema, river = state.schema, self._river(state.schema, now)
        sessions = state.sessions if schema in self._led else None
        database = None
        if sessions is not None:
            cut = sessions.cut.split if sessions.cut.number != river.cut else {}
            river.cut = sessions.cut.number
            database = dict(cut or sessions.worst or sessions.finished)
        waits = self._waits(state, now, sessions)
        trips, opened = (sessions.trips, sessions.opened) if sessions else (1, False)
        verdict = river.budget.tick(now, database, waits, trips, opened=opened)
        state.history.see(now, verdict)
        condition = self._condition(state, river, verdict, sessions, now)
        yield Judgement(schema, now, verdict, condition)
        self._count(state, river, verdict, now)
        yield from self._samples(schema, verdict, condition)

    @staticmethod
    def _samples(schema: str, verdict: Verdict, condition: Condition | None) -> Iterator[Sample]:
        for cause, seconds in verdict.seconds.items():
            yield SECONDS.sample(seconds, schema, cause)
        if verdict.seconds:
            yield RATIO.sample(verdict.ratio, schema)
        if condition is not None:
            for each in CompleterState:
                yield STATE.sample(float(each is condition.state), schema, each.value)
        dominant = condition.cause if condition is not None and condition.trouble else verdict.cause
        if dominant:
            yield CAUSE.sample(1, schema, dominant)
        for cause, source in verdict.sources.items():
            yield SOURCE.sample(1, schema, cause, source)
        if verdict.stall is not None:
            yield ATTEMPT.sample(verdict.stall, schema)

    def _condition(
        self, state: SchemaState, river: _River, verdict: Verdict, sessions: Sessions | None, now: float
    ) -> Condition | None:
        """The completer's state; None where it is another exporter's to report."""
        standby = self.context.target.standby  # which has no leader: what is not seen there is unknown
        if self.context.election.known(now) and state.schema not in self._led and not standby:
            return None
        completions = state.completions
        counted = completions is not None
        capable = not any(self.context.target.capabilities.get(each) is False for each in CAPABILITIES)
        if sessions is not None and sessions.total:
            river.present = now
        gone = now - max(river.present, river.started) > GONE
        config = self.context.config.thresholds
        signals = Signals(observed=False)
        idle = completions is not None and completions.idle
        if sessions is not None and capable and not (gone and not idle):
            completions = completions or Completions(state.schema, now)
            signals = Signals(
                observed=True,
                counted=counted,
                attempt=verdict.stall or 0.0,
                failed=self._failed(state) + completions.refused,
                on_time=completions.on_time,
                recent=completions.age is not None and completions.age <= RECENT,
                silence=completions.seconds,
                overdue=completions.overdue,
                idle=completions.idle and sessions.stuck < HEALTHY,
                cause=_cause(verdict, completions),
            )
        return river.machine.tick(now, signals, river.budget.timeout, config.warning, config.critical)

    def _failed(self, state: SchemaState) -> int:
        return sum(sum(ended.values()) for ended in self._ended(state).values())

    def _ended(self, state: SchemaState) -> dict[str, Mapping[str, int]]:
        """Attempts seen to end at the deadline by source and cause: in the database, and before it by River's pool."""
        ended = {"database": state.timeouts}
        pools = self.context.board.last(Waiting, "pgxpool")
        if pools is not None and state.schema == self.context.target.default:
            ended["pgxpool"] = {"pool": pools.timeouts}
        return ended

    def _waits(self, state: SchemaState, now: float, sessions: Sessions | None) -> dict[str, Wait]:
        """The network, and the pool from the best source there is."""
        found = {}
        network = self._ask("network", now)
        if network:
            found["network"] = network
        if network is None or network.worst >= HEALTHY:
            self._unwell = now
        own, bouncer = self._ask("pgxpool", now), self._ask("pgbouncer", now)
        seen = own or (self._ask("sessions", now) if sessions else None)
        # an attempt waits in River's pool and then in PgBouncer: the longer of the two, as theirs may not be the same
        longer = max((wait for wait in (seen, bouncer) if wait), key=lambda wait: wait.worst, default=None)
        pool = longer or self._ask("exporter", now)
        if own is None and sessions is not None and sessions.recognised:
            # River's own pool is not observed: one that leaks before a healthy PgBouncer shows by what stays away
            left = self._residual(state, now, sessions, network)
            if pool is None or (left and left.worst > pool.worst + HEALTHY):
                pool = left
        if pool:
            found["pool"] = pool
        return found

    def _ask(self, source: str, now: float) -> Wait | None:
        waiting = self.context.board.latest(Waiting, source, now)
        return waiting.at_moment(now) if waiting else None

    def _residual(self, state: SchemaState, now: float, sessions: Sessions, network: Wait | None) -> Wait | None:
        """What is left when a completion is late and neither the database nor the network shows why."""
        completions = state.completions
        if network is None or completions is None:
            return None
        silent = completions.seconds or 0.0
        window = float(self.context.config.window)
        quiet = sessions.slow <= now - max(silent, window if silent < HEALTHY else 0.0) - SETTLED
        late = self._late(state, completions)
        if now - self._unwell < max(silent, late) + SETTLED or not quiet or completions.refusing:
            return Wait("residual", 0.0, 0.0, now)
        spent = network.done * sessions.trips + network.anew
        return Wait("residual", max(0.0, late - spent), silent if silent > HEALTHY else 0.0, now)

    @staticmethod
    def _late(state: SchemaState, completions: Completions) -> float:
        """The lag that nothing explains, at most as long as completions were seen to stay away."""
        lag = state.lag
        if lag is None or lag.worst_seconds is None:
            return 0.0
        late = min(lag.worst_seconds - COMPLETER_INTERVAL, completions.gap)
        return late if late > HEALTHY else 0.0

    def _count(self, state: SchemaState, river: _River, verdict: Verdict, now: float) -> None:
        schema, timeout = state.schema, river.budget.timeout
        critical = self.context.config.thresholds.critical * timeout
        self._slow.add(river.standstill.see(now, verdict.stall, critical, timeout), schema)
        for cause in CAUSES:
            self._timeouts.add(0, schema, cause)
        # each source on its own: one that is another exporter's now must not hide the rise of the other
        for source, ended in self._ended(state).items():
            for cause, total in ended.items():
                self._timeouts.add(self._rise(schema, f"{source} {cause}", total), schema, cause)
        completions = self.context.board.last(Completions, schema)
        self._refused.add(self._rise(schema, "refused", completions.refused if completions else 0), schema)

    def _rise(self, schema: str, name: str, total: int) -> int:
        """What a running total rose by since it was last counted; never less than nothing."""
        before = self._counted.get((schema, name), 0)
        self._counted[schema, name] = max(total, before)
        return max(total - before, 0)


def _cause(verdict: Verdict, completions: Completions) -> str | None:
    """What explains the trouble at this moment; None where nothing does, so that what explained it before stays."""
    if completions.refusing:
        return "refused"
    return verdict.cause or (verdict.stalled if (verdict.stall or 0.0) >= HEALTHY else None)
