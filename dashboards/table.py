"""Panels about River's job table: its size, its indexes, its vacuum."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.panels import gauges, plot, rows, states
from dashboards.queries import Query, best, grown, highest, lowest, rate, river, server, total, worst

INDEXES = 6
"""Indexes that are drawn by themselves: more is noise."""


def table_rows() -> model.Panel:
    """Make the panel *Rows*."""
    return plot(
        "Rows",
        "Rows of river_job by PostgreSQL's statistics; dead rows wait for vacuum.",
        Query(total(river("river_table_rows"), "kind"), "{{kind}}"),
        unit=style.COUNT,
        colours={"live": style.SERIES[0], "dead": style.SERIES[4]},
    )


def size() -> model.Panel:
    """Make the panel *Size*."""
    return plot(
        "Size",
        "river_job on disk, by part.",
        Query(total(river("river_table_size_bytes"), "part"), "{{part}}"),
        unit=style.BYTES,
        stack=True,
        colours=dict(zip(("heap", "indexes", "toast"), style.SERIES, strict=False)),
    )


def per_row() -> model.Panel:
    """Make the panel *Size per live row*."""
    return plot(
        "Size per live row",
        "Steady in a healthy table; a rise over days means bloat.",
        Query(worst(river("river_table_bytes_per_row"), "schema"), "{{schema}}"),
        unit=style.BYTES,
    )


def scans() -> model.Panel:
    """Make the panel *Rows read*."""
    return plot(
        "Rows read",
        "By type of scan (logarithmic scale). Sequential scans of a large river_job mean a bad plan or a report.",
        Query(total(rate(river("river_table_rows_read_total")), "type"), "{{type}} rows"),
        Query(total(rate(river("river_table_scans_total")), "type"), "{{type}} scans"),
        unit=style.PER_SECOND,
        colours={
            "index rows": style.SERIES[0],
            "sequential rows": style.SERIES[4],
            "index scans": style.SERIES[2],
            "sequential scans": style.SERIES[1],
        },
        logarithmic=True,
        empty="nothing was read",
    )


def updates() -> model.Panel:
    """Make the panel *Updates*."""
    return plot(
        "Updates",
        "HOT updates change no index. River's updates are seldom HOT, as they change indexed columns.",
        Query(total(rate(river("river_table_updates_total")), "type"), "{{type}}"),
        unit=style.PER_SECOND,
        stack=True,
        colours={"hot": style.SERIES[2], "other": style.QUIET},
    )


def index_size() -> model.Panel:
    """Make the panel *Index size*."""
    size = river("river_index_size_bytes")
    return plot(
        "Index size",
        "The largest indexes of river_job.",
        Query(highest(total(size, "index"), size, "index", INDEXES), "{{index}}"),
        unit=style.BYTES,
    )


def index_use() -> model.Panel:
    """Make the panel *Index scans*."""
    scans = river("river_index_scans_total")
    return plot(
        "Index scans",
        "The indexes used most. When scans of one stop, a plan has changed.",
        Query(best(total(rate(scans), "index"), grown(scans, "index"), "index", INDEXES), "{{index}}"),
        unit=style.PER_SECOND,
    )


def index_valid() -> model.Panel:
    """Make the panel *Valid indexes*."""
    valid = river("river_index_valid")
    return states(
        "Valid indexes",
        "Whether each of River's indexes exists and is valid. Without the index for fetching or for the state, "
        "statements read the whole table.",
        Query(lowest(f"min by (index) ({valid})", valid, "index", style.SERIES_LIMIT), "{{index}}"),
        words={"1": ("valid", "good"), "0": ("MISSING", "critical")},
    )


def overdue() -> model.Panel:
    """Make the panel *Dead rows over the autovacuum threshold*."""
    return plot(
        "Dead rows over the autovacuum threshold",
        "At 1 autovacuum starts; the bars show when one was running.",
        Query(worst(river("river_table_vacuum_overdue_ratio"), "schema"), "{{schema}}"),
        Query(f"{worst(river('river_table_vacuum_running'))} > 0", "vacuum running"),
        unit=style.COUNT,
        colours={"vacuum running": style.QUIET},
    )


def autovacuum() -> model.Panel:
    """Make the panel *Autovacuum workers*."""
    return plot(
        "Autovacuum workers",
        "Running, and their limit. When all are busy, River's table waits.",
        Query(worst(server("river_autovacuum_workers"), "state"), "{{state}}"),
        unit=style.COUNT,
        colours={"running": style.SERIES[0], "max": style.CRITICAL},
    )


def held_back() -> model.Panel:
    """Make the panel *Holders of the oldest snapshot*."""
    return gauges(
        "Holders of the oldest snapshot",
        "How long each kind of holder has kept vacuum from removing dead rows.",
        Query(worst(server("river_vacuum_held_back_seconds"), "holder"), "{{holder}}", "instant"),
        style.SECONDS,
        steps={0: "good", 900: "warning", 3600: "critical"},
        empty="none",
    )


def held_back_age() -> model.Panel:
    """Make the panel *Transactions since the oldest snapshot*."""
    return plot(
        "Transactions since the oldest snapshot",
        "Vacuum cannot remove rows that died since.",
        Query(worst(server("river_vacuum_held_back_transactions"), "holder"), "{{holder}}"),
        unit=style.COUNT,
        empty="vacuum is not held back",
    )


def last_vacuum() -> model.Panel:
    """Make the panel *Last vacuum and analyze*."""
    last = worst(river("river_table_last_vacuum_timestamp_seconds"), "schema", "type")
    return rows(
        "Last vacuum and analyze",
        "Time since, by hand or by autovacuum.",
        Query(f"time() - {last}"),
        {"schema": "Schema", "type": "What", "Value": "Ago"},
        unit=style.SECONDS,
        empty="none since the statistics were reset",
    )
