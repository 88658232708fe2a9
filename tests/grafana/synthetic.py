"""A catalogue's worth of made-up series in OpenMetrics text, for promtool to make blocks of.

Each metric of the exporter gets every value its labels can have. What looks real is the shape of the data, its number
of series and samples, not the values: gauges wave, counters rise.
"""

import itertools
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from exporter.collectors.discovery import classes
from exporter.metrics.metric import Kind, Metric
from exporter.river.operations import OPERATIONS
from tests.grafana.catalogue import FOREIGN, metrics, shared

VALUES: Mapping[str, Sequence[str]] = {
    "blocker": ("idle_in_transaction", "active", "river", "ddl", "autovacuum", "prepared_transaction", "other"),
    "capability": ("pg_monitor", "pg_stat_statements", "river_job", "track_commit_timestamp"),
    "cause": ("pool", "network", "lock", "execution", "storage"),
    "collector": tuple(each.name for each in classes()),
    "holder": ("session", "slot", "prepared_transaction", "standby"),
    "index": tuple(f"river_job_index_{number}" for number in range(12)),
    "kind": ("live", "dead"),
    "operation": OPERATIONS,
    "part": ("heap", "indexes", "toast"),
    "phase": ("tcp", "tls", "login", "query"),
    "service": ("cleaner", "rescuer", "scheduler", "reindexer"),
    "severity": ("warning", "critical"),
    "source": ("pgxpool", "pgbouncer", "exporter"),
    "version": ("1.0.0",),
    "revision": ("0123abc",),
    "branch": ("main",),
    "pythonversion": ("3.13.0",),
    "wait_event_type": ("", "Lock", "LWLock", "IO", "IPC", "Client", "Timeout"),
}
"""Values by label, where a metric has no values of its own."""

OWN_VALUES: Mapping[tuple[str, str], Sequence[str]] = {
    ("river_autovacuum_workers", "state"): ("running", "max"),
    ("river_completer_cause", "cause"): ("pool", "network", "lock", "execution", "storage", "refused", "unknown"),
    ("river_completer_state", "state"): ("ok", "slow", "stalled", "failing", "unknown"),
    ("river_jobs", "state"): ("available", "running", "retryable", "scheduled", "pending"),
    ("river_jobs_capped", "state"): ("available", "running", "retryable", "scheduled", "pending"),
    ("river_jobs_finished_total", "state"): ("completed", "cancelled", "discarded"),
    ("river_jobs_oldest_finished_seconds", "state"): ("completed", "cancelled", "discarded"),
    ("river_jobs_past_retention_seconds", "state"): ("completed", "cancelled", "discarded"),
    ("river_jobs_stuck", "reason"): ("client_gone", "too_long"),
    ("river_pool_connections", "state"): ("acquired", "idle", "constructing", "total"),
    ("river_probe_failures_total", "reason"): ("auth", "dns", "refused", "timeout", "tls", "other"),
    ("river_postgres_checkpoint_seconds_total", "phase"): ("write", "sync"),
    ("river_postgres_checkpoints_total", "type"): ("timed", "requested"),
    ("river_postgres_io_operations_total", "operation"): ("read", "write", "extend", "fsync"),
    ("river_postgres_io_seconds_total", "operation"): ("read", "write", "extend", "fsync"),
    ("river_postgres_synchronous_standbys", "state"): ("required", "connected"),
    ("river_postgres_wal_write_seconds_total", "phase"): ("write", "sync"),
    ("river_session_seconds_total", "state"): ("active", "idle", "idle in transaction"),
    ("river_sessions", "state"): ("active", "idle", "idle in transaction"),
    ("river_standby_lag_seconds", "phase"): ("write", "flush", "replay"),
    ("river_statement_blocks_total", "source"): ("hit", "read", "dirtied", "written"),
    ("river_statements_folded_total", "operation"): ("other", "other_river"),
    ("river_table_last_vacuum_timestamp_seconds", "type"): ("vacuum", "analyze"),
    ("river_table_rows_read_total", "type"): ("sequential", "index"),
    ("river_table_scans_total", "type"): ("sequential", "index"),
    ("river_table_updates_total", "type"): ("hot", "other"),
    ("river_database_unreachable", "reason"): ("refused",),
}
"""Values of a metric's label, where others have other values."""

