"""What surrounds the panels: variables, annotations, links between dashboards, and the grid."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.fields import DATASOURCE
from dashboards.queries import PLACE, RECORDED_EVERY, alerts, river, server, worst

GRID = 24
"""Columns of Grafana's grid."""

SCREEN = 21
"""Rows of the grid that a browser shows at 1920 by 1080 without scrolling, below Grafana's own bars."""

POINTS = 30
"""Points that are asked for each column of a panel's width: one for less than three pixels, at a third of the cost."""

RATE_POINTS = 240
"""Points of every panel that draws a rate, whatever its width: Grafana makes the rate's window of the step between two
points, and one dashboard has one window.
"""

RECORDED_POINTS = 96
"""The same on a dashboard with panels of what the group `river-dashboards` recorded: there is no more each 2 min."""

SCHEMA_VERSION = 39
"""Of Grafana 11.0; what is newer migrates it when it loads it."""

UIDS = {
    "completer": "river-completer",
    "pool": "river-pool",
    "database": "river-database",
    "queues": "river-queues",
    "exporter": "river-exporter",
}
"""A dashboard's uid by its module. Alerts and links rely on them."""

Variable = Literal["schema", "queue", "instance"]


@dataclass(frozen=True)
class Column:
    """Panels on top of one another, with their heights."""

    panels: tuple[tuple[int, model.Panel], ...]


@dataclass(frozen=True)
class Line:
    """Panels side by side, with their widths; `title` starts a section, which `collapsed` closes."""

    height: int
    cells: tuple[tuple[int, model.Panel | Column], ...]
    title: str = ""
    collapsed: bool = False


def line(height: int, *cells: tuple[int, model.Panel | Column], title: str = "", collapsed: bool = False) -> Line:
    """Put panels side by side: (width, panel) each, 24 wide in all."""
    if sum(width for width, _ in cells) != GRID:
        raise ValueError(f"a line is {GRID} wide, not {sum(width for width, _ in cells)}")
    return Line(height, cells, title, collapsed)


def column(*panels: tuple[int, model.Panel]) -> Column:
    """Put panels on top of one another: (height, panel) each."""
    return Column(panels)


def dashboard(
    name: str, title: str, description: str, lines: Sequence[Line], *, variables: Sequence[Variable], window: str
) -> model.Dashboard:
    """Make a dashboard of lines of panels; `name` is its module's, `window` how far back it looks at first."""
    return model.Dashboard(
        uid=UIDS[name],
        title=title,
        description=description,
        tags=["river"],
        editable=False,
        graph_tooltip=model.DashboardCursorSync.CROSSHAIR,
        time=model.DashboardDashboardTime(from_val=f"now-{window}", to="now"),
        timepicker=model.TimePickerConfig(hidden=False, refresh_intervals=["5s", "10s", "30s", "1m", "5m", "15m"]),
        refresh="10s",
        timezone="browser",
        week_start="",
        fiscal_year_start_month=0,
        schema_version=SCHEMA_VERSION,
        version=1,
        panels=_one_rate_window(_place(lines)),
        templating=model.DashboardDashboardTemplating(list_val=_variables(variables)),
        annotations=model.AnnotationContainer(list_val=_annotations()),
        links=[
            model.DashboardLink(
                title="River",
                type_val=model.DashboardLinkType.DASHBOARDS,
                icon="external link",
                tooltip="The other dashboards, with this window and these variables",
                tags=["river"],
                as_dropdown=False,
                include_vars=True,
                keep_time=True,
            )
        ],
    )


def link(panel: model.Panel, name: str, title: str) -> model.Panel:
    """Have a click on a value lead to another dashboard, with the window and the variables."""
    if panel.field_config is None or panel.field_config.defaults is None:
        raise TypeError("a panel of another module")
    panel.field_config.defaults.links = [
        *(panel.field_config.defaults.links or []),
        _DataLink(title=title, url=f"/d/{UIDS[name]}?${{__url_time_range}}&${{__all_variables}}"),
    ]
    return panel


class _DataLink(model.DashboardLink):
    """A link from a value: Grafana knows its title, its address and whether it opens a tab."""

    def to_json(self) -> dict[str, object]:
        """Only what a data link has."""
        return {"title": self.title, "url": self.url, "targetBlank": False}


def _place(lines: Sequence[Line]) -> list[model.Panel | model.RowPanel]:
    """Give every panel its place; those of a collapsed section are kept in its row, and open below it."""
    placed: list[model.Panel | model.RowPanel] = []
    inside: list[model.Panel] | None = None
    y, number, opened = 0, 0, 0
    for each in lines:
        if each.title:
            number += 1
            inside = [] if each.collapsed else None
            position = model.GridPos(h=1, w=GRID, x=0, y=y)
            row = model.RowPanel(
                title=each.title, grid_pos=position, panels=[], collapsed=each.collapsed, id_val=number
            )
            placed.append(row)
            y += 1
            opened = y
            if inside is not None:
                row.panels = inside
        for panel in _side_by_side(each, y if inside is None else opened):
            number += 1
            panel.id_val = number
            (placed if inside is None else inside).append(panel)
        opened += each.height
        y += each.height if inside is None else 0
    return placed


def _side_by_side(each: Line, y: int) -> Iterator[model.Panel]:
    x = 0
    for width, cell in each.cells:
        stacked = cell.panels if isinstance(cell, Column) else ((each.height, cell),)
        if sum(height for height, _ in stacked) != each.height:
            raise ValueError(f"a column of a line of height {each.height} has another height")
        below = y
        for height, panel in stacked:
            panel.grid_pos = model.GridPos(h=height, w=width, x=x, y=below)
            panel.max_data_points = panel.max_data_points or POINTS * width
            yield panel
            below += height
        x += width


