"""What a dashboard may ask for: the exporter's metrics as they are exposed, what rules record, what a scrape brings."""

import re
from functools import cache

from config.source.source import Record, load
from exporter.app import METRICS
from exporter.collectors.discovery import classes
from exporter.metrics.metric import Kind, Metric

TARGET_LABELS = {"cluster", "namespace", "job", "instance", "pod"}
"""Labels that the scrape gives."""

FOREIGN = {
    "up": Kind.GAUGE,
    "scrape_duration_seconds": Kind.GAUGE,
    "scrape_samples_post_metric_relabeling": Kind.GAUGE,
    "process_start_time_seconds": Kind.GAUGE,
    "process_resident_memory_bytes": Kind.GAUGE,
    "process_cpu_seconds_total": Kind.COUNTER,
    "ALERTS": Kind.GAUGE,
}
"""Of Prometheus itself and of its client library."""


@cache
def metrics() -> dict[str, Metric]:
    """Every metric the exporter declares, by its name."""
    return {metric.name: metric for metric in (*(m for each in classes() for m in each.metrics), *METRICS)}


@cache
def recorded() -> dict[str, set[str]]:
    """Labels by name of what the recording rules make: those that the outermost aggregation keeps."""
    rules = [rule for group in load().groups for rule in group.rules if isinstance(rule, Record)]
    return {rule.record: set(re.findall(r"\w+", rule.expr.split("by (", 1)[1].split(")", 1)[0])) for rule in rules}


@cache
def shared() -> frozenset[str]:
    """Metrics that say the same whoever exports them: about the database, River or the settings."""
    own = {metric.name for each in classes() for metric in each.metrics if not each.elected}
    elected = {metric.name for each in classes() for metric in each.metrics if each.elected}
    own = {name for name in own if "schema" in metrics()[name].labels or "_server_" in name}
    once = {name for name, labels in recorded().items() if "instance" not in labels}
    return frozenset(elected | own | once)


def series() -> dict[str, tuple[Kind, set[str]]]:
    """Kind and labels by the name of what is exposed: a histogram has buckets, a sum and a count."""
    known: dict[str, tuple[Kind, set[str]]] = {name: (kind, set()) for name, kind in FOREIGN.items()}
    known["ALERTS"] = (Kind.GAUGE, {"alertname", "alertstate", "severity", "schema"})
    for name, metric in metrics().items():
        labels = set(metric.labels)
        if metric.kind in (Kind.HISTOGRAM, Kind.SUMMARY):
            known[f"{name}_sum"] = known[f"{name}_count"] = (Kind.COUNTER, labels)
            if metric.kind is Kind.HISTOGRAM:
                known[f"{name}_bucket"] = (Kind.COUNTER, labels | {"le"})
        else:
            known[name] = (metric.kind, labels)
    return known | {name: (Kind.GAUGE, labels) for name, labels in recorded().items()}


def declared(name: str) -> str:
    """The declaration's name of what is exposed."""
    if name in metrics():
        return name
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and name.removesuffix(suffix) in metrics():
            return name.removesuffix(suffix)
    return name
