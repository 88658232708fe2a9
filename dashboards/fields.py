"""The pieces of a panel: its fields' colours, thresholds, words and legend, and the targets it asks."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.models import common, prometheus
from grafana_foundation_sdk.models import dashboard as model

from dashboards import style
from dashboards.queries import RECORDED_EVERY, Query

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
"""The Prometheus that the variable chooses."""


def blank(kind: str, title: str, description: str, queries: Sequence[Query], unit: str, empty: str) -> model.Panel:
    """Make a panel without options: what all kinds have in common.

    Between two points of what a rule recorded there is at least one recording, so that each of them has a value.
    """
    return model.Panel(
        type_val=kind,
        title=title,
        description=description,
        datasource=DATASOURCE,
        interval=RECORDED_EVERY if any(query.recorded_seldom for query in queries) else None,
        targets=[_target(query, chr(ord("A") + index)) for index, query in enumerate(queries)],
        field_config=model.FieldConfigSource(defaults=model.FieldConfig(unit=unit, no_value=empty), overrides=[]),
    )


def _target(query: Query, ref: str) -> prometheus.Dataquery:
    ranged = query.form in ("range", "heatmap")
    return prometheus.Dataquery(
        ref_id=ref,
        expr=query.expr,
        legend_format=query.legend or ("{{le}}" if query.form == "heatmap" else "__auto"),
        range_val=ranged,
        instant=not ranged,
        format_val={
            "table": prometheus.PromQueryFormat.TABLE,
            "heatmap": prometheus.PromQueryFormat.HEATMAP,
        }.get(query.form, prometheus.PromQueryFormat.TIME_SERIES),
        editor_mode=prometheus.QueryEditorMode.CODE,
        datasource=DATASOURCE,
    )


def defaults_of(panel: model.Panel) -> model.FieldConfig:
    """Return what all fields of a panel have; only for panels that `blank` made."""
    if panel.field_config is None or panel.field_config.defaults is None:
        raise TypeError("a panel of another module")
    return panel.field_config.defaults


def override_all(panel: model.Panel, overrides: list[model.DashboardFieldConfigSourceOverrides]) -> None:
    """Set the overrides of a panel."""
    if panel.field_config is not None:
        panel.field_config.overrides = overrides


def _override(name: str, **properties: object) -> model.DashboardFieldConfigSourceOverrides:
    return model.DashboardFieldConfigSourceOverrides(
        matcher=model.MatcherConfig(id_val="byName", options=name),
        properties=[model.DynamicConfigValue(id_val=key, value=value) for key, value in properties.items()],
    )


def link_by(name: str, title: str, url: str) -> model.DashboardFieldConfigSourceOverrides:
    """Have the cells of a column lead somewhere; `${__value.raw}` in the URL is the cell's text."""
    return _override(name, links=[{"title": title, "url": url, "targetBlank": True}])


def colour(name: str, tint: str) -> model.DashboardFieldConfigSourceOverrides:
    """Give the series of a name its colour."""
    return _override(name, color=model.FieldColor(mode=model.FieldColorModeId.FIXED, fixed_color=tint))


def series(name: str, tint: str) -> model.DashboardFieldConfigSourceOverrides:
    """Give the series of a name its colour; a threshold or a maximum is a dashed line, whatever the others are."""
    override = colour(name, tint)
    if name in style.LINES or name == "max":
        dashes = {
            "custom.lineStyle": common.LineStyle(fill="dash", dash=[8, 6]),
            "custom.lineWidth": 1.5,
            "custom.fillOpacity": 0,
            "custom.stacking": common.StackingConfig(mode=common.StackingMode.NONE, group=name),
            "custom.drawStyle": common.GraphDrawStyle.LINE,
        }
        for key, value in dashes.items():
            override.properties.append(model.DynamicConfigValue(id_val=key, value=value))
    return override


def thresholds(steps: Mapping[float, str], base: str, severities: Mapping[str, str]) -> model.ThresholdsConfig:
    """Colour values from a step on, by the colours of severities; below the first, `base`."""
    return model.ThresholdsConfig(
        mode=model.ThresholdsMode.ABSOLUTE,
        steps=[
            model.Threshold(value=None, color=base),
            *(model.Threshold(value=value, color=severities[name]) for value, name in steps.items()),
        ],
    )


def words(texts: Mapping[str, tuple[str, str]], severities: Mapping[str, str]) -> list[model.ValueMapping]:
    """Show a text and a colour in place of values."""
    if not texts:
        return []
    results = {
        value: model.ValueMappingResult(text=text, color=severities.get(severity, severity), index=index)
        for index, (value, (text, severity)) in enumerate(texts.items())
    }
    return [model.ValueMap(options=results)]


def legend(show: bool, as_table: bool) -> common.VizLegendOptions:
    """A list below, or a table at the right with the highest and the last value."""
    return common.VizLegendOptions(
        show_legend=show,
        display_mode=common.LegendDisplayMode.TABLE if as_table else common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.RIGHT if as_table else common.LegendPlacement.BOTTOM,
        calcs=["max", "lastNotNull"] if as_table else [],
    )


def last() -> common.ReduceDataOptions:
    """The last value there is."""
    return common.ReduceDataOptions(calcs=["lastNotNull"], fields="", values=False)


def log() -> common.ScaleDistributionConfig:
    """A logarithmic scale."""
    return common.ScaleDistributionConfig(type_val=common.ScaleDistribution.LOG, log=10)
