"""The guide's settings are accepted as they stand; a wrong one is named, with its path and the nearest right one."""

from __future__ import annotations

import json
import logging
import re
from decimal import Decimal

import pytest
from pydantic import ValidationError
from pydantic.alias_generators import to_pascal as pascal
from support import alone, shared

from llmmetrics import ConfigError
from llmmetrics.settings import model
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import (
    Backend,
    BackendType,
    Budget,
    BudgetMode,
    Durability,
    Health,
    OnBudgetExceeded,
    OnLedgerError,
    OnUnknownPrice,
    Settings,
    Telemetry,
)
from llmmetrics.settings.windows import ResetPeriod, Weekday

GUIDE = "seed/metrics-and-monitoring-guide.md"


def backend(**keys):
    return {"Backends": [{"Name": "a", "Type": "OpenAI", **keys}]}


def test_every_settings_block_of_the_guide_is_accepted():
    blocks = re.findall(r"```json\n(.*?)```", shared(GUIDE).read_text(), re.DOTALL)
    documents = [json.loads(block) for block in blocks]
    wanted = [each for each in documents if "title" not in each]
    assert len(wanted) >= 5
    for document in wanted:
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


def tag_limit(tag):
    return {"Attribution": {"Keys": ["tenant"], "Limits": [{"Tag": tag, "MaxSpendUsd": 5}]}}


