"""The exporter about itself: what it can observe, whether it is on time, and what it costs the database."""

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.frame import column, line
from dashboards.frame import dashboard as frame
from dashboards.panels import number, plot, rows, states
from dashboards.queries import DEFAULT_TOP, Query, best, highest, lowest, pod, ranked, rate, river, worst

COLLECTORS = 8
"""Collectors whose lines are drawn: those that stand out."""

DURATION = "namespace_job_instance_collector:river_exporter_collector_duration_seconds:max"
LATENESS = "namespace_job_instance_collector:river_exporter_collector_lateness_seconds:max"
FAILURES = pod("namespace_job_instance_collector:river_exporter_collector_failures:increase2m")

UP = pod("river_up")
_REASONED = f"{worst(pod('river_database_unreachable'), 'instance', 'reason')} - 1"
"""0 with the reason, where river_up is 0 without one."""


def dashboard() -> model.Dashboard:
    """Exporter."""
    return frame(
        "exporter",
        "River exporter",
        "Whether the exporters work, and what they cost.",
        [
            line(4, *((4, panel) for panel in _answers())),
            line(8, (8, column((5, _up()), (3, _role()))), (8, _leaders()), (8, _capabilities())),
            line(8, (12, _success()), (12, _durations())),
            line(8, (8, _staleness()), (8, _lateness()), (8, _failures()), title="Collectors"),
            line(8, (6, _database_time()), (6, _memory()), (6, _cpu()), (6, _scrape()), title="Cost"),
        ],
        variables=("schema", "instance"),
        window="3h",
    )


