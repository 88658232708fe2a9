"""The kinds of panels, each with the house's defaults; what a dashboard's module says is what differs.

Every option that Grafana 13's schema asks for is set, so that no default of Grafana's changes a picture.
"""

from collections.abc import Mapping
from dataclasses import replace

from grafana_foundation_sdk.models import bargauge, common, heatmap, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from dashboards import fields, style
from dashboards.queries import Query


def plot(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    colours: Mapping[str, str] | None = None,
    stack: bool = False,
    bars: bool = False,
    empty: str = style.NO_DATA,
    legend: bool = True,
    table_legend: bool = False,
    maximum: float | None = None,
    reach: float | None = None,
    logarithmic: bool = False,
) -> model.Panel:
    """Lines over time, stacked areas, or bars; series named as in `style.LINES`, or `max`, are dashed lines.

    Args:
        maximum: where the axis ends.
        reach: what the axis reaches at least, so that little does not look like much.
    """
    custom = timeseries.FieldConfig(
        draw_style=common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE,
        line_interpolation=common.LineInterpolation.STEP_AFTER if stack else common.LineInterpolation.LINEAR,
        line_width=1 if stack or bars else 2,
        fill_opacity=75 if stack or bars else 0,
        gradient_mode=common.GraphGradientMode.NONE,
        show_points=common.VisibilityMode.AUTO,
        span_nulls=False,
        stacking=common.StackingConfig(
            mode=common.StackingMode.NORMAL if stack else common.StackingMode.NONE, group="A"
        ),
        scale_distribution=fields.log() if logarithmic else None,
        axis_soft_min=None if logarithmic else 0,
        axis_soft_max=reach,
        axis_placement=common.AxisPlacement.AUTO,
    )
    if logarithmic:  # which has no 0: a gap, and no plunge
        queries = tuple(replace(query, expr=f"({query.expr}) > 0") for query in queries)
    panel = fields.blank("timeseries", title, description, queries, unit, empty)
    panel.options = timeseries.Options(
        legend=fields.legend(legend, table_legend),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING),
    )
    defaults = fields.defaults_of(panel)
    defaults.custom = custom
    defaults.min_val = None if logarithmic else 0
    defaults.max_val = maximum
    defaults.color = model.FieldColor(mode=model.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    named = dict(colours or {})
    named |= {name: colour for name, colour in style.LINES.items() if any(query.legend == name for query in queries)}
    fields.override_all(panel, [fields.series(name, colour) for name, colour in named.items()])
    return panel


def number(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    empty: str,
    steps: Mapping[float, str] | None = None,
    words: Mapping[str, tuple[str, str]] | None = None,
    names: bool = False,
    trend: bool = False,
    colours: Mapping[str, str] | None = None,
    decimals: float | None = None,
) -> model.Panel:
    """One value of now, large; or the name of the series that there is. Without trouble it has no fill.

    Args:
        steps: severity (of `style.SEVERITIES`) from a value on, for the colour of the fill; good has none.
        words: a text and a severity by value, in place of the number.
        names: show the series' name and not its value.
        trend: a line of its past behind it.
        colours: the colour of a series by name.
    """
    asked = [query if trend else replace(query, form="instant") for query in queries]
    panel = fields.blank("stat", title, description, asked, unit, empty)
    coloured = bool(steps or words or colours)
    ground = common.BigValueColorMode.BACKGROUND_SOLID if coloured else common.BigValueColorMode.NONE
    panel.options = stat.Options(
        graph_mode=common.BigValueGraphMode.AREA if trend else common.BigValueGraphMode.NONE,
        color_mode=ground,
        justify_mode=common.BigValueJustifyMode.CENTER,
        text_mode=common.BigValueTextMode.NAME if names else common.BigValueTextMode.VALUE,
        orientation=common.VizOrientation.AUTO,
        reduce_options=fields.last(),
        wide_layout=True,
        show_percent_change=False,
        percent_change_color_mode=common.PercentChangeColorMode.STANDARD,
    )
    defaults = fields.defaults_of(panel)
    defaults.decimals = decimals
    severities = {**style.SEVERITIES, "good": style.NO_FILL}
    defaults.thresholds = fields.thresholds(steps or {}, style.NO_FILL if coloured else style.QUIET, severities)
    defaults.color = model.FieldColor(mode=model.FieldColorModeId.THRESHOLDS)
    defaults.mappings = fields.words(words or {}, severities)
    fields.override_all(panel, [fields.colour(name, colour) for name, colour in (colours or {}).items()])
    return panel


def gauges(
    title: str,
    description: str,
    query: Query,
    unit: str,
    *,
    empty: str = style.NO_DATA,
    steps: Mapping[float, str] | None = None,
    colours: Mapping[str, str] | None = None,
    maximum: float | None = None,
) -> model.Panel:
    """Compare values of now as bars; `steps` as for `number`."""
    panel = fields.blank("bargauge", title, description, [query], unit, empty)
    panel.options = bargauge.Options(
        display_mode=common.BarGaugeDisplayMode.BASIC,
        value_mode=common.BarGaugeValueMode.TEXT,
        name_placement=common.BarGaugeNamePlacement.LEFT,
        sizing=common.BarGaugeSizing.AUTO,
        show_unfilled=True,
        min_viz_width=8,
        min_viz_height=10,
        max_viz_height=28,
        orientation=common.VizOrientation.HORIZONTAL,
        reduce_options=fields.last(),
        legend=fields.legend(False, False),
    )
    defaults = fields.defaults_of(panel)
    defaults.min_val, defaults.max_val = 0, maximum
    defaults.thresholds = fields.thresholds(steps or {}, style.GOOD, style.SEVERITIES)
    defaults.color = model.FieldColor(mode=model.FieldColorModeId.THRESHOLDS)
    fields.override_all(panel, [fields.colour(name, colour) for name, colour in (colours or {}).items()])
    return panel


def heat(title: str, description: str, query: Query, *, unit: str, empty: str = style.NO_DATA) -> model.Panel:
    """A histogram over time; the query's form is `heatmap`, its series the buckets."""
    panel = fields.blank("heatmap", title, description, [query], unit, empty)
    panel.options = heatmap.Options(
        calculate=False,
        color=heatmap.HeatmapColorOptions(
            mode=heatmap.HeatmapColorMode.SCHEME,
            scheme="Viridis",  # even in grey and for the colour-blind
            fill=style.GOOD,
            scale=heatmap.HeatmapColorScale.EXPONENTIAL,
            exponent=0.5,
            steps=64,
            reverse=False,
        ),
        rows_frame=heatmap.RowsHeatmapOptions(layout=common.HeatmapCellLayout.AUTO),
        y_axis=heatmap.YAxisConfig(axis_placement=common.AxisPlacement.LEFT, unit=unit, reverse=False),
        cell_values=heatmap.CellValues(unit=style.PER_SECOND),
        cell_gap=0,
        filter_values=heatmap.FilterValueRange(le=1e-9),
        show_value=common.VisibilityMode.NEVER,
        legend=heatmap.HeatmapLegend(show=True),
        tooltip=heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, y_histogram=False),
        exemplars=heatmap.ExemplarConfig(color=style.QUIET),
    )
    fields.defaults_of(panel).custom = heatmap.FieldConfig(
        scale_distribution=common.ScaleDistributionConfig(type_val=common.ScaleDistribution.LINEAR)
    )
    return panel


