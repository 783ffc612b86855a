"""The queries of a Grafana dashboard, and the parts of it that Grafana no longer knows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llmmetrics.cli.output.findings import error
from llmmetrics.cli.rules.queries import Document, Placed, Query, UnreadableError
from llmmetrics.cli.rules.variables import UnknownVariableError, substituted, values

REMOVED: Mapping[str, str] = {
    "graph": "timeseries",
    "singlestat": "stat",
    "table-old": "table",
    "grafana-piechart-panel": "piechart",
    "grafana-worldmap-panel": "geomap",
}
"""Types of panels that are gone, and what took their place."""

MOVED: Mapping[str, str] = {
    "format": 'fieldConfig.defaults.unit, as in {"fieldConfig": {"defaults": {"unit": "currencyUSD"}}}',
    "stack": "fieldConfig.defaults.custom.stacking.mode",
    "yaxes": "fieldConfig.defaults.unit, min and max",
    "seriesOverrides": "fieldConfig.overrides",
    "nullPointMode": "fieldConfig.defaults.custom.spanNulls",
}
"""What panels no longer say themselves, and where it is said now."""

_LABEL_VALUES = re.compile(r"\s*label_values\(\s*(?:(.+?)\s*,\s*)?(\w+)\s*\)\s*", re.DOTALL)


def dashboard(content: Any) -> Document:
    """A dashboard, as Grafana exports it or its API answers; or one panel alone."""
    if not isinstance(content, dict):
        raise UnreadableError("is JSON, but no dashboard: a dashboard is an object with `panels`")
    content = content.get("dashboard", content)
    if not isinstance(content, dict) or "elements" in _dict(content.get("spec", content)):
        raise UnreadableError("is a dashboard of Grafana's schema v2: export it as classic JSON")
    if isinstance(content.get("rows"), list):
        version = content.get("schemaVersion", "none")
        raise UnreadableError(
            f"is a dashboard of an old schema (schemaVersion {version}, with `rows`), from before Grafana 5: import it "
            "into a Grafana of today, save it, and check what it exports"
        )
    panels = content.get("panels", [content] if "targets" in content else None)
    if not isinstance(panels, list):
        raise UnreadableError("is JSON, but no dashboard: it has no list of `panels`")
    variables = _dict(content.get("templating")).get("list")
    chosen = dict(values(variables))
    found = list(_panels(panels))
    queries = [
        *(query for each in found for query in _of_panel(each, chosen)),
        *_of_variables(variables, chosen),
        *_of_annotations(content, chosen),
    ]
    return Document(queries, [each for panel in found for each in _gone(panel)])


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _panels(panels: Any) -> Iterator[dict[str, Any]]:
    """Every panel; rows hold more."""
    for each in panels if isinstance(panels, list) else ():
        if isinstance(each, dict):
            yield each
            yield from _panels(each.get("panels"))


def _title(panel: Mapping[str, Any]) -> str:
    return f"panel {panel.get('title') or panel.get('id') or '(no title)'}"


def _gone(panel: Mapping[str, Any]) -> Iterator[Placed]:
    where, kind = _title(panel), panel.get("type")
    if isinstance(kind, str) and kind in REMOVED:
        yield Placed(where, error(f"panels of type {kind} are removed from Grafana", f'"type": "{REMOVED[kind]}"'))
    for name, place in MOVED.items():
        if name in panel:
            yield Placed(
                where, error(f"`{name}` of a panel is removed from Grafana, and ignored", f"say it in {place}")
            )


def _of_panel(panel: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[Query]:
    defaults = _dict(_dict(panel.get("fieldConfig")).get("defaults"))
    stacking = _dict(_dict(defaults.get("custom")).get("stacking")).get("mode")
    stacked = bool(panel.get("stack")) or stacking in ("normal", "percent") or "piechart" in str(panel.get("type"))
    targets = panel.get("targets")
    for each in targets if isinstance(targets, list) else ():
        if _prometheus(panel, _dict(each)):
            yield from _query(
                Query(
                    _title(panel),
                    "panel",
                    str(each["expr"]),
                    texts={"the legend": str(each.get("legendFormat", ""))},
                    stacked=stacked,
                    unit=str(defaults.get("unit", "")),
                ),
                chosen,
            )


def _prometheus(panel: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    """Whether a target has an expression for Prometheus; Loki's are called the same."""
    source = target.get("datasource") or panel.get("datasource")
    # a name, or a type; nobody knows what a variable stands for, and Prometheus is what is asked for here
    kind = str(_dict(source).get("type", "prometheus") if isinstance(source, dict) else source or "").lower()
    other = "prometheus" not in kind if isinstance(source, dict) else "loki" in kind
    return bool(str(target.get("expr") or "").strip()) and not other


def _query(query: Query, chosen: Mapping[str, str]) -> Iterator[Query]:
    try:
        yield query._replace(expression=substituted(query.expression, chosen), written=query.expression)
    except UnknownVariableError:
        return


def _of_variables(variables: Any, chosen: Mapping[str, str]) -> Iterator[Query]:
    for each in variables if isinstance(variables, list) else ():
        asked = _dict(each).get("query")
        text = _dict(asked).get("query", asked)
        if _dict(each).get("type") != "query" or not isinstance(text, str):
            continue
        if (found := _LABEL_VALUES.fullmatch(text)) and found[1]:
            yield from _query(Query(f"variable {each.get('name')}", "variable", found[1], label=found[2]), chosen)


def _of_annotations(content: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[Query]:
    listed = _dict(content.get("annotations")).get("list")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and _prometheus({}, each):
            yield from _query(Query(f"annotation {each.get('name')}", "panel", str(each["expr"])), chosen)
