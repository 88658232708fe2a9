"""The fast rendering writes exactly the bytes of prometheus-client's own encoders."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, Summary
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    StateSetMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from exporter.metrics.exposition import Exposition

# What Prometheus 2.42 and 3 send, a browser, and a bare client.
ACCEPTS = [
    (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    ),
    (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
        "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
        "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
    ),
    "text/plain;version=1.0.0;escaping=underscores",
    "text/html,*/*;q=0.8",
    "",
]


class _Given(Collector):
    """A collector of the given families."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = list(families)

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield from self.families


def _registry(*families: Metric) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return registry


def _of_every_kind() -> CollectorRegistry:
    hostile = 'a\\b"c\nd é'
    gauge = GaugeMetricFamily("river_jobs", f"Help with {hostile}", labels=["queue", "state"])
    for number, value in enumerate(
        (0, 1, -1.5, 1e-9, 1e6, 12345678.9, 1e21, float("inf"), float("-inf"), float("nan"))
    ):
        gauge.add_metric([f"q{number}", hostile], value)
    timed = GaugeMetricFamily("river_timed", "With a time", labels=["x"])
    timed.add_metric(["1"], 2.0, timestamp=1_700_000_000.5)
    histogram = HistogramMetricFamily("river_lag_seconds", "Lag", labels=["queue"])
    histogram.add_metric(["default"], [("0.5", 3.0), ("+Inf", 4.0)], 7.5)
    unit = GaugeMetricFamily("river_wait_seconds", "With a unit", value=3, unit="seconds")
    strange = GaugeMetricFamily("river.dotted", "A name that only UTF-8 allows", labels=["k.v"])
    strange.add_metric(["x"], 1)
    return _registry(
        gauge,
        timed,
        histogram,
        unit,
        strange,
        CounterMetricFamily("river_timeouts", "Counted", value=5, created=1.0),
        GaugeHistogramMetricFamily("river_gh", "Gauge histogram", buckets=[("1", 2.0), ("+Inf", 3.0)], gsum_value=4.0),
        StateSetMetricFamily("river_state", "States", value={"a": True, "b": False}),
        UnknownMetricFamily("river_unknown", "Unknown", value=1),
        Metric("river_empty", "No samples", "gauge"),
    )


def _of_the_client_library() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("c", "Counter", ["l"], registry=registry).labels("x").inc(2, exemplar={"trace": "abc"})
    Gauge("g", "Gauge", registry=registry).set(0.1)
    Histogram("h", "Histogram", registry=registry).observe(0.3)
    Summary("s", "Summary", registry=registry).observe(0.3)
    Info("i", "Info", registry=registry).info({"version": "1"})
    return registry


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("registry", [_of_every_kind(), _of_the_client_library(), _registry()])
def test_it_writes_what_the_client_library_writes(registry: CollectorRegistry, accept: str) -> None:
    """Byte for byte, and again when everything is remembered."""
    encode, content_type = choose_encoder(accept)
    exposition = Exposition(registry)
    for _ in range(2):
        text, chosen = exposition.render(accept)
        assert text == encode(registry)
        assert chosen == content_type


def test_new_values_series_and_families_appear_and_old_ones_vanish() -> None:
    """Only what stands before a value is remembered."""
    given = _Given([GaugeMetricFamily("a", "A", value=1)])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(given)
    exposition = Exposition(registry)
    exposition.render("")
    given.families = [GaugeMetricFamily("a", "A", value=2), GaugeMetricFamily("b", "B", value=3)]
    assert exposition.render("")[0] == choose_encoder("")[0](registry)
    given.families = given.families[1:]
    assert b"# TYPE a" not in exposition.render("")[0]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label values that come and go must not grow the memory for ever."""
    monkeypatch.setattr("exporter.metrics.exposition._MAX_SERIES", 10)
    given = _Given([])
    registry = CollectorRegistry(auto_describe=False)
    registry.register(given)
    exposition = Exposition(registry)
    for number in range(100):
        family = GaugeMetricFamily("a", "A", labels=["x"])
        family.add_metric([str(number)], 1)
        given.families = [family]
        assert f'a{{x="{number}"}} 1.0'.encode() in exposition.render("")[0]
    (remembered,) = exposition._formats.values()
    assert len(remembered._series) <= 11


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text;version=99.0.0",
        "application/openmetrics-text;version=1.0.0\tx",
        "application/openmetrics-text;version=1.0.0;q=0",
        "application/openmetrics-text;version=1.0.0;q=x",
        "text/plain;version=7.0.0",
        ";;;,,,=",
    ],
)
def test_a_format_that_is_not_served_or_malformed_gives_plain_text(accept: str) -> None:
    """Nothing that a client says of versions is echoed, and nothing fails."""
    assert Exposition(_registry()).render(accept)[1] == "text/plain; version=0.0.4; charset=utf-8"


def test_scrapes_at_one_time_share_a_rendering_that_began_after_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many scrapers at once cost two renderings; none sees values from before it asked."""
    release, numbers, moments = threading.Event(), itertools.count(1), itertools.count(1)
    all_asked = threading.Event()

    def clock() -> float:
        # The first one reads it when it asks and when it begins, the five others when they ask.
        moment = next(moments)
        if moment == 7:
            all_asked.set()
        return float(moment)

    class Slow(Collector):
        """A collector that waits."""

        def collect(self) -> Iterator[Metric]:
            """One gauge: the number of the rendering."""
            number = next(numbers)
            release.wait(30)
            yield GaugeMetricFamily("a", "A", value=number)

    monkeypatch.setattr("exporter.metrics.exposition.time", SimpleNamespace(monotonic=clock))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Slow())
    exposition = Exposition(registry)
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda: results.append(exposition.render("")[0])) for _ in range(6)]
    for each in threads:
        each.start()
    assert all_asked.wait(30)
    release.set()
    for each in threads:
        each.join(30)
    values = sorted(each.splitlines()[-1] for each in results)
    assert values == [b"a 1.0"] + 5 * [b"a 2.0"]


def test_the_process_own_series_are_rendered() -> None:
    """The client library's process collector goes through as well."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    assert b"process_resident_memory_bytes" in Exposition(registry).render("")[0]
