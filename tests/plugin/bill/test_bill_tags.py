"""The cost by tag in the terminal, in every report, in the gate's comment, over workers and shards."""

from __future__ import annotations

import json

from support.reports import report, row

from llmmetrics.testing.prices import PriceBook
from pytest_llmmetrics.bill.offline.merging import merged
from pytest_llmmetrics.bill.rendering.html import page
from pytest_llmmetrics.bill.rendering.markdown import comment
from pytest_llmmetrics.bill.rendering.summary import of_report
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import SeenAttempt, tagged_rows

pytest_plugins = ["pytester"]

SUITE = """
import app, llmmetrics
def test_one():
    with llmmetrics.tags(tenant="acme", feature="search"):
        app.ask(2)
    app.ask()
def test_other():
    with llmmetrics.tags(tenant="b|<i>"):
        app.ask()
    with llmmetrics.tags(tenant="acme"):
        app.ask(model="no-such-model")
"""


def calls(report):
    return {(row["test"], row["model"]): row["calls"] for row in report["tags"]}


CALLS = {
    ("feature=search", "gpt-4o-mini"): 2,
    ("tenant=acme", "gpt-4o-mini"): 2,
    ("tenant=acme", "no-such-model"): 1,
    ("tenant=b|<i>", "gpt-4o-mini"): 1,
}


def test_every_report_has_the_cost_by_tag(suite, pytester):
    done, found = suite(SUITE, "--llm-report=r.md", "--llm-report=r.html", "--llm-gate", "--llm-baseline=create")
    assert calls(found) == CALLS
    one = next(each for each in found["tags"] if each["test"] == "feature=search")
    assert one["usd"] == "0.0000456"
    done.stdout.fnmatch_lines(
        [
            "*calls*cost  tag",
            "*$0.0000456 + unknown  tenant=acme",
            "*$0.0000456*  feature=search",
            "*$0.0000228*tenant=b|<i>",
        ]
    )
    assert "Attribution.Keys" not in done.stdout.str() + done.stderr.str()
    comment = (pytester.path / "r.md").read_text("utf8")
    assert "**Cost by tag**" in comment
    assert "| `tenant=b\\|<i>` | 1 | 120 | 8 | $0.0000228 |" in comment
    page = (pytester.path / "r.html").read_text("utf8")
    assert "<h2>Cost by tag</h2>" in page
    assert "tenant=b|&lt;i&gt;" in page
    assert "tenant=b|<i>" not in page


def test_workers_and_shards_are_added(suite):
    done, found = suite(SUITE, "-n2")
    done.assert_outcomes(passed=2)
    assert calls(found) == CALLS
    shard = Report.model_validate(found)
    other = shard.model_copy(update={"tests": {"another": "passed"}})
    whole = merged([("1.json", shard), ("2.json", other)])
    assert calls(json.loads(whole.text())) == {tag: 2 * n for tag, n in CALLS.items()}


def test_a_suite_without_tags_shows_nothing_of_them():
    plain = report([row("t")])
    texts = [comment(plain), page(plain), *(text for text, _ in of_report(plain, 5))]
    assert not [text for text in texts if "by tag" in text or text.endswith("  tag")]


def test_a_call_belongs_to_each_of_its_tags_once():
    def attempt(status, *tags):
        return SeenAttempt(
            "f", status, "api_error" if status == "failure" else None, "b", "m", "m", True, (), None
        )._replace(tags=tags)

    tags = ("tenant", "acme"), ("feature", "search")
    rows = tagged_rows([attempt("failure", *tags), attempt("success", *tags), attempt("success")], PriceBook())
    assert [(row.test, row.calls, row.attempts) for row in rows] == [("feature=search", 1, 2), ("tenant=acme", 1, 2)]
