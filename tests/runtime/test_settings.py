"""The guide's settings are accepted as they stand; a wrong one is named, with its path and the nearest right one."""

from __future__ import annotations

import json
import logging
import re
import traceback
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import shared

from llmmetrics import ConfigError
from llmmetrics.loading import load
from llmmetrics.settings import BackendType, BudgetMode, ResetPeriod, Settings

GUIDE = "seed/metrics-and-monitoring-guide.md"


def backend(**keys):
    return {"Backends": [{"Name": "a", "Type": "OpenAI", **keys}]}


def test_every_settings_block_of_the_guide_is_accepted():
    blocks = re.findall(r"```json\n(.*?)```", shared(GUIDE).read_text(), re.DOTALL)
    documents = [json.loads(block) for block in blocks]
    settings = [each for each in documents if "title" not in each]
    assert len(settings) >= 5
    for document in settings:
        for each in document.get("Backends", []):
            # the guide's fragment on budgets leaves the type out
            each.setdefault("Type", "OpenAI")
        assert isinstance(load(document), Settings)


def test_prices_are_exact_from_a_file(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(
        '{"LlmSettings": {"Backends": [{"Name": "a", "Type": "OpenAI", "CostPerMillionInputTokens": 0.15, "CostPerMillionOutputTokens": 0.123456789012}]}}'
    )
    found = load(path).backends[0]
    assert found.cost_per_million_input_tokens == Decimal("0.15")
    assert found.cost_per_million_output_tokens == Decimal("0.123456789012")


def test_both_spellings_and_any_case_of_values():
    document = {"telemetry": {"log_timing": True, "LogTokenCounts": True}, "budget": {"Mode": "Strict"}}
    found = load(document)
    assert found.telemetry.log_timing
    assert found.telemetry.log_token_counts
    assert found.budget.mode is BudgetMode.STRICT
    one = load({"Backends": [{"name": "a", "type": "azureopenai", "SpendResetPeriod": "DAILY"}]}).backends[0]
    assert one.type is BackendType.AZURE_OPENAI
    assert one.spend_reset_period is ResetPeriod.DAILY


def test_other_sections_of_an_application_are_its_own():
    assert load({"LlmSettings": {}, "Logging": {"LogLevel": "Debug"}}) == Settings()


def test_sections_of_the_guides_own_library_give_one_warning(caplog):
    load({"LlmSettings": {"Memory": {"x": 1}, "Plugins": [], "Caching": {}}})
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert all(name in record.getMessage() for name in ("Memory", "Plugins", "Caching"))


WRONG = [
    ({"Telemetrie": {}}, "LlmSettings.Telemetrie is unknown: did you mean Telemetry?"),
    ({"LLMSettings": {}}, "did you mean LlmSettings?"),
    ({"Quux": {}}, "LlmSettings.Quux is unknown: known here: Telemetry, Health, Budget, Backends"),
    (
        {"Telemetry": {"EnableMetrix": True}},
        "LlmSettings.Telemetry.EnableMetrix is unknown: did you mean EnableMetrics?",
    ),
    (backend(ModelNam="x"), "LlmSettings.Backends[0].ModelNam is unknown: did you mean ModelName?"),
    (backend(model_nam="x"), "did you mean ModelName?"),
    (backend(name="b"), "LlmSettings.Backends[0].name stands there twice, also as Name: keep one"),
    ({"Backends": [{"Type": "OpenAI"}]}, "LlmSettings.Backends[0].Name is missing"),
    ({"Backends": [{"Name": "a"}]}, "LlmSettings.Backends[0].Type is missing"),
    ({"Backends": [{"Name": "a", "Type": "Bard"}]}, "LlmSettings.Backends[0].Type: should be 'OpenAI', 'AzureOpenAI'"),
    ({"Backends": {"Name": "a"}}, "LlmSettings.Backends: "),
    (backend(CostPerMillionInputTokens=3), "CostPerMillionOutputTokens is missing"),
    (backend(CostPerMillionOutputTokens=3), "CostPerMillionInputTokens is missing"),
    (backend(CostPerMillionCachedInputTokens=1), "the price of a cache needs"),
    (
        backend(CostPerMillionInputTokens=-1, CostPerMillionOutputTokens=1),
        "CostPerMillionInputTokens: should be greater",
    ),
    (backend(CostPerMillionInputTokens=float("nan"), CostPerMillionOutputTokens=1), "finite number"),
    (backend(MaxSpendUsd=0), "MaxSpendUsd: should be greater than 0"),
    (backend(MaxSpendUsd="ten"), "MaxSpendUsd: should be a valid decimal"),
    (backend(SpendResetPeriod="Yearly"), "SpendResetPeriod: should be 'Hourly', 'Daily'"),
    (backend(SpendResetDayOfMonth=32), "SpendResetDayOfMonth: should be less than or equal to 31"),
    (backend(SpendResetTimeZone="Mars/Olympus"), "SpendResetTimeZone: should be an IANA time zone"),
    (backend(BaseUrl="localhost:8000"), "BaseUrl: should be a URL that starts with http"),
    (backend(BaseUrl="https://"), "BaseUrl: should be a URL"),
    ({"Backends": backend()["Backends"] * 2}, "each backend needs a Name of its own: a stands there twice"),
    ({"Telemetry": {"DurationBuckets": [1, 1]}}, "DurationBuckets should be seconds in increasing order"),
    ({"Telemetry": {"DurationBuckets": []}}, "DurationBuckets"),
    ({"Telemetry": {"MaxModelsPerBackend": 0}}, "MaxModelsPerBackend: should be greater"),
    ({"Health": {"UnhealthyThreshold": 0}}, "UnhealthyThreshold: should be greater"),
    ({"Budget": {"Mode": "loose"}}, "Budget.Mode: should be 'shadow', 'documented' or 'strict'"),
    ({"LlmSettings": []}, "LlmSettings should be a JSON object, not list"),
    (["x"], "the settings should be a JSON object, not list"),
    (None, "the settings should be a JSON object, not NoneType"),
]


@pytest.mark.parametrize(("document", "message"), WRONG)
def test_a_wrong_document_says_where_and_what(document, message):
    with pytest.raises(ConfigError) as caught:
        load(document)
    assert message in str(caught.value)


def test_every_problem_is_named_at_once():
    with pytest.raises(ConfigError) as caught:
        load(backend(MaxSpendUsd=-1, SpendResetTimeZone="Mars"))
    assert str(caught.value).count("\n") == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{'a': 1}", "settings.json:1:2: not JSON"),
        (b"", "not JSON"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[1]", "should be a JSON object, not list"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_is_no_settings(tmp_path, content, message):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["missing.json", ""])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / name)


def test_a_byte_order_mark_is_no_error(tmp_path):
    path = tmp_path / "settings.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    assert load(str(path)) == Settings()


def test_variables_come_from_the_environment():
    found = load(
        backend(ApiKey="${KEY}", BaseUrl="https://${HOST}/v1"), {"KEY": "sk-1", "HOST": "example.com"}
    ).backends[0]
    assert found.api_key.get_secret_value() == "sk-1"
    assert found.base_url == "https://example.com/v1"


def test_a_variable_that_is_not_set_is_named():
    with pytest.raises(
        ConfigError, match=re.escape("LlmSettings.Backends[0].ApiKey: the environment variable KEY is not set")
    ):
        load(backend(ApiKey="${KEY}"), {})


SECRET = "sk-live-4711"


@pytest.mark.parametrize(
    "document",
    [
        backend(ApiKey="${KEY}"),
        backend(ApiKey="${KEY}", MaxSpendUsd=-1),
        backend(ApiKey=["${KEY}"]),
        backend(ModelName=["${KEY}"]),
        backend(BaseUrl="${KEY}"),
        backend(Type="${KEY}"),
        backend(SpendResetTimeZone="${KEY}"),
        backend(MaxSpendUsd="${KEY}"),
        {"Backends": ["${KEY}"]},
        {"Telemetry": "${KEY}"},
    ],
)
def test_a_secret_is_never_shown(document):
    try:
        shown = repr(load(document, {"KEY": SECRET}))
    except ConfigError as exc:
        shown = "".join(traceback.format_exception(exc)) + repr(exc.__context__) + repr(exc.__cause__)
    assert SECRET not in shown


KEYS = st.sampled_from(["LlmSettings", "Backends", "Name", "Type", "Telemetry", "ApiKey", "MaxSpendUsd", "x", "name"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("OpenAI"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(JSON.filter(lambda value: not isinstance(value, str)))
def test_any_document_is_settings_or_a_config_error(document):
    with suppress(ConfigError):
        assert isinstance(load(document, {}), Settings)
