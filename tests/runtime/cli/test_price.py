"""`llmmetrics price`, as a person runs it."""

from __future__ import annotations

import json
import re

import pytest

from llmmetrics.cli.main import main
from llmmetrics.pricing.catalogue import catalogue_version

VERSION = catalogue_version()
COUNTS = ["--input", "1000", "--output", "500"]


def price(*arguments, counts=COUNTS):
    return main(["price", *arguments, *counts])


def test_the_breakdown(capsys):
    assert price("gpt-4o-mini", "--provider", "openai", "--cached", "400") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"gpt-4o-mini at openai: catalogue, genai-prices {VERSION}",
        "bucket      tokens  USD per million  USD",
        "input       600     0.15             0.00009",
        "cache_read  400     0.075            0.00003",
        "output      500     0.6              0.0003",
        "total       1,500                    0.00042",
    ]


def listed(capsys):
    """The lines of a table, by bucket."""
    first, heads, *lines = capsys.readouterr().out.splitlines()
    return first, heads, dict(line.split(maxsplit=1) for line in lines)


def test_a_model_alone_has_its_price_per_million(capsys):
    assert price("gpt-4o", counts=[]) == 0
    first, heads, rows = listed(capsys)
    assert re.fullmatch(rf"gpt-4o: catalogue, genai-prices {VERSION}, prices of \d{{4}}-\d\d-\d\d", first)
    assert heads == "bucket       USD per million"
    assert rows == {"input": "2.5", "cache_read": "1.25", "cache_write": "2.5", "output": "10"}


def test_a_model_alone_has_its_price_for_long_prompts(capsys):
    assert price("gemini-2.5-pro", "--provider", "google", counts=[]) == 0
    _, heads, rows = listed(capsys)
    assert heads == "bucket       USD per million  prompts over 200,000 tokens"
    assert rows["output"].split() == ["10", "15"]


def test_a_price_that_nobody_knows_is_a_dash(capsys):
    assert price("text-embedding-3-small", "--provider", "openai", counts=[]) == 0
    assert listed(capsys)[2]["output"] == "-"


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        ("whisper-1", ["bucket    USD   for", "audio_ms  0.36  an hour"]),
        ("tts-1-hd", ["bucket     USD  for", "character  30   a million characters"]),
        ("dall-e-3/hd/1024x1024", ["bucket  USD  for", "image   80   1,000 images"]),
    ],
)
def test_what_is_sold_by_piece_has_its_price_for_as_many(capsys, model, lines):
    assert price(model, "--provider", "openai", counts=[]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == lines


def test_a_model_alone_that_nobody_knows(capsys):
    assert price("gpt-4o-mni", counts=[]) == 2
    assert "did you mean gpt-4o-mini" in capsys.readouterr().err


def test_a_long_prompt(capsys):
    assert price("gemini-2.5-pro", counts=["--input", "250_000", "--output", "10"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "250,010", "0.62515"]


def test_nothing_costs_nothing(capsys):
    assert price("gpt-4o-mini", counts=["--input", "0", "--output", "0"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "0", "0"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gpt-4o-mni"], "no price is known for gpt-4o-mni: did you mean gpt-4o-mini or"),
        (
            ["gpt-4o", "--provider", "opnai"],
            "no price is known for gpt-4o at opnai: did you mean --provider openai",
        ),
        (["gpt-4o", "--provider", "anthropic"], "did you mean --provider github-copilot or openai?"),
        (["text-embedding-3-small"], "did you mean --provider azure or openai?"),
        (["text-embedding-3-small", "--provider", "openai"], "at openai: it has no price for output"),
        (["esc\033[31m"], "no price is known for esc?[31m: write it in the settings or in a price file"),
        (["nomodel"], "no price is known for nomodel: write it in the settings or in a price file"),
        (["gpt-4o", "--provider", "zzz"], "no price is known for gpt-4o at zzz: the providers are anthropic, "),
        (["gpt-4o", "--settings", "none.json"], "none.json: the settings cannot be read"),
    ],
)
def test_an_unknown_price_says_what_to_ask_for(capsys, arguments, says):
    assert price(*arguments) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["m", *COUNTS, "--cached", "1001"],
        ["m", "--input", "-1", "--output", "1"],
        ["m", "--input", "1"],
        ["m", "--output", "1"],
        ["m", "--cached", "1"],
        COUNTS,
    ],
)
def test_a_wrong_call(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(["price", *arguments])
    assert caught.value.code == 2
    assert "usage: llmmetrics price" in capsys.readouterr().err


def test_the_settings_own_prices(tmp_path, capsys):
    rows = [
        {"Model": "house-*", "From": "2026-01-01T00:00:00Z", "CostPerMillionInputTokens": 2},
        {"Provider": "aws-bedrock", "Model": "gpt-4o", "From": "2026-01-01T00:00:00Z", "CostPerMillionOutputTokens": 4},
    ]
    (tmp_path / "prices.json").write_text(json.dumps({"Schema": 1, "Prices": rows}))
    own = {"ModelName": "gpt-4o", "CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1}
    settings = {"PriceFile": "prices.json", "Backends": [{"Name": "mine", **own}]}
    (tmp_path / "settings.json").write_text(json.dumps({"LlmSettings": settings}))
    given = ["--settings", str(tmp_path / "settings.json")]
    assert price("gpt-4o", *given) == 0
    assert capsys.readouterr().out.startswith("gpt-4o: configured, of backend mine\n")
    assert price("gpt-4o", "--provider", "azure", *given) == 0
    assert capsys.readouterr().out.startswith("gpt-4o at azure: catalogue, ")
    assert price("gpt-4o", "--provider", "aws-bedrock", *given, counts=["--input", "0", "--output", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"gpt-4o at aws-bedrock: price file, {tmp_path}/prices.json\n")
    assert price("house-7b", *given) == 2
    assert "house-7b: it has no price for output" in capsys.readouterr().err
    assert price("hous", *given) == 2
    assert "did you mean house-*" in capsys.readouterr().err


def test_a_fee_for_each_request(capsys):
    assert price("sonar", "--provider", "perplexity", counts=[]) == 0
    assert ", and up to 0.012 USD for each request\n" in capsys.readouterr().out
    assert price("sonar", "--provider", "perplexity") == 2
    assert "each request has a fee that depends on its search context" in capsys.readouterr().err
