"""The registry gives the same exposition as prometheus-client's own metrics would."""

from __future__ import annotations

import math

import prometheus_client as client
import pytest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import CollectorRegistry

from exporter.metrics.metric import (
    Counter,
    Histogram,
    Kind,
    Metric,
    Sample,
    Summary,
    counter,
    gauge,
    histogram,
    summary,
)
from exporter.metrics.registry import expose
from exporter.metrics.snapshot import Snapshot

UGLY = 'a"b\\c\nd é'


def exposed(*samples: Sample) -> CollectorRegistry:
    """A registry that gives those samples."""
    snapshot = Snapshot(lambda: 0.0)
    snapshot.put("test", samples, 1)
    return expose(snapshot, lambda: ())


def text(registry: CollectorRegistry) -> str:
    """What a scrape gets, but for the creation times that only the client's own metrics have."""
    whole = client.generate_latest(registry).decode()
    return "".join(line for line in whole.splitlines(keepends=True) if "_created" not in line)


def both(registry: CollectorRegistry) -> tuple[str, str]:
    """Prometheus' text format and OpenMetrics."""
    modern = openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    return text(registry), "".join(line for line in modern.splitlines(keepends=True) if "_created" not in line)


def test_a_gauge() -> None:
    """With labels that need escaping, and values that are no plain number."""
    ours = gauge("river_g", "Help with a \\ and\na line", "queue")
    theirs = client.Gauge(
        "river_g", "Help with a \\ and\na line", ["queue"], registry=(registry := CollectorRegistry())
    )
    samples = []
    for label, value in ((UGLY, 1.5), ("nan", math.nan), ("inf", math.inf), ("small", 1e-9), ("large", 2.0**60)):
        samples.append(ours.sample(value, label))
        theirs.labels(label).set(value)
    assert both(exposed(*samples)) == both(registry)


def test_a_counter() -> None:
    """Its family lacks the `_total` in OpenMetrics."""
    ours = Counter(counter("river_c_total", "Help", "a", "b"))
    theirs = client.Counter("river_c_total", "Help", ["a", "b"], registry=(registry := CollectorRegistry()))
    for labels, amount in ((("x", "y"), 2.5), (("x", UGLY), 0.0), (("x", "y"), 1.0)):
        ours.add(amount, *labels)
        theirs.labels(*labels).inc(amount)
    assert both(exposed(*ours.samples())) == both(registry)


def test_a_histogram() -> None:
    """Bounds belong to their own bucket, and the last bucket is infinite."""
    bounds = (0.001, 0.25, 1.0, 10.0)
    ours = Histogram(histogram("river_h", "Help", bounds, "a"))
    theirs = client.Histogram("river_h", "Help", ["a"], buckets=bounds, registry=(registry := CollectorRegistry()))
    for value in (0.0, 0.001, 0.0011, 0.25, 5.0, 10.0, 11.0):
        ours.observe(value, "x")
        theirs.labels("x").observe(value)
    ours.declare("empty")
    theirs.labels("empty")
    assert both(exposed(*ours.samples())) == both(registry)


def test_a_summary() -> None:
    """A count and a sum."""
    ours = Summary(summary("river_s", "Help", "a"))
    theirs = client.Summary("river_s", "Help", ["a"], registry=(registry := CollectorRegistry()))
    ours.add(2, 1.75, "x")
    for value in (0.5, 1.25):
        theirs.labels("x").observe(value)
    assert both(exposed(*ours.samples())) == both(registry)


def test_series_of_one_metric_from_several_collectors_are_one_family() -> None:
    """HELP and TYPE stand once, as a scraper demands."""
    metric = gauge("river_g", "Help", "source")
    snapshot = Snapshot(lambda: 0.0)
    snapshot.put("a", [metric.sample(1, "a")], 1)
    snapshot.put("b", [gauge("river_other", "Help").sample(1), metric.sample(2, "b")], 1)
    registry = expose(snapshot, lambda: [metric.sample(3, "live")])
    shown = text(registry)
    assert shown.count("# TYPE river_g gauge") == 1
    assert [line for line in shown.splitlines() if line.startswith("river_g{")] == [
        'river_g{source="a"} 1.0',
        'river_g{source="b"} 2.0',
        'river_g{source="live"} 3.0',
    ]


def test_a_scrape_reads_the_snapshot_as_it_is_then() -> None:
    """Nothing is kept from one scrape to the next."""
    metric, now = gauge("river_g", "Help"), [0.0]
    snapshot = Snapshot(lambda: now[0])
    registry = expose(snapshot, lambda: ())
    assert text(registry) == ""
    snapshot.put("a", [metric.sample(1)], 10)
    assert text(registry).endswith("river_g 1.0\n")
    now[0] = 10
    assert text(registry) == ""


@pytest.mark.parametrize(
    ("name", "kind", "buckets"),
    [
        ("river_x", Kind.COUNTER, ()),
        ("river_x_total", Kind.GAUGE, ()),
        ("river_x", Kind.HISTOGRAM, ()),
        ("river_x", Kind.GAUGE, (1.0,)),
    ],
)
def test_a_declaration_that_breaks_the_naming_rules_is_refused(
    name: str, kind: Kind, buckets: tuple[float, ...]
) -> None:
    """Exactly the counters end in _total, exactly the histograms have buckets."""
    with pytest.raises(ValueError, match=f"{name}: exactly the"):
        Metric(name, kind, "Help", (), buckets)


def test_a_sample_has_a_value_for_each_declared_label() -> None:
    """Neither more nor fewer."""
    metric = gauge("river_g", "Help", "a", "b")
    for labels in ((), ("x",), ("x", "y", "z")):
        with pytest.raises(ValueError, match=r"river_g has labels \('a', 'b'\), got"):
            metric.sample(1, *labels)


def test_a_counter_never_falls() -> None:
    """A negative amount is a reset of its source and adds nothing."""
    sums = Counter(counter("river_c_total", "Help"))
    sums.add(3)
    sums.add(-2)
    assert [sample.value for sample in sums.samples()] == [3]
