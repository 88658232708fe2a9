"""The exporter about itself: can it see, is it on time, and what does it cost the database it watches."""

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
        "Whether the exporters can be believed, and what they cost.",
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
            "Of the exporters that Prometheus scrapes, those whose last contact with the database worked.",
            Query(f"sum({worst(pod('river_up'), 'namespace', 'job', 'instance')})", "up"),
            unit=style.COUNT,
            empty="none",
            steps={0: "critical", 1: "good"},
            decimals=0,
        ),
        number(
            "Exporters that answer a scrape",
            "Of those that Prometheus knows.",
            Query(f"avg({pod('up')})", "answer"),
            unit=style.RATIO,
            empty="none is known",
            steps={0: "critical", 1: "good"},
            decimals=0,
        ),
        number(
            "Elected exporters",
            "One for each schema is right: it runs what only one should.",
            Query(f"min(sum by (namespace, schema) ({river('river_exporter_is_leader')}))", "elected"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            steps={0: "critical", 1: "good", 2: "warning"},
            decimals=0,
        ),
        number(
            "Capabilities missing",
            "What the role or the server doesn't give; the table says what, and the exporter's log the SQL that "
            "mends it.",
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
            "Busy in the database",
            "Seconds of the exporters' own statements per second, of all exporters together, as they measure it.",
            Query(f"sum({rate(pod('river_exporter_database_seconds_total'))})", "busy"),
            unit=style.RATIO,
            empty=style.NO_DATA,
            trend=True,
            decimals=2,
        ),
        number(
            "Configuration",
            "Whether the last reload worked, on every exporter.",
            Query(f"min({pod('river_exporter_config_last_reload_successful')})", "reload"),
            unit=style.COUNT,
            empty=style.NO_DATA,
            words={"1": ("loaded", "good"), "0": ("REFUSED", "critical")},
        ),
    ]


def _up() -> model.Panel:
    return states(
        "Contact with the database",
        "By exporter, and by the class of the reason where there is none.",
        Query(
            lowest(f"({_REASONED} or on (instance) {worst(UP, 'instance')})", UP, "instance"), "{{instance}} {{reason}}"
        ),
        words={"1": ("up", "good"), "0": ("down", "critical")},
    )


def _role() -> model.Panel:
    return states(
        "The server is",
        "A standby cannot speak for River: what only a primary knows is missing then.",
        Query(worst(pod("river_postgres_in_recovery"), "namespace", "job"), "{{namespace}} {{job}}"),
        words={"0": ("primary", "good"), "1": ("standby", "warning")},
    )


def _leaders() -> model.Panel:
    leader = pod("river_exporter_is_leader", 'schema=~"$schema"')
    return states(
        "Elected",
        "Which exporter gives the database-wide numbers.",
        Query(highest(worst(leader, "instance", "schema"), leader, "instance"), "{{instance}} {{schema}}"),
        words={"1": ("elected", "good"), "0": ("stands by", style.QUIET)},
    )


def _capabilities() -> model.Panel:
    return rows(
        "Capabilities",
        "What the exporters may and can see. A missing one turns off its part only.",
        Query(worst(pod("river_exporter_capability"), "capability")),
        {"capability": "Capability", "Value": "State"},
        unit=style.COUNT,
        words={"1": ("there", "good"), "0": ("missing", "warning")},
        empty=style.NO_DATA,
    )


def _success() -> model.Panel:
    success = pod("river_exporter_collector_success")
    return states(
        "Collectors",
        "Whether each collector's last run worked, on every exporter that runs it.",
        Query(f"min by (collector) ({success})", "{{collector}}"),
        words={"1": ("works", "good"), "0": ("fails", "critical")},
    )


def _slowest(metric: str) -> str:
    """Draw the collectors with the highest peak of the window."""
    return highest(worst(pod(metric), "collector"), pod(metric), "collector", COLLECTORS)


def _durations() -> model.Panel:
    return plot(
        "Duration of a run",
        "The slowest collectors of this window (on a logarithmic scale).",
        Query(_slowest(DURATION), "{{collector}}"),
        unit=style.SECONDS,
        logarithmic=True,
        table_legend=True,
        empty=style.NOT_RECORDED,
    )


def _staleness() -> model.Panel:
    last = pod("river_exporter_collector_last_success_timestamp_seconds")
    return plot(
        "Since the last success",
        "The collectors whose success is longest ago. What a collector gave vanishes after three intervals, so nothing "
        "shown is older.",
        Query(f"time() - ({lowest(worst(last, 'collector'), last, 'collector', COLLECTORS)})", "{{collector}}"),
        unit=style.SECONDS,
    )


def _lateness() -> model.Panel:
    return plot(
        "Start of a run, late by",
        "A run starts late when the one before it on its thread takes long, or when the exporter gets no CPU.",
        Query(_slowest(LATENESS), "{{collector}}"),
        unit=style.SECONDS,
        empty=style.NOT_RECORDED,
    )


def _failures() -> model.Panel:
    most = f"sum by (collector) ({ranked('avg', FAILURES)})"
    failed = f"sum by (collector) (sum_over_time({FAILURES}[$__interval]))"
    return plot(
        "Runs that failed",
        "In each step of the picture, by collector, of those that failed most; the log has the reason.",
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
        "Of each exporter's statements, as it measures them; 1 % is the most that is right.",
        Query(_by_exporter("river_exporter_database_seconds_total"), "{{instance}}"),
        unit=style.RATIO,
    )


def _memory() -> model.Panel:
    memory = pod("process_resident_memory_bytes")
    return plot(
        "Memory",
        "Resident, of the exporters that have most.",
        Query(highest(worst(memory, "instance"), memory, "instance"), "{{instance}}"),
        unit=style.BYTES,
    )


def _cpu() -> model.Panel:
    return plot(
        "CPU",
        "Share of one core, of the exporters that use most.",
        Query(_by_exporter("process_cpu_seconds_total"), "{{instance}}"),
        unit=style.RATIO,
    )


def _scrape() -> model.Panel:
    return plot(
        "Scrape",
        "How long Prometheus' scrapes take, of the slowest exporter and of all on average.",
        Query(worst(pod("scrape_duration_seconds")), "slowest"),
        Query(f"avg({pod('scrape_duration_seconds')})", "mean"),
        unit=style.SECONDS,
        colours={"slowest": style.SERIES[1], "mean": style.SERIES[0]},
    )
