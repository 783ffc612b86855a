"""A provider that bills other units than it counts: the report's tokens are those of the metrics, the cost is the bill's."""

from __future__ import annotations

import json

import pytest
from support.reports import report

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.figures import billed_units, figures
from pytest_llmmetrics.bill.rendering.html import page
from pytest_llmmetrics.bill.rendering.markdown import comment
from pytest_llmmetrics.bill.rendering.summary import of_report
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Row, added

pytest_plugins = ["pytester"]

SUITE = """
import httpx

USAGE = {"tokens": {"input_tokens": 120, "output_tokens": 9}, "billed_units": {"input_tokens": 20, "output_tokens": 8}}

def test_it():
    reply = {"message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "COMPLETE", "usage": USAGE}
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, json=reply)))
    body = {"model": "command-r-08-2024", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(2):
        client.post("https://api.cohere.com/v2/chat", json=body)
"""
LINE = "cohere bills 40 of 240 counted prompt tokens and 16 of 18 counted completion tokens"


def test_the_reports_tokens_are_those_of_the_metrics(pytester, session):
    pytester.makepyfile(test_it=SUITE)
    done = session("--llm-metrics", "--llm-report=report.json", "--llm-report=report.md", "--llm-report=report.html")
    made = Report.model_validate_json((pytester.path / "report.json").read_text("utf8"))
    (row,) = made.rows
    assert (row.tokens, row.counted, row.billed) == ({}, {"input": 240, "output": 18}, {"input": 40, "output": 16})
    sums = figures(made.rows, made.price_of)
    assert (sums.prompt, sums.completion) == (240, 18)
    assert sums.cost.known == prices.cost(made.price_of(row), row.billed) > 0
    done.stdout.fnmatch_lines([LINE])
    for name in ("report.md", "report.html"):
        assert LINE in (pytester.path / name).read_text("utf8")


def billed(calls: int, **more) -> Row:
    return Row(test="a.py::a", backend="cohere", model="command", calls=calls, attempts=calls, **more)


def test_calls_with_and_without_billed_units_are_added():
    both = [
        billed(1, counted={"input": 120}, billed={"input": 20, "tool_use": 2}),
        billed(1, tokens={"input": 50}),
    ]
    (row,) = added(both)
    assert (row.calls, row.tokens, row.counted, row.billed) == (
        2,
        {"input": 50},
        {"input": 120},
        {"input": 20, "tool_use": 2},
    )
    assert billed_units([row]) == [
        "cohere bills 20 of 120 counted prompt tokens and 0 of 0 counted completion tokens, and 2 pieces"
    ]
    assert figures([row], lambda _: None).prompt == 170


@pytest.mark.parametrize("price", [None, prices.Price({"output": 1})])
def test_billed_units_without_a_price_have_no_known_cost(price):
    assert figures([billed(1, counted={"input": 1}, billed={"input": 1})], lambda _: price).cost.unknown == 1


def test_others_say_nothing():
    assert billed_units([billed(1, tokens={"input": 1})]) == []
    made = report([billed(1, tokens={"input": 1})])
    texts = (comment(made), page(made), json.dumps(list(of_report(made, 9))))
    assert not any("bills" in text for text in texts)
