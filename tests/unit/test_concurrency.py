"""Every lane publishes at once, with thread switches forced everywhere: a race loses, doubles and hands over nothing.

The database is made up, as a real one would be the slow part: what is tried here is what the threads share.
"""

from __future__ import annotations

import itertools
import logging
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import pytest

from exporter.budget import CAUSES, Wait
from exporter.budget.evidence import Completions, Cut, Evidence, Lag, Sessions, Waiting
from exporter.collectors.base import Collector
from exporter.collectors.budget import TIMEOUTS, BudgetCollector
from exporter.collectors.capabilities import REMEDIES
from exporter.collectors.completions import CompletionsCollector
from exporter.collectors.context import Context, Target
from exporter.collectors.election import ElectionCollector
from exporter.collectors.lag import LagCollector
from exporter.collectors.pgxpool import PgxpoolCollector
from exporter.collectors.probe import ProbeCollector
from exporter.collectors.runner import FAILURES, Runner
from exporter.collectors.schema_state import INFLIGHT
from exporter.collectors.sessions import SessionsCollector
from exporter.config import load
from exporter.metrics.metric import Kind, Metric, Sample
from exporter.metrics.peak import Peak
from exporter.metrics.snapshot import Snapshot
from exporter.postgres.leader import Election
from exporter.postgres.sessions import Unreachable

ROUNDS = 10_000
"""Runs of all collectors together, in both elections."""

SCHEMA = "river"


class Server:
    """A made-up server, as lease and session in one, that answers requests for the lock one after the other.

    Args:
        answers: of each request: `won`, `other` (another exporter holds it), or `lost` (the session breaks).
    """

    def __init__(self, *answers: str) -> None:
        self.answers, self.generation = itertools.cycle(answers), 1

    @contextmanager
    def session(self) -> Iterator[Server]:
        """Itself."""
        yield self

    def rows(self, kind: Callable[..., Any], query: str, parameters: Mapping[str, Any]) -> list[Any]:
        """The answer of a request for the lock."""
        assert query == "election"
        answer = next(self.answers)
        if answer == "lost":
            self.generation += 1
            raise Unreachable("timeout", "made up")
        return [kind(schema, won=answer == "won") for schema in parameters["schemas"]]


def context(*answers: str) -> Context:
    """What the lanes share; every answer of the server is `won` unless others are given."""
    made = Context(
        config=load(None, {}),
        database=cast("Any", None),
        river=cast("Any", None),
        pgbouncer=None,
        snapshot=Snapshot(time.monotonic),
        election=Election(1.0),
        clock=time.monotonic,
        leases={"sampler": cast("Any", Server(*(answers or ("won",))))},
    )
    made.target = Target(schemas=(SCHEMA,), default=SCHEMA, capabilities=dict.fromkeys(REMEDIES, True))
    return made


class FakeSessions(SessionsCollector):
    """Every seventh run observes a timeout, by each cause in turn."""

    count = 0
    timeouts: Mapping[str, int] = {}

    def collect(self) -> Iterable[Sample | Evidence]:
        """One sample."""
        self.count += 1
        if self.count % 7 == 0:
            cause = CAUSES[self.count % len(CAUSES)]
            self.timeouts = {**self.timeouts, cause: self.timeouts.get(cause, 0) + 1}
        now, total = self.context.clock(), sum(self.timeouts.values())
        self.context.schema_state(SCHEMA).inflight.see(now, 6.0, SCHEMA)
        yield Sessions(
            SCHEMA, now, total=3, inflight=6.0, timeouts=self.timeouts, cut=Cut(total, {"lock": 10.0}), recognised=True
        )