SEEN_WHILE_THEY_LAST = {"river_session_seconds_total": 8, "river_lock_waiters": 2, "river_lock_wait_seconds": 2}
"""How many operations a sampled metric has, of all there are: most are too short to be seen, or to wait, ever."""


@dataclass(frozen=True)
class Site:
    """One installation: a job of Prometheus.

    Args:
        exporters: how many there are, each with its own series.
        speakers: how many of them give what is said of the database.
        queues: how many River has, in each schema.
        schemas: how many Rivers share the database.
    """

    job: str
    exporters: int = 1
    speakers: int = 1
    queues: int = 1
    schemas: int = 1


def series(site: Site) -> Iterator[tuple[str, dict[str, str], Kind]]:
    """Every series of a site: name, labels and kind."""
    for number in range(site.exporters):
        target = {"job": site.job, "instance": f"10.0.0.{number + 1}:10917"}
        for metric in metrics().values():
            if metric.name not in shared() or number < site.speakers:
                yield from _of_metric(metric, target, site)
        for name, kind in FOREIGN.items():
            if name != "ALERTS":
                yield name, target, kind
    alert = {"job": site.job, "alertname": "RiverCompleterBudget", "alertstate": "firing", "severity": "critical"}
    yield "ALERTS", alert, Kind.GAUGE


def write(path: Path, sites: Iterable[Site], moments: Sequence[int]) -> int:
    """Write all series at these Unix seconds; returns the number of samples."""
    phases = range(7)
    waves = [[f" {50 + 45 * math.sin((at / 15 + phase) / 40):.3f} {at}\n" for at in moments] for phase in phases]
    rises = [[f" {at % 10_000_000 * (phase + 1)} {at}\n" for at in moments] for phase in phases]
    stamps = [f" {moment - moment % 3600} {moment}\n" for moment in moments]
    samples = 0
    with path.open("w") as file:
        for name, labels, kind in itertools.chain.from_iterable(map(series, sites)):
            said = sorted((key, value) for key, value in labels.items() if key not in ("job", "instance"))
            phase = zlib.crc32(f"{name}{said}".encode()) % len(phases)  # the same, whichever exporter says it
            points = rises[phase] if kind is Kind.COUNTER else waves[phase]
            if name.endswith("timestamp_seconds") or name == "process_start_time_seconds":
                points = stamps
            _write_one(file, name, labels, points)
            samples += len(points)
        file.write("# EOF\n")
    return samples


def _write_one(file: TextIO, name: str, labels: Mapping[str, str], points: Sequence[str]) -> None:
    head = name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}"
    file.write(head + head.join(points))


def _of_metric(metric: Metric, target: dict[str, str], site: Site) -> Iterator[tuple[str, dict[str, str], Kind]]:
    for values in itertools.product(*(_values(metric, label, site) for label in metric.labels)):
        labels = {**target, **dict(zip(metric.labels, values, strict=True))}
        if metric.kind in (Kind.HISTOGRAM, Kind.SUMMARY):
            yield f"{metric.name}_sum", labels, Kind.COUNTER
            yield f"{metric.name}_count", labels, Kind.COUNTER
            for bound in (*metric.buckets, math.inf) if metric.kind is Kind.HISTOGRAM else ():
                yield f"{metric.name}_bucket", {**labels, "le": f"{bound:g}".replace("inf", "+Inf")}, Kind.COUNTER
        else:
            yield metric.name, labels, metric.kind


def _values(metric: Metric, label: str, site: Site) -> Sequence[str]:
    if label == "schema":
        return [f"river_{number}" for number in range(site.schemas)]
    if label == "queue":
        return [f"queue_{number}" for number in range(site.queues)]
    own = OWN_VALUES.get((metric.name, label)) or VALUES.get(label)
    if own is None:
        raise KeyError(f"give tests/grafana/synthetic.py the values of {label} of {metric.name}")
    few = label == "operation" and metric.name in SEEN_WHILE_THEY_LAST
    return own[: SEEN_WHILE_THEY_LAST[metric.name]] if few else own
