"""A price file: which of its rows holds, where it stands among the sources, and what is said of a wrong one."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from llmmetrics import ConfigError, Meter
from llmmetrics.cli.main import main
from llmmetrics.pricing.price import dollars
from llmmetrics.settings.loading import load
from llmmetrics.settings.price_file import PriceFile, PriceRow, PriceSheet, read
from llmmetrics.settings.rates import BUCKETS, Prices
from llmmetrics.testing import observe
from llmmetrics.testing.prices import PriceBook, cost
from llmmetrics.wire.usage import COMPLETION, FEES, PIECES, PROMPT, usage_of

DOCS = Path(__file__).resolve().parents[3] / "docs"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
URL = "https://api.openai.com/v1/chat/completions"
START = "2026-01-01T00:00:00Z"


def row(model="gpt-4o-mini", usd=1, **more):
    return {"Model": model, "From": START, "CostPerMillionInputTokens": usd, "CostPerMillionOutputTokens": usd, **more}


@pytest.fixture
def write(tmp_path):
    def file(*rows, name="prices.json", text=None, **more):
        path = tmp_path / name
        path.write_text(json.dumps({"Schema": 1, "Prices": rows, **more}) if text is None else text, "utf8")
        return path

    return file


def test_the_published_schema():
    path = DOCS / "price-file.schema.json"
    text = json.dumps(PriceFile.model_json_schema(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(text, "utf8")
    assert path.read_text("utf8") == text, "set UPDATE_DOCS=1 to write it again"


def test_every_bucket_can_be_priced():
    assert set(BUCKETS.values()) == PROMPT | COMPLETION | FEES
    assert {name for name in Prices.model_fields if name.startswith("cost_")} == set(BUCKETS)


@given(st.dictionaries(st.sampled_from(sorted(BUCKETS)), st.decimals(0, 1000, places=12), min_size=1))
def test_a_price_of_its_own_is_what_a_bucket_costs(amounts):
    units = Prices(**amounts).price.units
    for name, amount in amounts.items():
        per = PIECES.get(BUCKETS[name], 10**6)
        # a millisecond of an hour's price is rounded down to an attodollar
        assert 0 <= amount - dollars(units[BUCKETS[name]] * per) < Decimal(per).scaleb(-18)


def price_of(rows, model="gpt-4o-mini", provider="openai", now=NOW, tier=None):
    found = PriceSheet(PriceRow.model_validate(each) for each in rows).price(model, provider, None, lambda: now, tier)
    return found and int(dollars(found.units["input"] * 10**6))


# which row holds

CHOICES = {
    "a name before a pattern": ([row("gpt-*", 1), row(usd=2)], 2),
    "a name before a later pattern": ([row("gpt-*", 1, From="2026-06-01T00:00:00Z"), row(usd=2)], 2),
    "a long pattern before a short one": ([row("gpt-*", 1), row("gpt-4o-*", 2), row("*", 3)], 2),
    "a provider before none": ([row(usd=1), row("gpt-*", 2, Provider="openai")], 2),
    "another provider": ([row(usd=1, Provider="azure")], None),
    "a later one": ([row(usd=1), row(usd=2, From="2026-11-01T00:00:00Z"), row(usd=3, From="2026-06-01T00:00:00Z")], 2),
    "one that has not begun": ([row(usd=1), row(usd=2, From="2026-12-01T00:00:00Z")], 1),
    "none has begun": ([row(usd=2, From="2026-12-01T00:00:00Z")], None),
    "a pattern, where the name has not begun": ([row("gpt*", 1), row(usd=2, From="2026-12-01T00:00:00Z")], 1),
    "in any case": ([row("GPT-4o-MINI", 1, Provider="OpenAI")], 1),
    "another model": ([row("gpt-4o", 1)], None),
    "another tier": ([row(usd=1, Tier="flex")], None),
}


@pytest.mark.parametrize(("rows", "expected"), CHOICES.values(), ids=CHOICES)
def test_which_row_holds(rows, expected):
    assert price_of(rows) == expected
    assert price_of(reversed(rows)) == expected


def test_a_tier_has_its_own_rows():
    rows = [row(usd=2), row(usd=1, Tier="Flex")]
    assert (price_of(rows), price_of(rows, tier="flex"), price_of(rows, tier="priority")) == (2, 1, None)


def test_a_row_begins_at_its_moment_whatever_its_zone():
    rows = [row(usd=1), row(usd=2, From="2026-11-24T13:00:00+01:00")]
    assert price_of(rows, now=NOW - timedelta(microseconds=1)) == 1
    assert price_of(rows, now=NOW) == 2


def test_json_and_yaml_say_the_same(write):
    pytest.importorskip("yaml")
    text = """
Schema: 1
Prices:
  - Model: gpt-4o-mini
    From: 2026-01-01T00:00:00Z
    CostPerMillionInputTokens: 0.123456
    CostPerThousandWebSearches: 7
