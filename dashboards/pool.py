"""Connections: River's pool, PgBouncer and the exporter's own acquires compared, and the network below them."""

from collections.abc import Iterator

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.frame import dashboard as frame
from dashboards.frame import line
from dashboards.panels import gauges, heat, number, plot
from dashboards.queries import Query, lowest, pod, quantile, rate, ratio, river, server, threshold, timeout, worst

RIVERS = 'source!~"exporter|pgbouncer|sessions"'
"""River's own pool, whatever library its process exposes it with."""

SIDES = {
    RIVERS: ("River's pool", "set river.metrics_urls to see River's own pool"),
    'source="pgbouncer"': ("PgBouncer", "set pgbouncer.url to see PgBouncer"),
}


def dashboard() -> model.Dashboard:
    """River pool and connections."""
    return frame(
        "pool",
        "River pool and connections",
        "Whether the completer gets a connection, and what the network to the database costs.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(8, *((8, _connections(source)) for source in SIDES), (8, _acquires()), title="Pools by source"),
            line(8, (8, _wait()), (8, _waits()), (8, _workers())),
            line(7, (6, _heat()), (6, _fullest()), (6, _waiting()), (6, _canceled()), title="Waiting for a connection"),
            line(
                7, (6, _roundtrip()), (6, _connect()), (6, _phases()), (6, _failures()), title="Network from the pods"
            ),
        ],
        variables=("schema", "instance"),
        window="1h",
    )


def _answers() -> list[model.Panel]:
    free = gauges(
        "Free connections",
        "Share of each pool's connections that is free, in the pod with the lowest share. At 0 completions stop; until "
        "then nothing is slow.",
        Query(f"min by (source) ({pod('river_pool_free_ratio')})", "{{source}}", "instant"),
        style.RATIO,
        steps={0: "critical", 0.1: "warning", 0.3: "good"},
        maximum=1,
        empty="no source reports a pool",
    )
    workers = number(
        "Connections per worker",
        "Connections that River may open over workers that it may run. Below 1, workers alone can take all of them; "
        "River's documentation advises more than 1.",
        Query(
            ratio(worst(pod("river_pool_max_connections", RIVERS)), worst(river("river_workers_max"))),
            "connections per worker",
        ),
        unit=style.COUNT,
        empty="needs River's pool or workers",
        steps={0: "warning", 1.2: "good"},
        decimals=2,
    )
    longest = number(
        "Longest wait now",
        "The longest current wait for a connection that a pool reports.",
        Query(worst(pod("river_pool_longest_wait_seconds")), "longest wait"),
        unit=style.SECONDS,
        empty="none waits",
        trend=True,
    )
    waiting = number(
        "Clients waiting",
        "Clients that wait for a connection of PgBouncer or of a pool.",
        Query(worst(pod("river_pool_clients_waiting")), "waiting"),
        unit=style.COUNT,
        empty="no source reports it",
        steps={0: "good", 1: "warning", 5: "critical"},
        decimals=0,
    )
    used = number(
        "Server connections used",
        "Connections of all clients over max_connections.",
        Query(
            ratio(worst(server("river_postgres_connections")), worst(server("river_postgres_max_connections"))), "used"
        ),
        unit=style.RATIO,
        empty=style.NO_DATA,
        steps={0: "good", 0.8: "warning", 0.95: "critical"},
        decimals=0,
    )
    spent = number(
        "Wait for a connection",
        "Seconds that the slowest attempt of the last 60 s waited for a connection.",
        Query(worst(river("river_completer_budget_seconds", 'cause="pool"')), "pool"),
        unit=style.SECONDS,
        empty="no attempt was observed",
        trend=True,
    )
    return [spent, free, workers, longest, waiting, used]


def _connections(source: str) -> model.Panel:
    title, empty = SIDES[source]
    state = worst(pod("river_pool_connections", source, 'state!="total"'), "state")
    return plot(
        title,
        "Connections by state, in the pod with most of them; the line is the pool's size.",
        Query(state, "{{state}}"),
        Query(worst(pod("river_pool_max_connections", source)), "max"),
        unit=style.COUNT,
        stack=True,
        colours=style.POOL_STATES,
        empty=empty,
    )


def _acquires() -> model.Panel:
    took, acquires = pod("river_pool_acquire_seconds_sum"), pod("river_pool_acquire_seconds_count")
    return plot(
        "Mean acquire time",
        "In the slowest pod, by source: pgxpool reports acquires that found no idle connection, the exporter its own "
        "through River's connection endpoint (logarithmic scale).",
        Query(worst(ratio(rate(took), rate(acquires)), "source"), "{{source}}"),
        Query(timeout(), "timeout"),
        unit=style.SECONDS,
        colours=style.SOURCES,
        logarithmic=True,
    )


