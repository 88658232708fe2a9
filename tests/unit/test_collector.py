"""The one wrapper around every collector: its record, its checks, and what becomes of its samples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest

from exporter.budget.evidence import Board
from exporter.collectors.base import Collector
from exporter.collectors.context import Context
from exporter.collectors.discovery import classes, names
from exporter.collectors.runner import Runner
from exporter.metrics.metric import Sample, gauge
from exporter.metrics.snapshot import Snapshot
from exporter.postgres.sessions import Unreachable

VALUE = gauge("river_value", "A value", "who")
PEAK = gauge("river_peak", "Held", "who")
FOREIGN = gauge("river_foreign", "Not declared")


class Bench:
    """A runner of one collector that does what the test says, with a clock that the test moves."""

    def __init__(self, *, elected: bool = False, needs: tuple[str, ...] = (), interval: float = 5.0) -> None:
        self.now, self.capabilities = 0.0, dict.fromkeys(needs, True)
        self.led: tuple[str, ...] = ("public",)
        self.does: Callable[[], Iterable[Sample]] = lambda: [VALUE.sample(1, "a")]
        self.on, self.superseded = True, False
        bench = self
        self.snapshot, self.board = Snapshot(lambda: bench.now), Board()
        settings = SimpleNamespace(enabled=True, interval=None)
        context = SimpleNamespace(
            snapshot=self.snapshot,
            board=self.board,
            led=lambda: bench.led,
            superseded=lambda: bench.superseded,
            capable=lambda name: bench.capabilities[name],
            config=SimpleNamespace(collector=lambda _: settings),
        )

        class Fake(Collector):
            name = "fake"
            metrics = (VALUE,)

            def wanted(self) -> bool:
                return bench.on

            def collect(self) -> Iterable[Sample]:
                return bench.does()

        Fake.elected, Fake.needs, Fake.interval = elected, needs, interval
        self.settings = settings
        self.runner = Runner(Fake(cast("Context", context)))

    def values(self) -> list[object]:
        """What the snapshot still holds."""
        return [sample.value for sample in self.snapshot.samples()]

    def record(self) -> dict[str, object]:
        """What the runner says of its runs, by the end of the metric's name."""
        return {
            sample.metric.name.removeprefix("river_exporter_collector_"): sample.value
            for sample in self.runner.samples()
        }


def broken(error: Exception) -> Callable[[], Iterable[Sample]]:
    """Return a run that fails."""

    def run() -> Iterable[Sample]:
        raise error

    return run


def test_a_run_is_timed_and_recorded() -> None:
    """Success, duration, lateness, when it last worked, and failures from zero on."""
    bench = Bench()
    bench.runner.run(lateness=0.25)
    record = bench.record()
    assert (record["success"], record["lateness_seconds"], record["failures_total"]) == (1, 0.25, 0)
    assert cast("float", record["duration_seconds"]) >= 0
    assert cast("float", record["last_success_timestamp_seconds"]) > 1_700_000_000
    assert bench.values() == [1]


@pytest.mark.parametrize(("interval", "lifetime"), [(1.0, 10.0), (5.0, 15.0), (60.0, 180.0)])
def test_samples_of_a_collector_that_fails_vanish_after_three_intervals(interval: float, lifetime: float) -> None:
    """At least ten seconds; what it said stays until then, and the time of its last success for ever."""
    bench = Bench(interval=interval)
    bench.runner.run()
    bench.does = broken(Unreachable("timeout", "gone"))
    bench.now = lifetime - 0.01
    bench.runner.run()
    assert bench.values() == [1]
    record = bench.record()
    assert (record["success"], record["failures_total"]) == (0, 1)
    bench.now = lifetime
    assert bench.values() == []
    assert "last_success_timestamp_seconds" in bench.record()


def test_a_peak_outlives_a_collector_that_sees_nothing_until_its_window_ends() -> None:
    """A fault that blinds the exporter must not hide what was seen just before."""
    bench = Bench(interval=1.0)
    peak = bench.snapshot.peak(PEAK, window=60.0)

    def see() -> Iterable[Sample]:
        peak.see(bench.now, 4.0, "a")
        return [VALUE.sample(1, "a")]

    bench.does = see
    bench.runner.run()
    bench.does = broken(Unreachable("timeout", "gone"))
    seen = []
    for bench.now in (9.0, 11.0, 60.0, 61.0):
        bench.runner.run()
        seen.append(bench.values())
    assert seen == [[1, 4.0], [4.0], [4.0], []]