def states(
    title: str,
    description: str,
    *queries: Query,
    words: Mapping[str, tuple[str, str]] | None = None,
    colours: Mapping[str, str] | None = None,
    empty: str = style.NO_DATA,
) -> model.Panel:
    """States over time, a row for each series: by the words for its values, or a row's own colour while it has one."""
    panel = fields.blank("state-timeline", title, description, queries, style.COUNT, empty)
    panel.options = statetimeline.Options(
        show_value=common.VisibilityMode.AUTO if words else common.VisibilityMode.NEVER,
        row_height=0.8,
        merge_values=True,
        align_value=common.TimelineValueAlignment.LEFT,
        legend=fields.legend(False, False),
        tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.SINGLE, sort=common.SortOrder.NONE),
    )
    defaults = fields.defaults_of(panel)
    defaults.custom = statetimeline.FieldConfig(line_width=0, fill_opacity=85)
    defaults.mappings = fields.words(words or {}, style.SEVERITIES)
    defaults.thresholds = fields.thresholds({}, style.GOOD, style.SEVERITIES)
    defaults.color = model.FieldColor(mode=model.FieldColorModeId.THRESHOLDS)
    fields.override_all(panel, [fields.colour(name, colour) for name, colour in (colours or {}).items()])
    return panel


def rows(
    title: str,
    description: str,
    query: Query,
    columns: Mapping[str, str],
    *,
    unit: str,
    empty: str,
    words: Mapping[str, tuple[str, str]] | None = None,
    link: tuple[str, str, str] | None = None,
) -> model.Panel:
    """A table of now: the query's labels and its value, in the order and by the names of `columns` (label: heading).

    Args:
        words: as for `number`.
        link: a heading, and the title and URL that its cells lead to.
    """
    panel = fields.blank("table", title, description, [replace(query, form="table")], unit, empty)
    panel.options = table.Options(
        frame_index=0,
        show_header=True,
        cell_height=common.TableCellHeight.SM,
        sort_by=[common.TableSortByFieldState(display_name=list(columns.values())[-1], desc=words is None)],
    )
    panel.options.footer = None  # Grafana 13 has it no more
    fields.defaults_of(panel).custom = common.TableFieldOptions(
        align=common.FieldTextAlignment.AUTO,
        inspect=False,
        cell_options=common.TableColorTextCellOptions() if words else common.TableAutoCellOptions(),
    )
    fields.defaults_of(panel).mappings = fields.words(words or {}, style.SEVERITIES)
    fields.override_all(panel, [fields.link_by(*link)] if link else [])
    panel.transformations = [
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {
                    "Time": True,
                    "namespace": "namespace" not in columns,
                    "Value": "Value" not in columns,
                },
                "indexByName": {name: index for index, name in enumerate(columns)},
                "renameByName": dict(columns),
            },
        )
    ]
    return panel