"""
    from_json = row(CostPerMillionInputTokens=0.123456, CostPerThousandWebSearches=7)
    del from_json["CostPerMillionOutputTokens"]
    used = usage_of({"input": 1_000_000, "web_search": 1})
    for path in (write(text=text, name="prices.yaml"), write(from_json)):
        found = read(path).price("gpt-4o-mini", None, None, lambda: NOW)
        assert dollars(found.of(used)) == Decimal("0.130456")
        assert found.of(usage_of({"output": 1})) is None


# what is said of a wrong one

WRONG = {
    "twice": ((row(), row(usd=2)), "Prices[0] and Prices[1] have the same Provider, Model, Tier and From: keep one"),
    "twice in another zone": ((row(), row(From="2026-01-01T01:00:00+01:00")), "Prices[0] and Prices[1] have the same"),
    "negative": ((row(CostPerMillionInputTokens=-1),), "Prices[0].CostPerMillionInputTokens: should be greater than"),
    "NaN": ((row(CostPerMillionInputTokens="NaN"),), "Prices[0].CostPerMillionInputTokens: should be a finite number"),
    "endless": ((row(CostPerMillionInputTokens="Infinity"),), "should be a finite number"),
    "no number": ((row(CostPerMillionInputTokens="free"),), "should be a number"),
    "an unknown key": (
        (row(CostPerMillionInputToken=1),),
        "Prices[0].CostPerMillionInputToken is unknown: did you mean",
    ),
    "no zone": ((row(From="2026-01-01T00:00:00"),), "Prices[0].From: should have timezone info"),
    "no moment": ((row(From="yesterday"),), "Prices[0].From: should be a valid datetime"),
    "no model": (({"From": START, "CostPerMillionInputTokens": 1},), "Prices[0].Model is missing"),
    "no From": (({"Model": "m", "CostPerMillionInputTokens": 1},), "Prices[0].From is missing"),
    "no price": (({"Model": "m", "From": START},), "Prices[0]: has no price: give CostPerMillionInputTokens"),
    "an empty name": ((row(Model=""),), "Prices[0].Model: should not be empty"),
    "not a row": ((3,), "Prices[0]: "),
}


@pytest.mark.parametrize(("rows", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_row_says_where_and_what(write, tmp_path, rows, message):
    with pytest.raises(ConfigError) as caught:
        read(write(*rows))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "prices.json: "))
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


TEXTS = {
    ("prices.json", '{"Schema": 2, "Prices": []}'): "has Schema 2, this llmmetrics reads up to 1: install a newer one",
    ("prices.json", '{"Schema": "one"}'): "Schema: should be a whole number",
    ("prices.json", '{"Schema": 0}'): "Schema: should be greater than or equal to 1",
    ("prices.json", '{"Schema": 1, "Schema": 1}'): "Schema is there twice: keep one",
    ("prices.json", '{"Prices": []}'): "Schema is missing",
    ("prices.json", "[]"): "a price file should be an object such as",
    ("prices.json", '{"Schema": 1,'): "the price file cannot be read: Expecting property name",
    ("prices.json", "Schema: 1"): "it should be JSON, or YAML in a file named .yaml",
    ("prices.json", '{"Schema": 1, "Prices": [' + "[" * 100_000): "the price file cannot be read",
    ("prices.yaml", "Schema: " + "1" * 5000): "the price file cannot be read: a date, a number or a nesting of it",
    ("prices.yaml", "Schema: 2026-13-45"): "the price file cannot be read: a date, a number or a nesting of it",
    ("prices.yaml", "Schema: !!bool x"): "the price file cannot be read: a date, a number or a nesting of it",
    ("prices.yaml", "Schema: !!int ''"): "the price file cannot be read: a date, a number or a nesting of it",
    ("prices.yaml", f"Schema: !!float '{'7:' * 300}1'"): "the price file cannot be read: a date, a number or a nesting",
    ("prices.yaml", "Schema: !!timestamp x"): "the price file cannot be read: a date, a number or a nesting of it",
    ("prices.yaml", "Schema: [1"): "the price file cannot be read: line 1: expected",
    ("prices.yaml", "Schema: 1\na: &a [*a]"): "a is unknown",
    ("prices.yaml", "Schema: 1\nPrices: []\nSchema: 1"): "line 3: the key Schema is there twice, first on line 1",
    ("prices.yaml", "Prices: [{Model: a, Model: b}]"): "line 1: the key Model is there twice, first on line 1",
    ("prices.yml", ""): "a price file should be an object such as",
}


@pytest.mark.parametrize(("file", "message"), TEXTS.items())
def test_a_wrong_file_says_what(write, file, message):
    name, text = file
    if name.endswith("ml"):
        pytest.importorskip("yaml")
    with pytest.raises(ConfigError) as caught:
        read(write(text=text, name=name))
    assert message in str(caught.value)
    assert str(caught.value).count(name) == 1
    assert len(str(caught.value).splitlines()) == 1


def test_the_file_of_the_documentation(write):
    pytest.importorskip("yaml")
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "prices.md").read_text("utf8"), re.DOTALL)
    sheet = read(write(text=text, name="prices.yaml"))
    assert sheet.names == ["gpt-4o-mini", "us.amazon.nova-*"]
    found = sheet.price("us.amazon.nova-micro-v1:0", "aws-bedrock", None, lambda: NOW, "flex")
    assert dollars(found.of(usage_of({"input": 13, "output": 5}))) == Decimal("0.0000005775")


def test_several_things_are_wrong(write):
    with pytest.raises(ConfigError) as caught:
        read(write(row(Model=""), row(CostPerMillionInputTokens=-1)))
    first, *rest = str(caught.value).splitlines()
    assert first == "the price file has several errors:"
    assert [each.partition("prices.json: ")[2].partition(":")[0] for each in rest] == [
        "Prices[0].Model",
        "Prices[1].CostPerMillionInputTokens",
    ]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.json: the price file cannot be read: No such file or directory: set"):
        Meter.from_settings({"PriceFile": str(tmp_path / "none.json")}, registry=CollectorRegistry())
    (tmp_path / "latin.json").write_bytes(b"\xe9")
    with pytest.raises(ConfigError, match=r"latin\.json: the price file cannot be read: it is not UTF-8"):
        read(tmp_path / "latin.json")


def test_yaml_without_pyyaml(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match=r"PyYAML is not installed: pip install 'llmmetrics\[yaml\]', or write JSON"):
        read(write(name="prices.yaml"))


# among the sources


def test_it_stands_beside_the_settings(tmp_path, write, capsys, monkeypatch):
    write(row("mine-*", 3, CostPerMillionOutputTokens=4))
    path = tmp_path / "settings.json"
    local = {"Name": "home", "Type": "Ollama", "ModelName": "mine-7b"}
    path.write_text(json.dumps({"LlmSettings": {"PriceFile": "prices.json", "Backends": [local]}}))
    monkeypatch.chdir(DOCS)
    assert load(path).price_file == str(tmp_path / "prices.json")
    assert main(["check", str(path)]) == 0
    assert "price file 3/4" in capsys.readouterr().out
    (tmp_path / "prices.json").write_text("{}")
    assert main(["check", str(path)]) == 1
    assert "prices.json: Schema is missing" in capsys.readouterr().err


def record(settings, body, model="gpt-4o-mini", url=URL):
    meter = Meter.from_settings(settings, registry=CollectorRegistry())
    inner = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    found = []
    with observe(found.append), httpx.Client(transport=meter.transport(inner)) as client:
        client.post(url, json={"model": model})
    return found[0]


USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
OWN = {"Name": "b", "ModelName": "gpt-4o-mini", "CostPerMillionInputTokens": 9, "CostPerMillionOutputTokens": 9}
TOLD = {"usage": {**USAGE, "cost": 7}}
SOURCES = {
    "configured, before the file": ([row(usd=5)], [OWN], TOLD, "9"),
    "the file, before the wire": ([row(usd=5)], [], TOLD, "5"),
    "the wire, where the file has another model": ([row("gpt-4o", 5)], [], TOLD, "7"),
    "the wire, where the file has another tier": ([row(usd=5)], [], {**TOLD, "service_tier": "flex"}, "7"),
    "the file, before the catalogue": ([row(usd=5)], [], {"usage": USAGE}, "5"),
    "the file, of the model that answered": ([row("x", 5), row(usd=6)], [], {"usage": USAGE, "model": "x"}, "5"),
    "the file, of the model that was asked for": ([row(usd=6)], [], {"usage": USAGE, "model": "gpt-4o"}, "6"),
    "the catalogue": ([row("gpt-4o", 5)], [], {"usage": USAGE}, "0.15"),
    "the file, of a tier": ([row(usd=5, Tier="scale")], [], {"usage": USAGE, "service_tier": "scale"}, "5"),
    "the file, a price of 0": ([row(usd=0)], [], TOLD, "0"),
}


@pytest.mark.parametrize(("rows", "backends", "body", "expected"), SOURCES.values(), ids=SOURCES)
def test_the_order_of_the_sources(write, rows, backends, body, expected):
    seen = record({"PriceFile": str(write(*rows)), "Backends": backends}, body)
    assert seen.cost_usd == Decimal(expected)
    assert seen.wire_cost_usd == (Decimal(7) if expected == "7" else None)
    if seen.wire_cost_usd is None:
        # a test's bill is at the same prices, in another process too
        book, other = PriceBook(), PriceBook()
        book.learn(seen)
        other.learn_known(json.loads(json.dumps(book.known())))
        for each in (book, other):
            price = each.price(seen.backend, seen.model, seen.model_responded, seen.tier)
            assert dollars(cost(price, seen.usage.buckets)) == seen.cost_usd


def test_each_pass_has_its_own_models_price(write):
    usage = {
        "input_tokens": 0,
        "output_tokens": 0,
        "iterations": [{"model": "claude-haiku-4-5", "input_tokens": 1_000_000}, {"input_tokens": 1_000_000}],
    }
    path = write(row("claude-opus-*", 5))
    body = {"model": "claude-opus-4-5", "usage": usage}
    seen = record({"PriceFile": str(path)}, body, "claude-opus-4-5", "https://api.anthropic.com/v1/messages")
    assert seen.cost_usd == Decimal(6), "$1 by the catalogue, $5 by the file"