def test_a_collector_that_the_server_cuts_off_rests_longer_each_time() -> None:
    """At most 15 s, so that it reads again soon after the fault; another kind of failure costs the server nothing."""
    bench = Bench(interval=5.0)
    bench.does = broken(psycopg.errors.QueryCanceled("statement timeout"))
    paces = []
    for _ in range(6):
        bench.runner.run()
        paces.append(bench.runner.pace())
    assert paces == [5.0, 10.0, 15.0, 15.0, 15.0, 15.0]
    bench.does = broken(Unreachable("refused", "gone"))
    bench.runner.run()
    assert bench.runner.pace() == 5.0
    bench.does = lambda: [VALUE.sample(1, "a")]
    bench.runner.run()
    assert bench.runner.pace() == 5.0


def test_a_generator_that_fails_halfway_gives_nothing() -> None:
    """Half a picture is none."""

    def half() -> Iterable[Sample]:
        yield VALUE.sample(2, "a")
        raise psycopg.OperationalError("lost")

    bench = Bench()
    bench.does = half
    bench.runner.run()
    assert bench.values() == []


@pytest.mark.parametrize(
    ("samples", "error"),
    [
        ([FOREIGN.sample(1)], "river_foreign is not declared by collector fake"),
        ([VALUE.sample(1, "a"), VALUE.sample(2, "a")], r"river_value\('a',\) stands twice in one run"),
    ],
)
def test_undeclared_and_double_series_are_refused(
    samples: list[Sample], error: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No documentation has the first, and the second breaks every scrape."""
    bench = Bench()
    bench.does = lambda: samples
    bench.runner.run()
    assert bench.values() == []
    assert bench.record()["success"] == 0
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert error.replace("\\", "") in line.__dict__["error"]


def test_a_failure_is_logged_once_until_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    """A dead database must not fill the log; what is expected to fail has no traceback."""
    bench = Bench()
    for error in (Unreachable("refused", "no"), Unreachable("refused", "no"), Unreachable("timeout", "no")):
        bench.does = broken(error)
        bench.runner.run()
    bench.does = list
    bench.runner.run()
    bench.does = broken(Unreachable("timeout", "no"))
    bench.runner.run()
    assert [line.__dict__["error"] for line in caplog.records] == [
        "no connection (refused): no",
        "no connection (timeout): no",
        "no connection (timeout): no",
    ]
    assert all(line.exc_info is None and line.levelno == logging.WARNING for line in caplog.records)
    assert bench.record()["failures_total"] == 4


def test_a_fault_of_our_own_is_logged_with_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """That is for whoever mends it."""
    bench = Bench()
    bench.does = broken(KeyError("x"))
    bench.runner.run()
    (line,) = caplog.records
    assert line.levelno == logging.ERROR
    assert line.exc_info


def test_an_elected_collector_says_nothing_where_another_exporter_leads() -> None:
    """Not even what it said before: a double series would be added up."""
    bench = Bench(elected=True)
    bench.runner.run()
    bench.led, bench.superseded = (), True
    bench.runner.run()
    assert bench.values() == []
    record = bench.record()
    assert "success" not in record
    assert record["failures_total"] == 0


def test_while_nobody_knows_who_leads_samples_live_on_for_their_time() -> None:
    """A database that hangs for a moment makes no gap in a graph."""
    bench = Bench(elected=True)
    bench.runner.run()
    bench.led = ()
    bench.runner.run()
    assert bench.values() == [1]
    bench.now = 15
    assert bench.values() == []


def test_a_collector_waits_for_what_it_needs() -> None:
    """While a capability is missing it neither runs nor fails; when it comes, it runs without a restart."""
    bench = Bench(needs=("pg_monitor",))
    bench.capabilities["pg_monitor"] = False
    bench.does = broken(RuntimeError("must not run"))
    bench.runner.run()
    assert bench.record() == {"failures_total": 0}
    bench.capabilities["pg_monitor"] = True
    bench.does = lambda: [VALUE.sample(1, "a")]
    bench.runner.run()
    assert bench.values() == [1]


def test_a_collector_that_is_turned_off_is_silent_at_once() -> None:
    """By a reload too."""
    bench = Bench()
    bench.runner.run()
    bench.on = False
    bench.runner.run()
    assert bench.values() == []


def test_a_configured_interval_is_its_pace() -> None:
    """And the lifetime of its samples goes with it."""
    bench = Bench(interval=5)
    bench.settings.interval = 20.0
    bench.runner.run()
    assert bench.runner.collector.pace() == 20
    bench.now = 59.9
    assert bench.values() == [1]
    bench.now = 60
    assert bench.values() == []


def test_every_module_beside_the_collectors_holds_the_one_it_is_named_after() -> None:
    """Found by being there; each declares what it gives."""
    assert tuple(each.name for each in classes()) == names()
    for each in classes():
        assert each.metrics, each.name
        assert each.interval > 0
        assert each.__doc__
