"""Builds the Grafana dashboard: `python dashboards/build.py [FILE]` writes grafana/llm-backends.json, or FILE."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as m
from parts import RED, SOURCE, query
from queries import FIRING
from rows import ROWS

BUILT = Path(__file__).parent / "grafana/llm-backends.json"

_VARIABLES = (
    ("job", "Job", "llm_requests_total"),
    ("backend", "Backend", 'llm_requests_total{job=~"$job"}'),
    ("model", "Model", 'llm_requests_total{job=~"$job", backend=~"$backend"}'),
)
"""Name, label and series; each is limited by the variables before it."""


def _variables() -> Iterator[Any]:
    yield build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    every = m.VariableOption(selected=True, text=["All"], value=["$__all"])
    for name, label, series in _VARIABLES:
        values = f"label_values({series}, {name})"
        yield (
            build.QueryVariable(name)
            .label(label)
            .datasource(SOURCE)
            .query({"query": values, "refId": name})
            .refresh(m.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(m.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(every)
        )
    yield (
        build.TextBoxVariable("docs")
        .label("Docs")
        .description("Where the documentation is served; the panels link to its pages.")
        .hide(m.VariableHide.HIDE_VARIABLE)
        .default_value("http://localhost:8000")
    )


def _finished(document: dict[str, Any]) -> dict[str, Any]:
    """Complete the SDK's document: ids of panels, letters of queries, no unused fields, visible links."""
    for number, panel in enumerate(document["panels"], 1):
        panel["id"] = number
        for target, letter in zip(panel.get("targets", ()), string.ascii_uppercase, strict=False):
            target["refId"] = letter
    for variable in document["templating"]["list"]:
        for name in [each for each in variable if each.startswith("auto")]:
            del variable[name]
    for each in document["annotations"]["list"]:
        each["target"]["refId"] = "A"
    for each in (*document["annotations"]["list"], *document["links"]):
        del each["placement"]
    return document


def dashboard() -> dict[str, Any]:
    """Build the dashboard, as Grafana reads it."""
    board = (
        build.Dashboard("LLM backends")
        .uid("llm-backends")
        .description("Requests, tokens, cost, errors and budgets of LLM calls, as llmmetrics counts them.")
        .tags(["llm", "llmmetrics"])
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(m.DashboardCursorSync.CROSSHAIR)
        .editable()
    )
    alerts = build.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color(RED)
    board = board.annotation(
        alerts.target(query(FIRING)).title_format("{{alertname}}").text_format("{{job}} {{backend}}")
    )
    for variable in _variables():
        board = board.with_variable(variable)
    for title, url in (("What each metric counts", "metrics"), ("What each row shows", "dashboards")):
        link = build.DashboardLink(title).type(m.DashboardLinkType.LINK).icon("doc")
        board = board.link(link.url(f"${{docs:raw}}/{url}.html").target_blank(True))
    for title, panels in ROWS.items():
        board = board.with_row(build.Row(title))
        for panel in panels():
            board = board.with_panel(panel)
    return _finished(json.loads(JSONEncoder().encode(board.build())))


def main() -> None:
    """Write the dashboard."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else BUILT
    path.write_text(json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n", "utf8")


if __name__ == "__main__":
    main()