WRONG = [
    ({"Telemetrie": {}}, "LlmSettings.Telemetrie is unknown: did you mean Telemetry?"),
    ({"LLMSettings": {}}, "did you mean LlmSettings?"),
    ({"Quux": {}}, "LlmSettings.Quux is unknown: the known keys are Telemetry, Health, Budget, Attribution, Backends"),
    (
        {"Telemetry": {"EnableMetrix": True}},
        "LlmSettings.Telemetry.EnableMetrix is unknown: did you mean EnableMetrics?",
    ),
    (backend(ModelNam="x"), "LlmSettings.Backends[0].ModelNam is unknown: did you mean ModelName?"),
    (backend(model_nam="x"), "did you mean ModelName?"),
    (backend(Qx="x"), "LlmSettings.Backends[0].Qx is unknown: the most similar keys are "),
    ({"Backends": [{"Nme": "x"}]}, "LlmSettings.Backends[0].Nme is unknown: did you mean Name?"),
    (backend(name="b"), "LlmSettings.Backends[0].name is there twice, also as Name: keep one"),
    ({"Backends": [{"Type": "OpenAI"}]}, "LlmSettings.Backends[0].Name is missing"),
    (backend(Name="x" * 201), "LlmSettings.Backends[0].Name: should have at most 200 characters"),
    (backend(Name=""), "LlmSettings.Backends[0].Name: should not be empty"),
    ({"Backends": [{"Name": "a", "Type": "Bard"}]}, "LlmSettings.Backends[0].Type: should be 'OpenAI', 'AzureOpenAI'"),
    ({"Backends": {"Name": "a"}}, "LlmSettings.Backends: should be a list"),
    ({"Backends": ["a"]}, 'LlmSettings.Backends[0]: should be an object, as in {"Key": 1}'),
    ({"Telemetry": 1}, "LlmSettings.Telemetry: should be an object"),
    ({"Attribution": {"Keys": "tenant"}}, "LlmSettings.Attribution.Keys: should be a list, in [ and ]"),
    (
        {"Attribution": {"Keys": ["a b"]}},
        "Attribution.Keys[0]: should be a name of at most 50 letters, digits and _, as in tags(tenant=...)",
    ),
    ({"Attribution": {"Keys": ["a", "b", "a"]}}, "Attribution: Keys has 'a' twice: keep one"),
    (tag_limit("tennant"), "Limits has the Tag 'tennant', which is not in Keys: did you mean 'tenant'?"),
    (tag_limit("feature"), "Limits has the Tag 'feature', which is not in Keys: add it there"),
    ({"Telemetry": {"LogTiming": "maybe"}}, "LlmSettings.Telemetry.LogTiming: should be true or false"),
    ({"Telemetry": {"DurationBuckets": 1}}, "LlmSettings.Telemetry.DurationBuckets: should be a list"),
    ({"Telemetry": {"DurationBuckets": ["x"]}}, "LlmSettings.Telemetry.DurationBuckets[0]: should be a number"),
    ({"Health": {"HealthyThreshold": 1.5}}, "LlmSettings.Health.HealthyThreshold: should be a whole number"),
    ({"PriceFile": 1}, "LlmSettings.PriceFile: should be a string in quotes"),
    ({"llm_settings": []}, "llm_settings should be a JSON object, not list"),
    ({"llm_settings": {}, "LlmSettings": {}}, "LlmSettings is there twice: keep one"),
    (backend(CostPerMillionInputTokens=3), "CostPerMillionOutputTokens is missing"),
    (backend(CostPerMillionOutputTokens=3), "CostPerMillionInputTokens is missing"),
    (backend(CostPerMillionCachedInputTokens=1), "needs CostPerMillionInputTokens and CostPerMillionOutputTokens"),
    (
        backend(CostPerMillionInputTokens=-1, CostPerMillionOutputTokens=1),
        "CostPerMillionInputTokens: should be greater",
    ),
    (backend(CostPerMillionInputTokens=float("nan"), CostPerMillionOutputTokens=1), "finite number"),
    (backend(MaxSpendUsd=0), "MaxSpendUsd: should be greater than 0"),
    (backend(MaxSpendUsd="0.1234567890123"), "MaxSpendUsd: should have no more than 12 decimal places"),
    (backend(MaxSpendUsd="ten"), "MaxSpendUsd: should be a number"),
    (backend(SpendResetPeriod="Yearly"), "SpendResetPeriod: should be 'Hourly', 'Daily'"),
    (backend(SpendResetDayOfMonth=32), "SpendResetDayOfMonth: should be less than or equal to 31"),
    (backend(SpendResetTimeZone="Mars/Olympus"), "SpendResetTimeZone: should be an IANA time zone"),
    (backend(BaseUrl="localhost:8000"), "BaseUrl: should be a URL that starts with http"),
    (backend(BaseUrl="https://"), "BaseUrl: should be a URL"),
    (backend(BaseUrl="https://a b/v1"), "BaseUrl: should be a URL"),
    (backend(BaseUrl="https://a:99999"), "BaseUrl: should be a URL"),
    (backend(SpendResetDayOfMonth=0), "SpendResetDayOfMonth: should be greater than or equal to 1"),
    (backend(SpendResetDayOfWeek="Someday"), "SpendResetDayOfWeek: should be 'Monday', 'Tuesday'"),
    (backend(MaxSpendUsd=float("inf")), "MaxSpendUsd: should be a finite number"),
    (backend(MaxSpendUsd=float("nan")), "MaxSpendUsd: should be a finite number"),
    (backend(MaxSpendUsd="NaN"), "MaxSpendUsd: should be a finite number"),
    (backend(MaxSpendUsd=9_000_001), "MaxSpendUsd: should be less than or equal to 9000000"),
    (backend(MaxSpendUsd=-0.01), "MaxSpendUsd: should be greater than 0"),
    (
        backend(CostPerMillionInputTokens="0.1234567890123", CostPerMillionOutputTokens=1),
        "CostPerMillionInputTokens: should have no more than 12 decimal places",
    ),
    (backend(CostPerMillionCacheWriteTokens=1), "needs CostPerMillionInputTokens and CostPerMillionOutputTokens"),
    ({"Budget": {"LeaseSeconds": 0}}, "Budget.LeaseSeconds: should be greater than 0"),
    ({"Budget": {"SpendAlerts": [0.5, 0]}}, "Budget.SpendAlerts[1]: should be greater than 0"),
    ({"Telemetry": {"DurationBuckets": [0, 1]}}, "DurationBuckets[0]: should be greater than 0"),
    ({"Telemetry": {"DurationBuckets": [1, float("inf")]}}, "DurationBuckets[1]: should be a finite number"),
    (
        {"Backends": backend()["Backends"] * 2},
        "LlmSettings: Backends[0] and Backends[1] have the same Name: give each backend its own",
    ),
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


def test_the_root_in_snake_case():
    assert load({"llm_settings": {"telemetry": {"log_timing": True}}, "Logging": {}}).telemetry.log_timing


@pytest.mark.parametrize("name", ["Memory", "prompt_builders", "plugins"])
def test_a_section_of_the_guides_own_library_in_either_spelling(name, caplog):
    assert load({name: {}}) == Settings()
    assert name in caplog.text


def test_an_unknown_key_hides_no_other_problem():
    wrong = {
        "Telemetrie": {},
        "Backends": [{"Typ": "x"}, {"Name": "b", "MaxSpendUsd": -1}],
        "Health": {"X": "${UNSET}"},
    }
    with pytest.raises(ConfigError) as caught:
        load(wrong, {"UNSET": "1"})
    assert [each.split()[0] for each in str(caught.value).splitlines()[1:]] == [
        "LlmSettings.Telemetrie",
        "LlmSettings.Backends[0].Typ",
        "LlmSettings.Health.X",
        "LlmSettings.Backends[0].Name",
        "LlmSettings.Backends[1].MaxSpendUsd:",
    ]


def test_an_unset_variable_hides_no_unknown_key():
    with pytest.raises(ConfigError, match=r"(?s)Telemetrie is unknown.*the environment variable UNSET is not set"):
        load({"Telemetrie": {}, "PriceFile": "${UNSET}"}, {})


SECTIONS = (Settings, Telemetry, Health, Budget, Backend)


@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title])
@pytest.mark.parametrize(
    ("section", "key", "kind"),
    [
        ("Backends", "Type", BackendType),
        ("Backends", "SpendResetPeriod", ResetPeriod),
        ("Backends", "SpendResetDayOfWeek", Weekday),
        ("Budget", "Mode", BudgetMode),
        ("Budget", "Durability", Durability),
        ("Budget", "OnLedgerError", OnLedgerError),
        ("Budget", "OnUnknownPrice", OnUnknownPrice),
        ("Budget", "OnBudgetExceeded", OnBudgetExceeded),
    ],
)
def test_every_value_of_an_enum_in_any_case(section, key, kind, spell):
    name = next(name for each in SECTIONS for name in each.model_fields if pascal(name) == key)
    for value in kind:
        document = backend(**{key: spell(value)}) if section == "Backends" else {section: {key: spell(value)}}
        found = load(document)
        assert getattr(found.backends[0] if section == "Backends" else found.budget, name) is value


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("OpenAI", "https://api.openai.com"),
        ("Anthropic", "https://api.anthropic.com"),
        ("Gemini", "https://generativelanguage.googleapis.com"),
        ("Cohere", "https://api.cohere.com"),
        ("Ollama", "http://localhost:11434"),
        ("LMStudio", "http://localhost:1234"),
        ("AzureOpenAI", None),
        ("GenericOpenAI", None),
    ],
)
def test_a_type_has_its_public_url(kind, url):
    assert load(backend(Type=kind)).backends[0].base_url_or_default == url
    own = load(backend(Type=kind, BaseUrl="https://example.com/v1/")).backends[0]
    assert own.base_url_or_default == "https://example.com/v1"


