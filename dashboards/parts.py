"""The kinds of panels of the dashboard, one function each: how a panel looks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, heatmap, piechart, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus as prom
from grafana_foundation_sdk.models import common as c
from grafana_foundation_sdk.models import dashboard as m
from grafana_foundation_sdk.models import heatmap as h
from grafana_foundation_sdk.models import piechart as p
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

_PAGE = (Path(__file__).parents[1] / "docs/dashboards.md").read_text("utf8")
WORDS = {
    title: (description, page.replace(".md", ".html"))
    for title, description, page in re.findall(r"^\| (.+) \| (.+) \| \[.+\]\((.+)\) \|$", _PAGE, re.MULTILINE)
}
"""Each panel's description, and the page of the documentation about it."""

SOURCE = c.DataSourceRef(type_val="prometheus", uid="${datasource}")

GREEN, ORANGE, RED, GREY, BLUE = "green", "orange", "red", "#8e8e8e", "blue"
Steps = Sequence[tuple[float | None, str]]
PLAIN: Steps = ((None, BLUE),)
ALARM: Steps = ((None, GREEN), (1e-9, RED))
"""Red above 0."""


def query(expression: str, legend: str = "", *, instant: bool = False, heat: bool = False) -> prom.Dataquery:
    """Make a query: its value now, or at each step of the graph."""
    target = prom.Dataquery().expr(expression).datasource(SOURCE)
    target = target.instant() if instant else target.range()
    target = target.format(PromQueryFormat.HEATMAP if heat else PromQueryFormat.TIME_SERIES)
    return target.legend_format(legend) if legend else target


def _panel(kind: Any, title: str, width: int, height: int, unit: str, queries: Sequence[prom.Dataquery]) -> Any:
    """Make a panel with what all kinds have in common."""
    description, page = WORDS[title]
    docs = build.DashboardLink("What it means").type(m.DashboardLinkType.LINK).target_blank(True)
    panel = (
        kind()
        .title(title)
        .description(description)
        # raw: Grafana would escape the variable's slashes
        .links([docs.url(f"${{docs:raw}}/{page}")])
        .datasource(SOURCE)
        .span(width)
        .height(height)
        .unit(unit)
    )
    for each in queries:
        panel = panel.with_target(each)
    return panel


def _steps(steps: Steps) -> build.ThresholdsConfig:
    thresholds = [m.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(m.ThresholdsMode.ABSOLUTE).steps(thresholds)


def _color(mode: m.FieldColorModeId) -> build.FieldColor:
    return build.FieldColor().mode(mode)


# the same backend has the same color in every panel
def _by_name() -> build.FieldColor:
    return _color(m.FieldColorModeId.PALETTE_CLASSIC_BY_NAME)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(c.TooltipDisplayMode.MULTI).sort(c.SortOrder.DESCENDING)


def number(
    title: str,
    width: int,
    unit: str,
    *queries: prom.Dataquery,
    steps: Steps = PLAIN,
    height: int = 4,
    nothing: str = "no data",
    decimals: int | None = None,
    alarm: str = "",
    name: bool = False,
) -> stat.Panel:
    """Make a panel with one number per series and its graph, or with `name` the series' name.

    Without a series it shows `nothing`; the series `alarm` is red if it is not 0.
    """
    panel = (
        _panel(stat.Panel, title, width, height, unit, queries)
        .thresholds(_steps(steps))
        .color_scheme(_color(m.FieldColorModeId.THRESHOLDS))
        .color_mode(c.BigValueColorMode.VALUE)
        .graph_mode(c.BigValueGraphMode.AREA)
        .text_mode(c.BigValueTextMode.NAME if name else c.BigValueTextMode.AUTO)
        .reduce_options(_last())
        .no_value(nothing)
    )
    if alarm:
        panel = panel.override_by_name(alarm, [m.DynamicConfigValue(id_val="thresholds", value=_steps(ALARM).build())])
    return panel if decimals is None else panel.decimals(decimals)


def graph(
    title: str,
    width: int,
    unit: str,
    *queries: prom.Dataquery,
    stacked: bool = False,
    bars: bool = False,
    colors: Mapping[str, str] | None = None,
    steps: Steps = (),
    calcs: Sequence[str] = (),
    nothing: str = "no data",
) -> timeseries.Panel:
    """Make a graph of lines or of stacked bars; `stacked`: the lines are parts of a whole; `steps` draws a limit."""
    stacked = stacked or bars
    calcs = calcs or (("sum",) if bars else ("lastNotNull", "max"))
    panel = (
        _panel(timeseries.Panel, title, width, 8, unit, queries)
        .min(0)
        .color_scheme(_by_name())
        .draw_style(c.GraphDrawStyle.BARS if bars else c.GraphDrawStyle.LINE)
        .line_width(0 if bars else 2)
        .fill_opacity(80 if bars else 30 if stacked else 8)
        .gradient_mode(c.GraphGradientMode.NONE if bars else c.GraphGradientMode.OPACITY)
        .show_points(c.VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(c.StackingMode.NORMAL if stacked else c.StackingMode.NONE))
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(c.LegendDisplayMode.TABLE)
            .placement(c.LegendPlacement.BOTTOM)
            .calcs(list(calcs))
        )
        .tooltip(_tooltip())
        .no_value(nothing)
    )
    if steps:
        dashed = common.GraphThresholdsStyleConfig().mode(c.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(_steps(steps)).thresholds_style(dashed)
    for name, color in (colors or {}).items():
        fixed = m.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})
        panel = panel.override_by_name(name, [fixed])
    return panel