def _one_rate_window(placed: list[model.Panel | model.RowPanel]) -> list[model.Panel | model.RowPanel]:
    """Let all panels that draw a rate have the same step, and so the same `$__rate_interval`."""
    panels = [panel for each in placed for panel in (each.panels if isinstance(each, model.RowPanel) else [each])]
    rates = [panel for panel in panels if "$__rate_interval" in str([vars(each) for each in panel.targets or []])]
    recorded = any(panel.interval for panel in panels)
    for panel in panels:
        if panel in rates or panel.interval:
            panel.interval = RECORDED_EVERY if recorded else None
            panel.max_data_points = RECORDED_POINTS if recorded else RATE_POINTS
    return placed


def _variables(names: Sequence[Variable]) -> list[model.VariableModel]:
    schemas = river("river_jobs").replace(',schema=~"$schema"', "")
    queues = river("river_jobs")
    asked = {
        "cluster": (
            "Cluster",
            "label_values(river_exporter_build_info, cluster)",
            "Kubernetes cluster, where one Prometheus has several; hidden unless it is shown in the settings",
        ),
        "namespace": (
            "Namespace",
            'label_values(river_exporter_build_info{cluster=~"$cluster"}, namespace)',
            "Kubernetes namespace",
        ),
        "job": (
            "Job",
            f"label_values(river_exporter_build_info{{{PLACE}}}, job)",
            "Scrape job of the exporters in Prometheus",
        ),
        "schema": ("Schema", f"label_values({schemas}, schema)", "PostgreSQL schema that River's tables are in"),
        "queue": ("Queue", f"label_values({queues}, queue)", "River's queues"),
        "instance": (
            "Instance",
            f"label_values({server('river_exporter_build_info')}, instance)",
            "Exporters, one beside each River pod",
        ),
    }
    return [
        _Variable(
            type_val=model.VariableType.DATASOURCE,
            name="datasource",
            label="Data source",
            description="The Prometheus that scrapes the exporters",
            query="prometheus",
            regex="",
            refresh=model.VariableRefresh.ON_DASHBOARD_LOAD,
            hide=model.VariableHide.DONT_HIDE,
            current=model.VariableOption(selected=False, text="default", value="default"),
        ),
        *(_asked(name, *asked[name]) for name in ("cluster", "namespace", "job", *names)),
    ]


class _Variable(model.VariableModel):
    """A variable without the fields of interval variables, which the library gives to every one."""

    def to_json(self) -> dict[str, object]:
        """All but those."""
        return {key: value for key, value in super().to_json().items() if not key.startswith("auto")}


def _asked(name: str, label: str, query: str, description: str) -> model.VariableModel:
    """A variable whose values Prometheus knows; All also matches a label that may be missing."""
    return _Variable(
        type_val=model.VariableType.QUERY,
        name=name,
        label=label,
        description=description,
        datasource=DATASOURCE,
        query={"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        regex="",
        refresh=model.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=model.VariableSort.NATURAL_ASC,
        hide=model.VariableHide.HIDE_VARIABLE if name == "cluster" else model.VariableHide.DONT_HIDE,
        multi=True,
        include_all=True,
        all_value=".+" if name in ("job", "instance") else ".*",
        current=model.VariableOption(selected=True, text=["All"], value=["$__all"]),
    )


class _Annotation(model.AnnotationQuery):
    """An annotation from Prometheus, with the fields of that data source that the general model leaves out."""

    def __init__(self, name: str, colour: str, expr: str, title: str, *, moments: bool, tags: str = "") -> None:
        super().__init__(name=name, datasource=DATASOURCE, enable=True, hide=False, icon_color=colour, expr=expr)
        self._more = {"titleFormat": title, "tagKeys": tags, "step": "15s", "useValueForTime": moments}

    def to_json(self) -> dict[str, object]:
        """The general fields and Prometheus' own."""
        return {**super().to_json(), **self._more}


def _annotations() -> list[model.AnnotationQuery]:
    """What happened; of `moments` the value is the time in milliseconds, else the time is when there is a value."""
    elected = server("river_leader_elected_timestamp_seconds")
    started = server("river_postgres_start_timestamp_seconds")
    version = server("river_exporter_build_info")
    deployed = server("process_start_time_seconds")
    started_as = f"{deployed} * on (namespace, job, instance) group_left (version) {version}"
    return [
        _Annotation(
            "Alerts firing",
            style.CRITICAL,
            worst(alerts("firing"), "alertname", "severity"),
            "{{alertname}} ({{severity}})",
            moments=False,
            tags="severity",
        ),
        _Annotation(
            "River leader change",
            style.CAUSES["storage"],
            f"{worst(elected, 'schema')} * 1000",
            "River elected a leader in schema {{schema}}",
            moments=True,
        ),
        _Annotation(
            "PostgreSQL restart",
            style.CAUSES["lock"],
            f"{worst(started, 'namespace')} * 1000",
            "PostgreSQL started",
            moments=True,
        ),
        _Annotation(
            "Deploy",
            style.GOOD,
            f"{worst(started_as, 'instance', 'version')} * 1000",
            "{{instance}} started, river-exporter {{version}}",
            moments=True,
        ),
        _Annotation(
            "Configuration",
            style.QUIET,
            f"{worst(server('river_exporter_config_last_reload_success_timestamp_seconds'), 'instance')} * 1000",
            "{{instance}} loaded its configuration",
            moments=True,
        ),
    ]