def _wait() -> model.Panel:
    return plot(
        "Longest wait for a connection",
        "Of current waits, in the pod where it is longest; for PgBouncer the oldest waiting client.",
        Query(worst(pod("river_pool_longest_wait_seconds"), "source"), "{{source}}"),
        Query(worst(pod("river_pgbouncer_maxwait_seconds")), "pgbouncer now"),
        Query(timeout(), "timeout"),
        unit=style.SECONDS,
        colours={**style.SOURCES, "pgbouncer now": style.SERIES[9]},
        empty="no source reports it",
    )


def _waits() -> model.Panel:
    return plot(
        "Acquires that had to wait",
        "Per second, in the pod with most. A few are normal; all of them are not.",
        Query(worst(rate(pod("river_pool_acquire_waits_total")), "source"), "{{source}}"),
        unit=style.PER_SECOND,
        colours=style.SOURCES,
        empty="no source reports it",
    )


def _workers() -> model.Panel:
    return plot(
        "Workers and connections",
        "Jobs in state running at once (highest of the last 60 s), and the limits of workers and connections. As many "
        "workers as connections can take every connection from the completer (logarithmic scale).",
        Query(worst(river("river_workers_running")), "running"),
        Query(worst(river("river_workers_max")), "workers"),
        Query(worst(pod("river_pool_max_connections", RIVERS)), "max"),
        unit=style.COUNT,
        colours={"running": style.SERIES[0], "workers": style.SERIES[1], "max": style.CRITICAL},
        logarithmic=True,
    )


def _heat() -> model.Panel:
    bucket = pod("river_exporter_acquire_seconds_bucket")
    return heat(
        "Acquires of the exporter",
        "Time the exporter takes to acquire a connection through River's connection endpoint, over all selected pods. "
        "Through PgBouncer it shares River's pool only where database and user are River's.",
        Query(f"sum by (le) ({rate(bucket)})", form="heatmap"),
        unit=style.SECONDS,
    )


def _fullest() -> model.Panel:
    free = pod("river_pool_free_ratio", RIVERS)
    return plot(
        "Free connections by pod",
        "The ten pods whose pool had the lowest free share in this window.",
        Query(lowest(f"min by (instance) ({free})", free, "instance"), "{{instance}}"),
        unit=style.RATIO,
        maximum=1,
        empty="set river.metrics_urls to see River's own pool",
    )


def _waiting() -> model.Panel:
    return plot(
        "Time waiting for a connection",
        "Seconds per second that River's services wait for a connection, in the pod with most.",
        Query(worst(rate(pod("river_pool_wait_seconds_total")), "source"), "{{source}}"),
        unit=style.SECONDS,
        colours=style.SOURCES,
        empty="no source reports it",
    )


def _canceled() -> model.Panel:
    return plot(
        "Canceled acquires",
        "Per second: the context ended before a connection was available. All of River's services count, the completer "
        "included.",
        Query(worst(rate(pod("river_pool_acquires_canceled_total")), "source"), "{{source}}"),
        unit=style.PER_SECOND,
        colours=style.SOURCES,
        bars=True,
        empty="no source reports it",
    )


def _percentiles(bucket: str) -> Iterator[Query]:
    return (Query(quantile(share, bucket), name) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)))


def _roundtrip() -> model.Panel:
    bucket = pod("river_probe_roundtrip_seconds_bucket")
    return plot(
        "Round trip",
        "On an open connection to River's connection endpoint. A completion takes one to three (logarithmic scale).",
        *_percentiles(bucket),
        Query(f"{threshold('warning')} * {timeout()}", "warning"),
        unit=style.SECONDS,
        colours=style.PERCENTILES,
        logarithmic=True,
    )


def _connect() -> model.Panel:
    bucket = pod("river_probe_connect_seconds_bucket")
    return plot(
        "New connection",
        "TCP, TLS, login and a first query through River's connection endpoint (logarithmic scale).",
        *_percentiles(bucket),
        Query(f"{threshold('warning')} * {timeout()}", "warning"),
        unit=style.SECONDS,
        colours=style.PERCENTILES,
        logarithmic=True,
    )


def _phases() -> model.Panel:
    return plot(
        "New connection by phase",
        "The slowest of the last 60 s in the slowest pod. A proxy may accept TCP at once and delay what follows.",
        Query(worst(pod("river_probe_phase_seconds"), "phase"), "{{phase}}"),
        unit=style.SECONDS,
        stack=True,
        colours=dict(zip(("tcp", "tls", "login", "query"), style.SERIES, strict=False)),
    )


def _failures() -> model.Panel:
    failed = f"increase({pod('river_probe_failures_total')}[$__rate_interval])"
    return plot(
        "Failed probes",
        "By reason, in the pod with most.",
        Query(worst(failed, "reason"), "{{reason}}"),
        unit=style.COUNT,
        reach=1,
        bars=True,
        stack=True,
    )