class FakeCompletions(CompletionsCollector):
    """No completion is committed while one is due."""

    count = 0

    def collect(self) -> Iterable[Sample | Evidence]:
        """One look."""
        self.count += 1
        yield Completions(SCHEMA, self.context.clock(), seconds=30.0, refused=self.count // 11, overdue=True)


class FakeLag(LagCollector):
    """The database lane."""

    def collect(self) -> Iterable[Sample | Evidence]:
        """One reading."""
        yield Lag(SCHEMA, self.context.clock(), worst_seconds=4.0)


class FakeProbe(ProbeCollector):
    """A healthy network."""

    def wanted(self) -> bool:
        """Always."""
        return True

    def collect(self) -> Iterator[Sample | Evidence]:
        """One probe."""
        now = self.context.clock()
        yield Waiting("network", now, Wait("probe", 0.001, 0.001, now))


class FakePool(PgxpoolCollector):
    """River's pool lets every fifth attempt run into the deadline."""

    count = 0

    def wanted(self) -> bool:
        """Always."""
        return True

    def collect(self) -> Iterator[Sample | Evidence]:
        """One page."""
        self.count += 1
        now = self.context.clock()
        yield Waiting("pgxpool", now, Wait("pgxpool", 2.0, 2.0, now), timeouts=self.count // 5)


FAKES: tuple[type[Collector], ...] = (FakeSessions, FakeCompletions, FakeLag, FakeProbe, FakePool)


@pytest.fixture(autouse=True)
def _switch_everywhere() -> Iterator[None]:
    """Let another thread run after almost every bytecode."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Threads:
    """Threads whose exceptions are kept, and readers that go on until the writers have ended."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self._writers: list[threading.Thread] = []
        self._readers: list[threading.Thread] = []
        self._done = threading.Event()

    def write(self, work: Callable[[], object], rounds: int) -> None:
        """Do `work` until it has had something to do so many times."""
        self._writers.append(threading.Thread(target=self._keep, args=(work, rounds), daemon=True))

    def read(self, work: Callable[[], object]) -> None:
        """Do `work` as long as something is written."""
        self._readers.append(threading.Thread(target=self._keep, args=(work, math.inf), daemon=True))

    def run(self) -> None:
        """Run all; an exception of any of them is raised."""
        for thread in (*self._readers, *self._writers):
            thread.start()
        for thread in self._writers:
            thread.join(120)
        self._done.set()
        for thread in self._readers:
            thread.join(10)
        if self.errors:
            raise self.errors[0]
        assert not [thread for thread in (*self._writers, *self._readers) if thread.is_alive()]

    def _keep(self, work: Callable[[], object], rounds: float) -> None:
        try:
            while rounds > 0 and not self._done.is_set():
                rounds -= bool(work())
        except BaseException as error:  # run raises it again
            self.errors.append(error)
            self._done.set()


class Scraper:
    """Reads what `/metrics` reads: no series twice, and no counter falls."""

    def __init__(self, snapshot: Snapshot, runners: Iterable[Runner]) -> None:
        self._snapshot, self._runners = snapshot, tuple(runners)
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}
        self.scrapes = 0

    def __call__(self) -> None:
        """One scrape."""
        self.scrapes += 1
        found = [*self._snapshot.samples(), *(each for runner in self._runners for each in runner.samples())]
        twice = [
            series for series, count in Counter((each.metric.name, each.labels) for each in found).items() if count > 1
        ]
        assert not twice
        counters = {(each.metric.name, each.labels): each.value for each in found if each.metric.kind is Kind.COUNTER}
        for series, value in counters.items():
            assert isinstance(value, int | float)
            assert value >= self._before.get(series, 0.0), series
            self._before[series] = value


def _run(runner: Runner) -> bool:
    """One run, and when the next one would be; whether it had a reason to."""
    return runner.run() and runner.pace() > 0


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(("won", "won", "won", "lost"), id="the leader is unknown at times"),
        pytest.param(("won", "won", "won", "lost", "other", "lost"), id="the leader is another one at times"),
    ],
)
def test_all_lanes_lose_and_double_nothing(answers: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    """Every timeout is counted once, nothing raises, and only another leader makes the budget begin anew."""
    caplog.set_level(logging.ERROR, "exporter")
    shared = context(*answers)
    election = Runner(ElectionCollector(shared))
    budget = Runner(BudgetCollector(shared))
    fakes = [Runner(each(shared)) for each in FAKES]
    runners = [election, budget, *fakes]
    while not shared.led():
        election.run()
    for each in (*fakes, budget):
        each.run()
    river = cast("BudgetCollector", budget.collector)._rivers[SCHEMA]
    threads, scraper = Threads(), Scraper(shared.snapshot, runners)
    for runner in (budget, *fakes):
        threads.write(partial(_run, runner), ROUNDS // 2 // (1 + len(fakes)))
    threads.read(election.run)
    configurations = itertools.cycle([load(None, {"RIVER_EXPORTER_WINDOW": text}) for text in ("30s", "60s")])
    threads.read(lambda: shared.configure(next(configurations)))
    threads.read(scraper)
    threads.read(lambda: [(runner.seconds, runner.failure, shared.superseded()) for runner in runners])
    threads.run()
    assert scraper.scrapes > 5
    assert "other" in answers or cast("BudgetCollector", budget.collector)._rivers[SCHEMA] is river
    while not shared.led():
        election.run()
    for each in (*fakes, budget):
        each.run()
    counted = {each.labels[1]: each.value for each in shared.snapshot.samples() if each.metric is TIMEOUTS}
    sessions, pool = cast("FakeSessions", fakes[0].collector), cast("FakePool", fakes[4].collector)
    assert sum(sessions.timeouts.values()) == sessions.count // 7 > 100
    expected = {cause: sessions.timeouts.get(cause, 0) for cause in CAUSES}
    expected["pool"] += pool.count // 5
    assert counted == expected
    failed = {
        runner.collector.name
        for runner in runners
        for each in runner.samples()
        if each.metric is FAILURES and each.value
    }
    assert failed == {"election"}
    assert not caplog.records


def test_an_expired_tick_of_the_election_is_no_lost_election() -> None:
    """Between two questions time passes: what was known at the first may be unknown at the second."""
    shared = context()
    now = shared.clock()
    shared.election.assume([SCHEMA], now)
    for passed in range(2900, 3100):
        moments = itertools.count(now + passed / 1000, 0.001)
        shared.clock = lambda moments=moments: next(moments)  # type: ignore[misc]
        assert not shared.superseded()
        budget = BudgetCollector(shared)
        budget._led = frozenset({SCHEMA})
        budget._hand_over()
        assert budget._led == {SCHEMA}


def test_evidence_that_ages_while_it_is_read_breaks_no_lane() -> None:
    """The sampler's pace asks twice for what may be fresh at the first question only."""
    shared = context()
    sampler, now = SessionsCollector(shared), shared.clock()
    shared.schema_state(SCHEMA)
    shared.board.put("sessions", [Sessions(SCHEMA, now), Completions(SCHEMA, now)])
    for passed in range(2990, 3010):
        moments = itertools.count(now + passed / 1000, 0.001)
        shared.clock = lambda moments=moments: next(moments)  # type: ignore[misc]
        assert sampler.pace() > 0


def test_schemas_that_appear_at_once_have_one_state_each() -> None:
    """Lanes that meet a schema at the same moment share its state, and its peaks are exposed once."""
    shared = context()
    schemas = [f"river_{number}" for number in range(200)]
    barrier = threading.Barrier(6)
    found: list[list[int]] = []

    def ask() -> bool:
        barrier.wait(30)
        states = [shared.schema_state(schema) for schema in schemas]
        for state in states:
            state.running.see(shared.clock(), 1.0, state.schema)
        found.append([id(state) for state in states])
        return True

    threads = Threads()
    for _ in range(6):
        threads.write(ask, 1)
    threads.read(Scraper(shared.snapshot, ()))
    threads.run()
    assert len(found) == 6
    assert found == [found[0]] * 6
    assert len(list(shared.snapshot.held())) == len(schemas)


def test_a_window_that_changes_while_a_schema_appears_holds_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload in the midst of making its peaks holds them for the new window too."""
    shared = context()
    shorter = load(None, {"RIVER_EXPORTER_WINDOW": "20s"})
    reload, made = threading.Thread(target=shared.configure, args=(shorter,)), shared.snapshot.peak

    def peak(metric: Metric, window: float) -> Peak:
        if reload.ident is None:
            reload.start()
            reload.join(0.1)
        return made(metric, window)

    monkeypatch.setattr(shared.snapshot, "peak", peak)
    state = shared.schema_state(SCHEMA)
    reload.join(10)
    assert not reload.is_alive()
    assert [each.window for each in (state.inflight, state.lock_waiters, state.lock_waits, state.running)] == [20.0] * 4


def test_what_the_sampler_still_adds_after_the_hand_over_is_not_held() -> None:
    """A sample under way when another exporter is elected leaves no peak beside the new leader's."""
    shared = context("won", "lost", "other")
    election, budget = Runner(ElectionCollector(shared)), Runner(BudgetCollector(shared))
    election.run()
    budget.run()
    assert shared.led()
    election.run()
    election.run()
    assert shared.superseded()
    budget.run()
    shared.schema_state(SCHEMA).inflight.see(shared.clock(), 6.0, SCHEMA)
    budget.run()
    assert INFLIGHT not in [each.metric for each in shared.snapshot.samples()]


def test_timeouts_of_rivers_own_pool_are_counted_after_the_lead_is_lost() -> None:
    """Those of the database, which is another exporter's to report then, do not stand in for them."""
    shared = context()
    election, budget = Runner(ElectionCollector(shared)), Runner(BudgetCollector(shared))
    sessions = Sessions(SCHEMA, shared.clock(), timeouts={"pool": 5})
    shared.board.put("sessions", [sessions])

    def counted() -> float:
        budget.run()
        return sum(
            cast("float", each.value)
            for each in shared.snapshot.samples()
            if each.metric is TIMEOUTS and each.labels == (SCHEMA, "pool")
        )

    election.run()
    shared.board.put("pgxpool", [Waiting("pgxpool", shared.clock(), timeouts=2)])
    assert counted() == 7
    shared.board.drop("sessions")
    shared.board.put("pgxpool", [Waiting("pgxpool", shared.clock(), timeouts=4)])
    assert counted() == 9
