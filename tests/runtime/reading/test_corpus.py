"""Recorded traffic of real providers: read right, and the same whichever way it comes."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest
from support import SHARED, shared

from llmmetrics import wire
from llmmetrics.reading import exchange, outcome
from llmmetrics.reading.exchange import see
from llmmetrics.wire.framing.body_buffer import TAIL, BodyBuffer, keep

CALLS = ("inference", "embedding", "rerank", "count_tokens")


def claimed(row):
    parts = exchange.urlsplit(row["url"])
    return wire.claim(row["method"], parts.hostname, parts.path)


@pytest.fixture
def calls(corpus):
    return [row for row in corpus if row["kind"] in CALLS]


@pytest.mark.parametrize("api", ["openai", "anthropic", "gemini", "cohere", "ollama", "bedrock", "vertex", "voyage"])
def test_the_scorer_agrees(api):
    """Everything, in each column that is about reading; the printed table is the scorer's own."""
    done = subprocess.run(
        [sys.executable, shared("corpus/score.py"), SHARED / "corpus/adapter_llmmetrics.py", "--api", api],
        capture_output=True,
        text=True,
        check=True,
    )
    totals = next(line for line in done.stdout.splitlines() if line.startswith("ALL %"))
    words = totals.removeprefix("ALL %:").split()
    scores = dict(zip(words[::2], map(float, words[1:-2:2]), strict=False))
    assert {"prompt", "compl", "cached", "model"} <= scores.keys()
    for column in ("prompt", "compl", "total", "cached", "cost", "model", "absent"):
        assert scores.get(column, 100.0) == 100.0, f"{column}\n{done.stdout}"
    assert words[-1] == "0", "a reader must not raise"


def test_every_row_that_should_be_claimed_is(calls):
    assert [row["url"] for row in calls if not claimed(row)] == []


def test_what_is_no_call_is_left_alone(corpus):
    for row in corpus:
        if row["kind"] in ("none", "retrieve"):
            assert claimed(row) is None, row["url"]


def test_reading_from_the_end_finds_what_reading_everything_finds(calls):
    """The reader stops as soon as it has what it came for; nothing earlier would have changed it."""
    for row in calls:
        if row["status"] >= 400 or not row["stream"]:
            continue
        format = claimed(row).format
        body = keep(row["response_body"])
        patient = format._replace(fields=(*format.fields, "a field that never comes"))
        # with a field that never comes, every event is read
        assert see(patient, body).reading == see(format, body).reading, row["id"]


def test_the_short_way_to_an_outcome_finds_what_the_long_way_finds(calls, monkeypatch):
    def outcomes():
        found = []
        for row in calls:
            buffer = BodyBuffer()
            buffer.feed(row["response_body"])
            end = outcome.End.EXHAUSTED
            found.append(outcome.outcome_of(claimed(row).format, row["status"], buffer, row["request_body"], end, None))
        return [{**vars(each), "plain": None} for each in found], sum(each.plain for each in found)

    quick, short = outcomes()
    monkeypatch.setattr(outcome, "_plain_success", lambda *_: None)
    long, none = outcomes()
    assert (short > 600, none) == (True, 0)
    for one, other in zip(quick, long, strict=True):
        assert {name: each for name, each in one.items() if each} == {
            name: each for name, each in other.items() if each
        }


def test_a_body_too_long_to_hold_is_read_from_its_ends(calls):
    """The same documents with a long text in the middle of them."""
    found = 0
    for row in calls:
        claim = claimed(row)
        if row["status"] >= 400 or row["stream"] or row["body_reserialised"]:
            continue
        body, reading = row["response_body"], see(claim.format, keep(row["response_body"])).reading
        marker = next(
            (name for name in (b'"choices"', b'"content"', b'"candidates"', b'"output"') if name in body), None
        )
        if reading.usage is None or marker is None or body.rfind(marker) > body.rfind(b'"usage'):
            continue
        padded = body.replace(marker, b'"padding":"%b",%b' % (b"x" * 3 * TAIL, marker), 1)
        assert see(claim.format, keep(padded)).reading.usage == reading.usage, row["id"]
        found += 1
    assert found > 150


def test_the_wires_own_cost_is_preferred_unless_it_is_nothing():
    def cost(usage):
        body = {"model": "openai/gpt-4o-mini", "usage": {"prompt_tokens": 1000, "completion_tokens": 0, **usage}}
        return exchange.read_exchange(
            method="POST",
            url="https://openrouter.ai/api/v1/chat/completions",
            request_headers=[],
            request_body=b"{}",
            status=200,
            response_headers=[],
            response_body=json.dumps(body).encode(),
        ).cost_usd

    assert cost({"cost": 0.25}) == Decimal("0.25")
    assert cost({"cost": 0}) == Decimal("0.00015")
    assert cost({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}) == Decimal("0.21")


def test_bytes_that_are_no_answer_raise_nothing():
    for body in (b"", b"<html>", b"{", b'{"usage": 1}', b'{"usage": {"prompt_tokens": "x"}}', b"data: {\n\n"):
        seen = exchange.read_exchange(
            method="POST",
            url="https://api.openai.com/v1/chat/completions",
            request_headers=[],
            request_body=b"\xff",
            status=200,
            response_headers=[],
            response_body=body,
        )
        assert seen.usage is None
        assert seen.cost_usd is None
