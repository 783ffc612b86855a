"""The Grafana dashboard's JSON: it is current, of Grafana's types, laid out, explained, and free of the guide's errata."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.alerting import alerts
from support.dashboard import BUILT, DASHBOARDS, annotation, document, expressions, panels
from support.servers import npm

from llmmetrics.cli.main import main
from llmmetrics.testing.harness import FAMILIES

DOCS = DASHBOARDS.parent / "docs"

GUIDE = {
    "Key metrics": ["Total requests (24h)", "Success rate", "Latency (P95)", "Estimated cost (24h)"],
    "Requests": ["Request rate", "Requests by backend", "Request duration"],
    "Tokens and cost": ["Tokens per second", "Cost per hour", "Cumulative cost"],
    "Errors and health": ["Error rate", "Backend health", "Active requests"],
}


def test_it_is_what_its_parts_come_to(tmp_path):
    made = tmp_path / "made.json"
    subprocess.run([sys.executable, DASHBOARDS / "build.py", made], check=True)
    assert BUILT.read_text("utf8") == made.read_text("utf8"), "make dashboards"


def test_it_has_the_rows_and_panels_of_the_guide_and_two_rows_more():
    rows = {}
    for each in document()["panels"]:
        if each["type"] == "row":
            inside = rows.setdefault(each["title"], [])
        else:
            inside.append(each["title"])
    assert {title: inside[: len(GUIDE[title])] for title, inside in rows.items() if title in GUIDE} == GUIDE
    assert sum(map(len, GUIDE.values())) == 13
    assert [*rows] == [*GUIDE, "Budgets", "The meter's own health"]


def test_its_ids_are_unique():
    ids = [each["id"] for each in document()["panels"]]
    assert len(ids) == len(set(ids))
    assert len({each["title"] for each in panels()}) == len(panels())
    for panel in panels():
        letters = [each["refId"] for each in panel["targets"]]
        assert letters == sorted(set(letters)), panel["title"]


def test_its_panels_fill_the_grid_and_cover_nothing():
    taken = set()
    for each in document()["panels"]:
        place = each["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, each["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(24) for y in range(height)}


def test_its_variables_are_of_one_kind_each():
    variables = document()["templating"]["list"]
    assert [each["name"] for each in variables] == ["datasource", "job", "backend", "model", "docs"]
    assert [each["type"] for each in variables] == ["datasource", "query", "query", "query", "textbox"]
    assert not [name for each in variables for name in each if name.startswith("auto")]
    assert {each["datasource"]["uid"] for each in panels()} == {"${datasource}"}


def test_each_panel_says_what_it_shows_in_a_unit_and_links_to_a_page_that_there_is():
    for panel in panels():
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        (link,) = panel["links"]
        page, anchor = re.fullmatch(r"\$\{docs:raw\}/(\w+)\.html#?(.*)", link["url"]).groups()
        headings = re.findall(r"^#+ (.*)$", (DOCS / f"{page}.md").read_text("utf8"), re.MULTILINE)
        assert not anchor or anchor in {each.lower().replace(" ", "-") for each in headings}


def test_the_docs_explain_its_panels_in_their_order():
    text = (DOCS / "dashboards.md").read_text("utf8")
    assert re.findall(r"^\| (.+) \| .+ \| \[", text, re.MULTILINE) == [each["title"] for each in panels()]
    titles = re.findall(r"^### (.*)$", text, re.MULTILINE)
    assert titles == [each["title"] for each in document()["panels"] if each["type"] == "row"]


def _chosen(expression):
    """The variables that narrow it down, where a family has the label."""
    if "up{" in expression:
        return {"job"}
    # these carry no model, and are a share of the requests to all
    shared = "llm_errors_total", "llmmetrics_retries_total"
    return {"job", "backend"} if any(each in expression for each in shared) else {"job", "backend", "model"}


@pytest.mark.parametrize("name", expressions())
def test_an_expression_asks_for_what_there_is(name):
    """Families and labels that exist, no `total` beside its parts, chosen by the variables."""
    expression = re.sub(r"\n *", " ", expressions()[name][0])
    asked = re.findall(r"\b(llm(?:metrics)?_\w+|up)\{(.*?)\}", expression)
    assert asked
    for family, matchers in asked:
        labels = re.findall(r"(\w+)[!=]~?\"", matchers)
        assert {"job"} <= set(labels)
        if family != "up":
            known = FAMILIES[re.sub(r"_bucket$", "", family)]
            assert set(labels) - {"job"} <= set(known.labels)
            assert _chosen(expression) & set(known.labels) <= set(labels)
        if "tokens" in family:
            assert 'token_type!="total"' in matchers
        if family == "llm_estimated_cost_usd":
            assert re.search(r"(increase|rate)\(llm_estimated", expression)
        if family == "llm_backend_budget_usd":
            assert expression.count("llm_backend_budget") == expression.count("max by (job, backend) (llm_backend")


def test_every_family_is_asked_for():
    asked = " ".join(expression for expression, _ in expressions().values())
    assert [name for name in FAMILIES if not re.search(rf"\b{name}(_bucket)?\{{", asked)] == []


def test_every_alert_that_ships_is_marked():
    (pattern,) = re.findall(r'alertname=~"(.*?)"', annotation())
    assert [name for name in alerts() if not re.fullmatch(pattern, name)] == []


def test_our_own_check_finds_nothing(capsys):
    assert main(["rules", "check", str(BUILT)]) == 0, capsys.readouterr().out


SCHEMA = ("@grafana/schema@13.2.3", "typescript@7.0.2")
TYPES = (Path(__file__).parent / "typed.ts").read_text("utf8")
COMPILER = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")

# a change that must be noticed, in the panel of this type
WRONG = {
    "row": lambda panel: panel.update(collapsed="no"),
    "stat": lambda panel: panel["options"].update(colorMode="loud"),
    "timeseries": lambda panel: panel["fieldConfig"]["defaults"]["custom"].update(fillOpacity="30"),
    "heatmap": lambda panel: panel["options"]["yAxis"].update(units="s"),
    "piechart": lambda panel: panel["options"].update(pieType="cake"),
    "state-timeline": lambda panel: panel["options"].update(showValue=False),
    "bargauge": lambda panel: panel["gridPos"].update(w="10"),
}


def test_it_is_of_grafana_s_types(tmp_path):
    modules = npm(tmp_path, *SCHEMA)
    whole = document()
    inside = whole.pop("panels")
    lines = [TYPES, f"export const whole: Whole = {json.dumps(whole)};"]
    lines += [f"export const p{each['id']}: Panels[{each['type']!r}] = {json.dumps(each)};" for each in inside]
    good = len("\n".join(lines).splitlines())
    for kind, change in WRONG.items():
        panel = json.loads(json.dumps(next(each for each in inside if each["type"] == kind)))
        change(panel)
        lines.append(f"export const wrong{len(lines)}: Panels[{kind!r}] = {json.dumps(panel)};")
    (tmp_path / "check.ts").write_text("\n".join(lines), "utf8")
    compiler = modules / ".bin/tsc"
    said = subprocess.run([compiler, *COMPILER, "check.ts"], cwd=tmp_path, capture_output=True, text=True, check=False)
    found = {int(line): text for line, text in re.findall(r"^check\.ts\((\d+),\d+\): (.*)$", said.stdout, re.MULTILINE)}
    assert {line: text for line, text in found.items() if line <= good} == {}, said.stdout
    assert [*found] == list(range(good + 1, good + 1 + len(WRONG)))
