"""The queries of a Grafana dashboard, and the parts of it that Grafana has removed."""

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
"""Removed types of panels, and their successors."""

MOVED: Mapping[str, str] = {
    "format": 'fieldConfig.defaults.unit, as in {"fieldConfig": {"defaults": {"unit": "currencyUSD"}}}',
    "stack": "fieldConfig.defaults.custom.stacking.mode",
    "yaxes": "fieldConfig.defaults.unit, min and max",
    "seriesOverrides": "fieldConfig.overrides",
    "nullPointMode": "fieldConfig.defaults.custom.spanNulls",
}
"""Removed keys of panels, and where the setting is now."""

_LABEL_VALUES = re.compile(r"\s*label_values\(\s*(?:(.+?)\s*,\s*)?(\w+)\s*\)\s*", re.DOTALL)


def dashboard(content: Any) -> Document:
    """Read a dashboard, as Grafana exports it or its API returns it; or a single panel."""
    if not isinstance(content, dict):
        raise UnreadableError("is JSON, but not a dashboard: a dashboard is an object with `panels`")
    content = content.get("dashboard", content)
    if not isinstance(content, dict) or "elements" in _dict(content.get("spec", content)):
        raise UnreadableError("is a dashboard of Grafana's schema v2: export it as classic JSON")
    if isinstance(content.get("rows"), list):
        version = content.get("schemaVersion", "none")
        raise UnreadableError(
            f"is a dashboard of an old schema (schemaVersion {version}, with `rows`), from before Grafana 5: import it "
            "into a current Grafana, save it, and check the export"
        )
    panels = content.get("panels", [content] if "targets" in content else None)
    if not isinstance(panels, list):
        raise UnreadableError("is JSON, but not a dashboard: it has no list of `panels`")
    variables = _dict(content.get("templating")).get("list")
    chosen = dict(values(variables))
    all_panels = list(_panels(panels))
    queries = [
        *(query for each in all_panels for query in _of_panel(each, chosen)),
        *_of_variables(variables, chosen),
        *_of_annotations(content, chosen),
    ]
    return Document(queries, [each for panel in all_panels for each in _gone(panel)])


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _panels(panels: Any) -> Iterator[dict[str, Any]]:
    """Walk every panel, and the panels inside rows."""
    for each in panels if isinstance(panels, list) else ():
        if isinstance(each, dict):
            yield each
            yield from _panels(each.get("panels"))


def _title(panel: Mapping[str, Any]) -> str:
    return f"panel {panel.get('title') or panel.get('id') or '(no title)'}"


def _gone(panel: Mapping[str, Any]) -> Iterator[Placed]:
    where, kind = _title(panel), panel.get("type")
    if isinstance(kind, str) and kind in REMOVED:
        yield Placed(where, error(f"Grafana has removed panels of type {kind}", f'"type": "{REMOVED[kind]}"'))
    for name, place in MOVED.items():
        if name in panel:
            yield Placed(where, error(f"Grafana has removed `{name}` of a panel and ignores it", f"use {place}"))


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
    """Return whether a target has an expression for Prometheus; Loki uses the same key."""
    source = target.get("datasource") or panel.get("datasource")
    # a name or a type; a variable is unknown here, and taken for Prometheus
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
        question = _dict(each).get("query")
        text = _dict(question).get("query", question)
        if _dict(each).get("type") != "query" or not isinstance(text, str):
            continue
        if (match := _LABEL_VALUES.fullmatch(text)) and match[1]:
            yield from _query(Query(f"variable {each.get('name')}", "variable", match[1], label=match[2]), chosen)


def _of_annotations(content: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[Query]:
    listed = _dict(content.get("annotations")).get("list")
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and _prometheus({}, each):
            yield from _query(Query(f"annotation {each.get('name')}", "panel", str(each["expr"])), chosen)