def dashed(panel: timeseries.Panel, pattern: str) -> timeseries.Panel:
    """Draw the lines whose names match this pattern dashed and not filled."""
    style = m.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]})
    empty = m.DynamicConfigValue(id_val="custom.fillOpacity", value=0)
    return panel.override_by_regexp(f"/{pattern}/", [style, empty])


def pie(title: str, width: int, unit: str, target: prom.Dataquery) -> piechart.Panel:
    """Make a pie of the parts of a whole."""
    legend = piechart.PieChartLegendOptions().show_legend(True).display_mode(c.LegendDisplayMode.TABLE)
    values = [p.PieChartLegendValues.VALUE, p.PieChartLegendValues.PERCENT]
    return (
        _panel(piechart.Panel, title, width, 8, unit, [target])
        .pie_type(p.PieChartType.DONUT)
        .color_scheme(_by_name())
        .reduce_options(_last())
        .legend(legend.placement(c.LegendPlacement.BOTTOM).values(values))
        .tooltip(_tooltip())
    )


def heat(title: str, width: int, unit: str, target: prom.Dataquery) -> heatmap.Panel:
    """Make a heatmap: the number of calls by duration, over time."""
    colors = heatmap.HeatmapColorOptions().mode(h.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    return (
        _panel(heatmap.Panel, title, width, 8, "short", [target])
        .calculate(False)
        .color(colors.scale(h.HeatmapColorScale.EXPONENTIAL).exponent(0.5).fill("dark-orange"))
        .y_axis(heatmap.YAxisConfig().unit(unit).axis_placement(c.AxisPlacement.LEFT))
        .cell_gap(1)
        .filter_values(heatmap.FilterValueRange().le(1e-9))
        .tooltip(heatmap.HeatmapTooltip().mode(c.TooltipDisplayMode.SINGLE).y_histogram(True).show_color_scale(True))
        .show_legend()
    )


def states(title: str, width: int, target: prom.Dataquery, named: Mapping[str, tuple[str, str]]) -> statetimeline.Panel:
    """Make a timeline of each series' states."""
    results = {
        value: m.ValueMappingResult(text=text, color=color, index=index)
        for index, (value, (text, color)) in enumerate(named.items())
    }
    return (
        _panel(statetimeline.Panel, title, width, 8, "short", [target])
        .mappings([m.ValueMap(options=results)])
        .color_scheme(_color(m.FieldColorModeId.THRESHOLDS))
        .thresholds(_steps(((None, RED), (1, GREEN))))
        .merge_values(True)
        .show_value(c.VisibilityMode.NEVER)
        .fill_opacity(80)
        .row_height(0.8)
        .legend(common.VizLegendOptions().show_legend(False).display_mode(c.LegendDisplayMode.LIST))
        .tooltip(_tooltip())
    )


def gauges(
    title: str,
    width: int,
    unit: str,
    target: prom.Dataquery,
    *,
    steps: Steps = PLAIN,
    top: float | None = None,
    nothing: str = "no data",
) -> bargauge.Panel:
    """Make a panel with one bar per series."""
    mode = m.FieldColorModeId.THRESHOLDS if len(steps) > 1 else m.FieldColorModeId.PALETTE_CLASSIC_BY_NAME
    panel = (
        _panel(bargauge.Panel, title, width, 8, unit, [target])
        .min(0)
        .thresholds(_steps(steps))
        .color_scheme(_color(mode))
        .orientation(c.VizOrientation.HORIZONTAL)
        .display_mode(c.BarGaugeDisplayMode.GRADIENT)
        .value_mode(c.BarGaugeValueMode.COLOR)
        .show_unfilled(True)
        .reduce_options(_last())
        .no_value(nothing)
    )
    return panel if top is None else panel.max(top)
