"""What a prompt cache could serve, by the rules of each family, and against what providers have really served."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from support import shared

from pytest_llmmetrics.bill.asking.caches import RULES, possible, rules_for, simulate
from pytest_llmmetrics.bill.asking.reading import Demand, PromptPart, demand_of


def demand(model: str, *texts: str, tokens: int = 1000, marks: dict[int, str] | None = None, at: float = 0, **more):
    parts = tuple(PromptPart(f"messages[{n}]", text, tokens, (marks or {}).get(n, "")) for n, text in enumerate(texts))
    return Demand(model, "f", prompt=tokens * len(texts), parts=parts, at=at, **more)


def read(*demands: Demand) -> list[int]:
    return [each.read for each in simulate(demands)]


EXAMPLES = {
    "Claude Opus 5, Fable 5, Mythos 5": "claude-opus-5",
    "Claude Haiku 4.5, Opus 4.5 to 4.7": "claude-haiku-4-5-20251001",
    "Claude Haiku 3, Haiku 3.5": "claude-3-5-haiku-latest",
    "Claude, all others": "anthropic/claude-sonnet-4.5",
    "GPT-5.6 and later": "openai/gpt-5.6-sol",
    "OpenAI before GPT-5.6": "gpt-4o-mini",
    "Gemini 2.5 Flash": "gemini-2.5-flash",
    "Gemini 2.5": "gemini-2.5-pro",
    "Gemini 3 and later": "gemini-3-pro-preview",
    "DeepSeek": "deepseek-chat",
}


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules.family)
def test_each_line_of_the_table(rules):
    model = EXAMPLES[rules.family]
    assert rules_for(model) is rules
    assert rules.source.startswith("https://")
    marked = {"marks": {0: "5m"}} if rules.marks else {}
    below, above = rules.minimum - 1, rules.minimum + 200
    first, again = (demand(model, "long", tokens=above, at=at, **marked) for at in (0, rules.seconds - 1))
    assert read(first, again) == [0, above // rules.step * rules.step]
    # shorter than the minimum, or too late
    short = demand(model, "long", tokens=below, **marked)
    assert read(short, short) == [0, 0]
    late = again._replace(at=again.at + rules.seconds + 1)
    assert read(first, late) == [0, 0]
    # a read starts the time again
    assert read(first, again, again._replace(at=again.at + rules.seconds - 1))[2] > 0
    # another model has a cache of its own
    assert read(first, again._replace(model="another"))[1] == 0


def test_a_prefix_is_read_to_its_mark():
    model = "claude-sonnet-4-5"
    first = demand(model, "a", "b", "c", marks={1: "5m"})
    assert read(first, demand(model, "a", "b", "d", marks={1: "5m"})) == [0, 2000]
    # without the mark nothing is written, and nothing read
    assert read(demand(model, "a", "b"), demand(model, "a", "b")) == [0, 0]
    # a mark for an hour
    hour = first._replace(parts=tuple(p._replace(mark=p.mark and "1h") for p in first.parts))
    assert read(hour, hour._replace(at=3500)) == [0, 2000]
    assert read(first, first._replace(at=3500)) == [0, 0]


def test_an_automatic_mark_moves_with_the_conversation():
    model = "claude-sonnet-4-5"
    turns = [demand(model, *"abcde"[:n], automatic="5m") for n in (2, 3, 5)]
    assert read(*turns) == [0, 2000, 3000]


def test_marks_look_back_over_twenty_blocks():
    model = "claude-sonnet-4-5"
    texts = [str(n) for n in range(40)]
    near, far = (demand(model, *texts[:n], automatic="5m") for n in (21, 24))
    first = demand(model, *texts[:2], automatic="5m")
    assert read(first, near)[1] == 2000
    assert read(first, far)[1] == 0


def test_four_marks_are_written_at_most():
    model = "claude-sonnet-4-5"
    marks = dict.fromkeys(range(5), "5m")
    first = demand(model, *"abcde", marks=marks)
    assert read(first, demand(model, "a", "x", marks={0: "5m"})) == [0, 0]
    assert read(first, demand(model, "a", "b", "x", marks={1: "5m"})) == [0, 2000]


def test_gpt_5_6_matches_at_breakpoints_alone():
    model = "gpt-5.6"
    assert read(demand(model, "a", "b"), demand(model, "a", "b", "c")) == [0, 2000]
    # the same prefix ends inside the breakpoint
    assert read(demand(model, "a", "b"), demand(model, "a", "c")) == [0, 0]
    assert read(demand("gpt-5", "a", "b", tokens=1100), demand("gpt-5", "a", "c", tokens=1100)) == [0, 1024]
    # without the implicit one
    explicit = demand(model, "a", "b", explicit=True)
    assert read(explicit, explicit) == [0, 0]


def test_a_model_without_rules_is_judged_by_the_common_prefix():
    assert rules_for("house-7b") is None
    assert read(demand("house-7b", "a", "b", tokens=10), demand("house-7b", "a", "c", tokens=10)) == [0, 10]


def body(system: str) -> bytes:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Hi"}]
    return json.dumps({"model": "gpt-4o", "messages": messages}).encode()


NOW = datetime(2026, 11, 27, 12, 0, 5, 123456, tzinfo=UTC)
RULES_TEXT = "Answer in one short sentence. " * 400


def test_a_timestamp_in_front_is_the_cause():
    early, late = NOW, NOW + timedelta(seconds=0.5)
    demands = [
        demand_of(body(f"The time is now {now.isoformat()}. {RULES_TEXT}"), "openai.chat", "gpt-4o", now, 0, ())
        for now in (early, late)
    ]
    first, second = simulate(demands)
    assert (second.read, second.first, first.first) == (0, False, True)
    assert second.difference == "messages[0] differs at character 17 (a timestamp?)"
    assert demands[0].clock == "messages[0] at character 17"
    # the estimate and the fingerprint do not see the time
    assert demands[0][1:4] == demands[1][1:4]


def corpus():
    """Yield the demand, the true read, and what is simulated with the true size of the prompt, of each cached row."""
    files = defaultdict(list)
    with gzip.open(shared("corpus/dev.jsonl.gz")) as lines:
        for each in map(json.loads, lines):
            files[each["source_repo"], each["source_path"]].append(each)
    for rows in files.values():
        if not any(each["truth"].get("cached_prompt_tokens") for each in rows):
            continue
        demands = []
        rows.sort(key=lambda each: each["index_in_cassette"])
        for n, each in enumerate(rows):
            truth, at = each["truth"], each["recorded_at"]
            when = datetime.fromisoformat(at) if at else NOW + timedelta(seconds=n)
            asked = base64.b64decode(each["request_body_b64"])
            made = demand_of(asked, each["api"], truth["model_requested"] or "", when, 0, ())
            demands.append(made._replace(prompt=truth["prompt_tokens"] or made.prompt))
        for each, made, served in zip(rows, demands, simulate(demands), strict=True):
            if true := each["truth"].get("cached_prompt_tokens"):
                yield each["id"], made, true, served


SERVED = {
    *("276be1dbaf6c4657", "def7b33b7310e6d9", "8f471aa2e15675ea", "e86e761c49bf7046"),
    *("d98db039f49222e8", "bb6ca06752e2a95e", "90ca7f1917662108", "abfaa55aef635665"),
}
"""Rows of OpenAI and Anthropic models with an earlier request in their file."""
IMPOSSIBLE = {"2b8636923bf2de99", "11cd3638c679296b"}
"""Made by hand: reads of 1 and 2 tokens."""


def test_what_providers_have_served():
    named = [
        each
        for each in corpus()
        if each[1].model.rpartition("/")[2].startswith(("gpt", "o3", "o4", "claude", "us.anthropic"))
    ]
    for id, made, true, served in named:
        if id in SERVED:
            assert served.read == pytest.approx(true, rel=0.1), id
        assert possible(made.model, true) == (id not in IMPOSSIBLE), (id, made.model, true)
    assert {id for id, *_ in named} >= SERVED | IMPOSSIBLE
    assert len(named) >= 19
