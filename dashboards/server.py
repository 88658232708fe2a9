"""Panels about the server: storage, replication, connections."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.panels import plot
from dashboards.queries import Query, rate, ratio, server, worst


def wal() -> model.Panel:
    """Make the panel *WAL and temporary files*."""
    return plot(
        "WAL and temporary files",
        "WAL bytes of every database of the server, and bytes in temporary files of this one: sorts or hashes that did "
        "not fit in work_mem.",
        Query(worst(rate(server("river_postgres_wal_bytes_total"))), "WAL"),
        Query(worst(rate(server("river_postgres_temp_bytes_total"))), "temporary files"),
        unit=style.BYTES_PER_SECOND,
        colours={"WAL": style.SERIES[0], "temporary files": style.SERIES[1]},
    )


def wal_time() -> model.Panel:
    """Make the panel *Time in WAL and checkpoints*."""
    return plot(
        "Time in WAL and checkpoints",
        "Seconds per second; WAL needs track_wal_io_timing. A checkpoint spreads its writes; its syncs delay commits.",
        Query(worst(rate(server("river_postgres_wal_write_seconds_total")), "phase"), "WAL {{phase}}"),
        Query(worst(rate(server("river_postgres_checkpoint_seconds_total")), "phase"), "checkpoint {{phase}}"),
        unit=style.SECONDS,
    )


def checkpoints() -> model.Panel:
    """Make the panel *Checkpoints*."""
    begun = f"increase({server('river_postgres_checkpoints_total')}[$__rate_interval])"
    full = f"increase({server('river_postgres_wal_buffers_full_total')}[$__rate_interval])"
    return plot(
        "Checkpoints",
        "By type: requested ones mean that max_wal_size is too small. WAL buffers full: writes of WAL because "
        "wal_buffers had no space.",
        Query(worst(begun, "type"), "{{type}}"),
        Query(worst(full), "WAL buffers full"),
        unit=style.COUNT,
        colours={"timed": style.SERIES[0], "requested": style.SERIES[1], "WAL buffers full": style.SERIES[3]},
        bars=True,
        reach=1,
    )


def io() -> model.Panel:
    """Make the panel *I/O operations*."""
    return plot(
        "I/O operations",
        "Of every backend of the server (PostgreSQL 16 and later).",
        Query(worst(rate(server("river_postgres_io_operations_total")), "operation"), "{{operation}}"),
        unit=style.PER_SECOND,
        empty="needs PostgreSQL 16",
    )


def io_time() -> model.Panel:
    """Make the panel *Time per I/O operation*."""
    return plot(
        "Time per I/O operation",
        "Needs track_io_timing (PostgreSQL 16 and later). An fsync of 100 ms makes a commit of 100 ms.",
        Query(
            worst(
                ratio(
                    rate(server("river_postgres_io_seconds_total")), rate(server("river_postgres_io_operations_total"))
                ),
                "operation",
            ),
            "{{operation}}",
        ),
        unit=style.SECONDS,
        empty="needs track_io_timing and PostgreSQL 16",
    )


def standbys() -> model.Panel:
    """Make the panel *Synchronous standbys*."""
    return plot(
        "Synchronous standbys",
        "With fewer connected than required, every commit waits.",
        Query(worst(server("river_postgres_synchronous_standbys"), "state"), "{{state}}"),
        unit=style.COUNT,
        colours={"required": style.CRITICAL, "connected": style.GOOD},
        reach=1,
    )


def standby_lag() -> model.Panel:
    """Make the panel *Lag of standbys*."""
    return plot(
        "Lag of standbys",
        "Of the slowest standby. With synchronous_commit = on a commit waits for flush.",
        Query(worst(server("river_standby_lag_seconds"), "phase"), "{{phase}}"),
        unit=style.SECONDS,
        empty="no standby",
    )


def connections() -> model.Panel:
    """Make the panel *Connections*."""
    return plot(
        "Connections",
        "Of all clients, and max_connections.",
        Query(worst(server("river_postgres_connections")), "connections"),
        Query(worst(server("river_postgres_max_connections")), "max"),
        unit=style.COUNT,
        colours={"connections": style.SERIES[0], "max": style.CRITICAL},
    )


def trouble() -> model.Panel:
    """Make the panel *Temporary files and deadlocks*."""
    files = f"increase({server('river_postgres_temp_files_total')}[$__rate_interval])"
    deadlocks = f"increase({server('river_postgres_deadlocks_total')}[$__rate_interval])"
    return plot(
        "Temporary files and deadlocks",
        "Of the whole database.",
        Query(worst(files), "temporary files"),
        Query(worst(deadlocks), "deadlocks"),
        unit=style.COUNT,
        colours={"temporary files": style.SERIES[1], "deadlocks": style.SERIES[4]},
        bars=True,
        reach=1,
    )
