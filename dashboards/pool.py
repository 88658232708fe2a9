"""Connections: River's pool, PgBouncer and the exporter's own acquires side by side, and the network below them."""

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
        "Whether the completer gets a connection, and what the way to the database costs.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(8, *((8, _connections(source)) for source in SIDES), (8, _acquires()), title="Three sources"),
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
        "The share of each pool that is free, in the pod that has the least. Completions stop at 0, and nothing is "
        "slow "
        "before.",
        Query(f"min by (source) ({pod('river_pool_free_ratio')})", "{{source}}", "instant"),
        style.RATIO,
        steps={0: "critical", 0.1: "warning", 0.3: "good"},
        maximum=1,
        empty="no source tells of a pool",
    )
    workers = number(
        "Connections per worker",
        "The connections River may open over the workers it may run. Below 1, workers alone can take every connection; "
        "River advises to stay above 1.",
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
        "The longest wait for a connection that a pool tells of.",
        Query(worst(pod("river_pool_longest_wait_seconds")), "longest wait"),
        unit=style.SECONDS,
        empty="none waits",
        trend=True,
    )
    waiting = number(
        "Clients waiting",
        "Clients that wait for a connection of PgBouncer's or of a pool's.",
        Query(worst(pod("river_pool_clients_waiting")), "waiting"),
        unit=style.COUNT,
        empty="no source tells",
        steps={0: "good", 1: "warning", 5: "critical"},
        decimals=0,
    )
    used = number(
        "Connections of the server",
        "Sessions of every kind over max_connections.",
        Query(
            ratio(worst(server("river_postgres_connections")), worst(server("river_postgres_max_connections"))), "used"
        ),
        unit=style.RATIO,
        empty=style.NO_DATA,
        steps={0: "good", 0.8: "warning", 0.95: "critical"},
        decimals=0,
    )
    spent = number(
        "Pool's part of the budget",
        "The seconds that the worst attempt of the last 60 s waited for a connection.",
        Query(worst(river("river_completer_budget_seconds", 'cause="pool"')), "pool"),
        unit=style.SECONDS,
        empty="no attempt was seen",
        trend=True,
    )
    return [spent, free, workers, longest, waiting, used]


def _connections(source: str) -> model.Panel:
    title, empty = SIDES[source]
    state = worst(pod("river_pool_connections", source, 'state!="total"'), "state")
    return plot(
        title,
        "Connections by what they do, in the pod that has most of them; the line is the pool's size.",
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
        "To get a connection",
        "The mean, in the slowest pod, by what each source tells: pgxpool of acquires that found none idle, and the "
        "exporter of its own through River's address (on a logarithmic scale).",
        Query(worst(ratio(rate(took), rate(acquires)), "source"), "{{source}}"),
        Query(timeout(), "timeout"),
        unit=style.SECONDS,
        colours=style.SOURCES,
        logarithmic=True,
    )


def _wait() -> model.Panel:
    return plot(
        "Longest wait for a connection",
        "Of waits that go on, in the pod where it is longest; for PgBouncer the oldest client that waits.",
        Query(worst(pod("river_pool_longest_wait_seconds"), "source"), "{{source}}"),
        Query(worst(pod("river_pgbouncer_maxwait_seconds")), "pgbouncer now"),
        Query(timeout(), "timeout"),
        unit=style.SECONDS,
        colours={**style.SOURCES, "pgbouncer now": style.SERIES[9]},
        empty="no source tells",
    )


def _waits() -> model.Panel:
    return plot(
        "Acquires that had to wait",
        "Per second, in the pod that has most. A few are normal; all of them are not.",
        Query(worst(rate(pod("river_pool_acquire_waits_total")), "source"), "{{source}}"),
        unit=style.PER_SECOND,
        colours=style.SOURCES,
        empty="no source tells",
    )


def _workers() -> model.Panel:
    return plot(
        "Workers against connections",
        "Jobs marked running at once (highest of the window), the workers and the connections there may be. "
        "Workers that reach the line can take every connection from the completer (on a logarithmic scale).",
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
        "The exporter's own acquires",
        "How long the exporter takes to get a connection through River's address, over all pods chosen. Through "
        "PgBouncer this tells of River's pool only where database and user are River's.",
        Query(f"sum by (le) ({rate(bucket)})", form="heatmap"),
        unit=style.SECONDS,
    )


def _fullest() -> model.Panel:
    free = pod("river_pool_free_ratio", RIVERS)
    return plot(
        "Free connections in the fullest pods",
        "The ten pods whose pool came closest to empty in this window.",
        Query(lowest(f"min by (instance) ({free})", free, "instance"), "{{instance}}"),
        unit=style.RATIO,
        maximum=1,
        empty="set river.metrics_urls to see River's own pool",
    )


def _waiting() -> model.Panel:
    return plot(
        "Time spent waiting",
        "Seconds per second that River's services wait for a connection, in the pod that has most.",
        Query(worst(rate(pod("river_pool_wait_seconds_total")), "source"), "{{source}}"),
        unit=style.SECONDS,
        colours=style.SOURCES,
        empty="no source tells",
    )


def _canceled() -> model.Panel:
    return plot(
        "Acquires given up",
        "Per second: the context ended before a connection came. Every service of River's counts, the completer too.",
        Query(worst(rate(pod("river_pool_acquires_canceled_total")), "source"), "{{source}}"),
        unit=style.PER_SECOND,
        colours=style.SOURCES,
        bars=True,
        empty="no source tells",
    )


def _roundtrip() -> model.Panel:
    bucket = pod("river_probe_roundtrip_seconds_bucket")
    return plot(
        "Round trip",
        "On a standing connection through River's address. A completion takes one to three (on a logarithmic scale).",
        Query(quantile(0.5, bucket), "half within"),
        Query(quantile(0.95, bucket), "95 of 100 within"),
        Query(f"{threshold('warning')} * {timeout()}", "warning"),
        unit=style.SECONDS,
        colours={"half within": style.SERIES[0], "95 of 100 within": style.SERIES[3]},
        logarithmic=True,
    )


def _connect() -> model.Panel:
    bucket = pod("river_probe_connect_seconds_bucket")
    return plot(
        "A new connection",
        "TCP, TLS, login and a first query through River's address (on a logarithmic scale).",
        Query(quantile(0.5, bucket), "half within"),
        Query(quantile(0.95, bucket), "95 of 100 within"),
        Query(f"{threshold('warning')} * {timeout()}", "warning"),
        unit=style.SECONDS,
        colours={"half within": style.SERIES[0], "95 of 100 within": style.SERIES[3]},
        logarithmic=True,
    )


def _phases() -> model.Panel:
    return plot(
        "Where a new connection's time goes",
        "The slowest of the window in the slowest pod. A proxy may accept TCP at once and delay what follows.",
        Query(worst(pod("river_probe_phase_seconds"), "phase"), "{{phase}}"),
        unit=style.SECONDS,
        stack=True,
        colours=dict(zip(("tcp", "tls", "login", "query"), style.SERIES, strict=False)),
    )


def _failures() -> model.Panel:
    failed = f"increase({pod('river_probe_failures_total')}[$__rate_interval])"
    return plot(
        "Probes without an answer",
        "By reason, in the pod that has most.",
        Query(worst(failed, "reason"), "{{reason}}"),
        unit=style.COUNT,
        reach=1,
        bars=True,
        stack=True,
    )