def test_the_defaults_are_the_contracts():
    found = load(backend())
    assert found.telemetry.duration_buckets == (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
    assert (found.telemetry.max_models_per_backend, found.telemetry.service_name) == (100, "default")
    assert (found.telemetry.enable_metrics, found.telemetry.log_token_counts, found.telemetry.log_timing) == (
        True,
        False,
        False,
    )
    assert (found.health.unhealthy_threshold, found.health.healthy_threshold) == (3, 2)
    assert found.budget == Budget(
        ledger=None,
        mode=BudgetMode.DOCUMENTED,
        namespace=None,
        lease_seconds=60,
        durability=Durability.NORMAL,
        on_ledger_error=OnLedgerError.REFUSE,
        on_unknown_price=OnUnknownPrice.REFUSE,
        on_budget_exceeded=None,
        spend_alerts=(),
    )
    one = found.backends[0]
    assert (one.spend_reset_period, one.spend_reset_day_of_week) == (ResetPeriod.MONTHLY, Weekday.MONDAY)
    assert (one.spend_reset_day_of_month, one.spend_reset_time_zone, one.max_spend_usd) == (1, "UTC", None)


def test_floats_of_a_mapping_are_what_they_print():
    found = load(backend(CostPerMillionInputTokens=0.15, CostPerMillionOutputTokens=0.6, MaxSpendUsd=0.1)).backends[0]
    assert (found.cost_per_million_input_tokens, found.cost_per_million_output_tokens) == (
        Decimal("0.15"),
        Decimal("0.6"),
    )
    assert found.max_spend_usd == Decimal("0.1")


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        load({}).telemetry.enable_metrics = False


def test_a_section_that_is_left_out_has_its_defaults():
    left_out = load({})
    written = load({"Telemetry": {}, "Health": {}, "Budget": {}, "Attribution": {}})
    assert left_out == written
    assert repr(left_out) == repr(written)
    assert left_out.telemetry.model_copy(update={"service_name": "x"}).service_name == "x"


def test_the_module_itself_imports_nothing_heavy():
    code = (
        f"import runpy, sys; runpy.run_path({model.__file__!r}); "
        "print({'httpx', 'httpx2', 'sqlite3', 'redis', 'rich', 'genai_prices'} & {*sys.modules})"
    )
    assert alone(code).strip() == "set()"