def _answers() -> list[model.Panel]:
    return [
        number(
            "Exporters up",
            "Exporters whose last connection to the database worked.",
            Query(f"sum({worst(pod('river_up'), 'namespace', 'job', 'instance')})", "up"),
            unit=style.COUNT,
            empty="none",
            steps={0: "critical", 1: "good"},
            decimals=0,
        ),
        number(
            "Successful scrapes",
            "Share of the exporters whose last scrape worked.",
            Query(f"avg({pod('up')})", "answer"),
            unit=style.RATIO,
            empty="no target",
            steps={0: "critical", 1: "good"},
            decimals=0,
        ),
        number(
            "Elected exporters",
            "One for each schema is right: it runs the database-wide collectors.",
            Query(f"min(sum by (namespace, schema) ({river('river_exporter_is_leader')}))", "elected"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            steps={0: "critical", 1: "good", 2: "warning"},
            decimals=0,
        ),
        number(
            "Capabilities missing",
            "Missing permissions or server settings. The table names them, the exporter's log has the SQL that "
            "restores them.",
            Query(
                f"count({worst(pod('river_exporter_capability'), 'namespace', 'capability')} == 0) or vector(0)",
                "missing",
            ),
            unit=style.COUNT,
            empty="none",
            steps={0: "good", 1: "warning"},
            decimals=0,
        ),
        number(
            "Database load of the exporters",
            "Seconds per second of the statements of all exporters, as they measure them.",
            Query(f"sum({rate(pod('river_exporter_database_seconds_total'))})", "busy"),
            unit=style.RATIO,
            empty=style.NO_DATA,
            trend=True,
            decimals=2,
        ),
        number(
            "Configuration",
            "Whether the last reload of the configuration worked, on every exporter.",
            Query(f"min({pod('river_exporter_config_last_reload_successful')})", "reload"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            words={"1": ("loaded", "good"), "0": ("REFUSED", "critical")},
        ),
    ]


def _up() -> model.Panel:
    return states(
        "Connection to the database",
        "By exporter, and by error category while there is none.",
        Query(
            lowest(f"({_REASONED} or on (instance) {worst(UP, 'instance')})", UP, "instance"), "{{instance}} {{reason}}"
        ),
        words={"1": ("up", "good"), "0": ("down", "critical")},
    )


def _role() -> model.Panel:
    return states(
        "Role of the server",
        "On a standby, what only a primary knows is missing.",
        Query(worst(pod("river_postgres_in_recovery"), "namespace", "job"), "{{namespace}} {{job}}"),
        words={"0": ("primary", "good"), "1": ("standby", "warning")},
    )


def _leaders() -> model.Panel:
    leader = pod("river_exporter_is_leader", 'schema=~"$schema"')
    return states(
        "Elected exporter over time",
        "The elected exporter reports the database-wide series.",
        Query(highest(worst(leader, "instance", "schema"), leader, "instance"), "{{instance}} {{schema}}"),
        words={"1": ("elected", "good"), "0": ("standby", style.QUIET)},
    )


def _capabilities() -> model.Panel:
    return rows(
        "Capabilities",
        "What the exporters may observe. A missing capability turns off only what needs it.",
        Query(worst(pod("river_exporter_capability"), "capability")),
        {"capability": "Capability", "Value": "State"},
        unit=style.COUNT,
        words={"1": ("available", "good"), "0": ("missing", "warning")},
        empty=style.NO_DATA,
    )


def _success() -> model.Panel:
    success = pod("river_exporter_collector_success")
    return states(
        "Success of collectors",
        "Whether the last run of each collector worked, on every exporter that runs it.",
        Query(f"min by (collector) ({success})", "{{collector}}"),
        words={"1": ("works", "good"), "0": ("fails", "critical")},
    )


def _slowest(metric: str) -> str:
    """Draw the collectors with the highest peak of the window."""
    return highest(worst(pod(metric), "collector"), pod(metric), "collector", COLLECTORS)


def _durations() -> model.Panel:
    return plot(
        "Duration of a run",
        "The slowest collectors of this window (logarithmic scale).",
        Query(_slowest(DURATION), "{{collector}}"),
        unit=style.SECONDS,
        logarithmic=True,
        table_legend=True,
        empty=style.NOT_RECORDED,
    )


def _staleness() -> model.Panel:
    last = pod("river_exporter_collector_last_success_timestamp_seconds")
    return plot(
        "Time since the last success",
        "The collectors with the oldest success. The series of a collector vanish after three intervals without one.",
        Query(f"time() - ({lowest(worst(last, 'collector'), last, 'collector', COLLECTORS)})", "{{collector}}"),
        unit=style.SECONDS,
    )


def _lateness() -> model.Panel:
    return plot(
        "Start delay of runs",
        "A run starts late when the one before it on its thread takes long, or when the exporter gets no CPU.",
        Query(_slowest(LATENESS), "{{collector}}"),
        unit=style.SECONDS,
        empty=style.NOT_RECORDED,
    )


def _failures() -> model.Panel:
    most = f"sum by (collector) ({ranked('avg', FAILURES)})"
    failed = f"sum by (collector) (sum_over_time({FAILURES}[$__interval]))"
    return plot(
        "Failed runs",
        "The collectors that failed most; the exporter's log has the reason.",
        Query(best(failed, most, "collector", COLLECTORS), "{{collector}}"),
        unit=style.COUNT,
        bars=True,
        stack=True,
        reach=1,
        empty=style.NOT_RECORDED,
    )


def _by_exporter(counter: str) -> str:
    """Draw a counter's rate for the exporters that it grew most in."""
    most = f"topk({DEFAULT_TOP}, sum by (instance) (increase({pod(counter)}[$__range:$__interval] @ end())))"
    return f"sum by (instance) ({rate(pod(counter))}) and on (instance) {most}"


def _database_time() -> model.Panel:
    return plot(
        "Time in the database",
        "Of each exporter's statements, as it measures them. Up to 1 % is normal.",
        Query(_by_exporter("river_exporter_database_seconds_total"), "{{instance}}"),
        unit=style.RATIO,
    )


def _memory() -> model.Panel:
    memory = pod("process_resident_memory_bytes")
    return plot(
        "Memory",
        "Resident memory, of the exporters with most.",
        Query(highest(worst(memory, "instance"), memory, "instance"), "{{instance}}"),
        unit=style.BYTES,
    )


def _cpu() -> model.Panel:
    return plot(
        "CPU",
        "Share of one core, of the exporters with most.",
        Query(_by_exporter("process_cpu_seconds_total"), "{{instance}}"),
        unit=style.RATIO,
    )


def _scrape() -> model.Panel:
    return plot(
        "Scrape duration",
        "Of the slowest exporter, and the mean of all.",
        Query(worst(pod("scrape_duration_seconds")), "slowest"),
        Query(f"avg({pod('scrape_duration_seconds')})", "mean"),
        unit=style.SECONDS,
        colours={"slowest": style.SERIES[1], "mean": style.SERIES[0]},
    )
