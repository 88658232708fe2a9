"""What surrounds the panels: variables, annotations, links between dashboards, and the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.fields import DATASOURCE
from dashboards.queries import river, server, worst

GRID = 24
"""Columns of Grafana's grid."""

SCREEN = 21
"""Rows of the grid that a browser shows at 1920 by 1080 without scrolling, below Grafana's own bars."""

POINTS = 30
"""Points that are asked for each column of a panel's width: one for less than three pixels, at a third of the cost."""

RECORDED_POINTS = 12
"""The same for what a rule recorded: over days each point costs, and there is none more often than each 2 min."""

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
    """Panels side by side, with their widths; `title` starts a section."""

    height: int
    cells: tuple[tuple[int, model.Panel | Column], ...]
    title: str = ""


def line(height: int, *cells: tuple[int, model.Panel | Column], title: str = "") -> Line:
    """Put panels side by side: (width, panel) each, 24 wide in all."""
    if sum(width for width, _ in cells) != GRID:
        raise ValueError(f"a line is {GRID} wide, not {sum(width for width, _ in cells)}")
    return Line(height, cells, title)


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
        editable=True,
        graph_tooltip=model.DashboardCursorSync.CROSSHAIR,
        time=model.DashboardDashboardTime(from_val=f"now-{window}", to="now"),
        timepicker=model.TimePickerConfig(hidden=False, refresh_intervals=["5s", "10s", "30s", "1m", "5m", "15m"]),
        refresh="10s",
        timezone="browser",
        week_start="",
        fiscal_year_start_month=0,
        schema_version=SCHEMA_VERSION,
        version=1,
        panels=_place(lines),
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
    placed: list[model.Panel | model.RowPanel] = []
    y = 0
    for each in lines:
        if each.title:
            position = model.GridPos(h=1, w=GRID, x=0, y=y)
            placed.append(model.RowPanel(title=each.title, grid_pos=position, panels=[], id_val=len(placed) + 1))
            y += 1
        x = 0
        for width, cell in each.cells:
            stacked = cell.panels if isinstance(cell, Column) else ((each.height, cell),)
            if sum(height for height, _ in stacked) != each.height:
                raise ValueError(f"a column of a line of height {each.height} has another height")
            below = y
            for height, panel in stacked:
                panel.grid_pos = model.GridPos(h=height, w=width, x=x, y=below)
                panel.max_data_points = panel.max_data_points or (RECORDED_POINTS if panel.interval else POINTS) * width
                panel.id_val = len(placed) + 1
                placed.append(panel)
                below += height
            x += width
        y += each.height
    return placed


def _variables(names: Sequence[Variable]) -> list[model.VariableModel]:
    schemas = river("river_jobs").replace(',schema=~"$schema"', "")
    queues = river("river_jobs")
    asked = {
        "namespace": ("Namespace", "label_values(river_exporter_build_info, namespace)", "Kubernetes namespace"),
        "job": (
            "Job",
            'label_values(river_exporter_build_info{namespace=~"$namespace"}, job)',
            "Prometheus' scrape job of the exporters",
        ),
        "schema": ("Schema", f"label_values({schemas}, schema)", "PostgreSQL schema that River's tables are in"),
        "queue": ("Queue", f"label_values({queues}, queue)", "River's queues"),
        "instance": (
            "Exporter",
            f"label_values({server('river_exporter_build_info')}, instance)",
            "Exporters, one beside each River pod",
        ),
    }
    return [
        _Variable(
            type_val=model.VariableType.DATASOURCE,
            name="datasource",
            label="Prometheus",
            description="Where the exporters' series are",
            query="prometheus",
            regex="",
            refresh=model.VariableRefresh.ON_DASHBOARD_LOAD,
            hide=model.VariableHide.DONT_HIDE,
            current=model.VariableOption(selected=False, text="default", value="default"),
        ),
        *(_asked(name, *asked[name]) for name in ("namespace", "job", *names)),
    ]


class _Variable(model.VariableModel):
    """A variable without the fields of interval variables, which the library gives to every one."""

    def to_json(self) -> dict[str, object]:
        """All but those."""
        return {key: value for key, value in super().to_json().items() if not key.startswith("auto")}


def _asked(name: str, label: str, query: str, description: str) -> model.VariableModel:
    """A variable whose values Prometheus knows; All also matches a label that isn't there."""
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
        hide=model.VariableHide.DONT_HIDE,
        multi=True,
        include_all=True,
        all_value=".*",
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
    alerts = 'ALERTS{alertname=~"River.*",alertstate="firing",namespace=~"$namespace"}'  # they have no job
    elected = server("river_leader_elected_timestamp_seconds")
    started = server("river_postgres_start_timestamp_seconds")
    version = server("river_exporter_build_info")
    deployed = server("process_start_time_seconds")
    started_as = f"{deployed} * on (namespace, job, instance) group_left (version) {version}"
    return [
        _Annotation(
            "Alerts firing",
            style.CRITICAL,
            worst(alerts, "alertname", "severity", "cause"),
            "{{alertname}} ({{severity}}) {{cause}}",
            moments=False,
            tags="severity,cause",
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
