"""Which backend and model a call belongs to, what it costs, and what is said of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

import httpx
import pytest
from prometheus_client import CollectorRegistry

import llmmetrics
from llmmetrics import ConfigError, Meter
from llmmetrics.testing import observe

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
URL = "https://api.openai.com/v1/chat/completions"


class Setup:
    """A meter whose provider answers what the test says, and the records of its calls."""

    def __init__(self, settings=None, **kwargs):
        self.registry = CollectorRegistry()
        self.meter = Meter.from_settings(settings or {}, registry=self.registry, **kwargs)
        self.body: dict | bytes = {"usage": USAGE}
        self.status = 200
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.answer)))

    def answer(self, request):
        content = {"content": self.body} if isinstance(self.body, bytes) else {"json": self.body}
        return httpx.Response(self.status, **content)

    def post(self, url=URL, model="gpt-4o-mini", **body):
        records = []
        with observe(records.append):
            self.client.post(url, json={"model": model, **body})
        (record,) = records
        return record

    def value(self, name, **labels):
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def has(self, name, **labels):
        return any(
            sample.name == name and labels.items() <= sample.labels.items()
            for family in self.registry.collect()
            for sample in family.samples
        )


def backend(name, kind="OpenAI", **keys):
    return {"Name": name, "Type": kind, **keys}


# the backend


def test_traffic_that_no_backend_claims_is_labelled_with_the_provider():
    setup = Setup()
    cases = {
        URL: "openai",
        "https://api.groq.com/openai/v1/chat/completions": "groq",
        "https://api.anthropic.com/v1/messages": "anthropic",
        "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1": "azure",
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent": "google",
        "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google/models/g:generateContent": "google-vertex",
        "https://api.cohere.com/v2/chat": "cohere",
        "http://localhost:11434/api/chat": "ollama",
        "http://localhost:11434/v1/chat/completions": "ollama",
        "http://localhost:1234/v1/chat/completions": "lmstudio",
        "https://openrouter.ai/api/v1/chat/completions": "openrouter",
        "http://10.0.0.1:8000/v1/chat/completions": "openai-compatible",
        "https://proxy.example/anthropic/v1/messages": "anthropic-compatible",
    }
    assert {url: setup.post(url).backend for url in cases} == cases


def test_an_unclaimed_host_is_said_once(caplog):
    setup = Setup({"Backends": [backend("mine", BaseUrl="https://mine.example")]})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            setup.post()
    assert caplog.text.count("no configured backend has the BaseUrl https://api.openai.com") == 1


def test_the_longest_base_url_then_the_model_then_the_order():
    setup = Setup(
        {
            "Backends": [
                backend("first", BaseUrl="https://host.example", ModelName="a"),
                backend("second", BaseUrl="https://host.example", ModelName="b"),
                backend("deeper", BaseUrl="https://host.example/team", ModelName="c"),
                backend("deployed", BaseUrl="https://host.example/azure", DeploymentName="d"),
            ]
        }
    )
    host = "https://host.example"
    assert setup.post(f"{host}/v1/chat/completions", "a").backend == "first"
    assert setup.post(f"{host}/v1/chat/completions", "b").backend == "second"
    assert setup.post(f"{host}/v1/chat/completions", "z").backend == "first"
    assert setup.post(f"{host}/team/v1/chat/completions", "a").backend == "deeper"
    assert setup.post(f"{host}/teammate/v1/chat/completions", "b").backend == "second"
    assert setup.post(f"{host}/azure/openai/deployments/d/chat/completions").model == "d"
    assert setup.post(f"{host}:443/v1/chat/completions", "b").backend == "second"
    assert setup.post("http://host.example/v1/chat/completions", "b").backend == "openai-compatible"


def test_a_types_public_host_is_its_default():
    kinds = [
        backend(kind, kind) for kind in ("OpenAI", "AzureOpenAI", "Anthropic", "Gemini", "Cohere", "Ollama", "LMStudio")
    ]
    setup = Setup({"Backends": kinds})
    assert setup.post().backend == "OpenAI"
    assert setup.post("https://me.openai.azure.com/openai/deployments/d/chat/completions").backend == "AzureOpenAI"
    assert setup.post("https://api.anthropic.com/v1/messages").backend == "Anthropic"
    assert setup.post("https://api.cohere.com/v2/chat").backend == "Cohere"
    assert setup.post("http://127.0.0.1:11434/v1/chat/completions").backend == "Ollama"
    assert setup.post("http://localhost:1234/v1/chat/completions").backend == "LMStudio"


def test_a_transport_may_belong_to_a_backend():
    setup = Setup({"Backends": [backend("a", BaseUrl="https://a.example"), backend("b", BaseUrl="https://b.example")]})
    setup.client = httpx.Client(transport=setup.meter.transport(httpx.MockTransport(setup.answer), backend="b"))
    assert setup.post("https://a.example/v1/chat/completions").backend == "b"


# the model


def test_the_model_label_is_what_was_asked_for():
    setup = Setup()
    setup.body = {"model": "gpt-4o-mini-2024-07-18", "usage": USAGE}
    record = setup.post()
    assert (record.model, record.model_responded) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    setup.status, setup.body = 500, {}
    assert setup.post().model == "gpt-4o-mini"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"model": 5}', b'{"model": ""}', b"\xff\xfe"])
def test_a_request_that_names_no_model(content):
    setup = Setup()
    records = []
    with observe(records.append):
        setup.client.post(URL, content=content)
    assert records[0].model == "unknown"


def test_a_streamed_upload_passes_and_names_no_model():
    setup = Setup()
    records = []
    with observe(records.append):
        assert setup.client.post(URL, content=iter([b'{"model": "m"}'])).status_code == 200
    assert records[0].model == "unknown"


def test_too_many_models_are_other():
    setup = Setup({"Telemetry": {"MaxModelsPerBackend": 3}})
    names = [setup.post(model=f"m{n}").model for n in range(6)]
    assert names == ["m0", "m1", "m2", "other", "other", "other"]
    assert setup.post(model="m1").model == "m1"
    assert setup.post(model="x" * 300).model == "other"
    assert setup.value("llmmetrics_folded_models_total") == 4
    assert setup.value("llm_requests_total", model="other") == 4


# the price


PRICED = {"CostPerMillionInputTokens": 10, "CostPerMillionOutputTokens": 100}


def test_a_backends_own_price_is_for_its_own_model():
    setup = Setup({"Backends": [backend("b", ModelName="gpt-4o-mini", **PRICED)]})
    assert setup.post().cost_usd == Decimal("0.02")
    assert setup.post(model="gpt-4o").cost_usd == Decimal("0.0035"), "the catalogue's"


def test_a_backends_own_price_without_a_model_is_for_any():
    setup = Setup({"Backends": [backend("b", **PRICED)]})
    assert setup.post(model="whatever").cost_usd == Decimal("0.02")


def test_a_configured_price_comes_before_the_wires_own():
    setup = Setup({"Backends": [backend("b", "GenericOpenAI", BaseUrl="https://openrouter.ai/api", **PRICED)]})
    setup.body = {"usage": {**USAGE, "cost": 7}}
    assert setup.post("https://openrouter.ai/api/v1/chat/completions").cost_usd == Decimal("0.02")
    plain = Setup()
    plain.body = setup.body
    assert plain.post("https://openrouter.ai/api/v1/chat/completions").cost_usd == Decimal(7)


def test_the_catalogue_is_asked_for_the_model_that_answered_first():
    setup = Setup()
    setup.body = {"model": "gpt-4o-2024-08-06", "usage": USAGE}
    assert setup.post(model="my-alias").cost_usd == Decimal("0.0035")
    setup.body = {"model": "a-name-unknown-model", "usage": USAGE}
    assert setup.post(model="gpt-4o-mini").cost_usd == Decimal("0.00021")


def test_an_unknown_price_is_no_zero(caplog):
    setup = Setup()
    record = setup.post(model="unknown-model")
    setup.post(model="unknown-model")
    assert record.cost_usd is None
    assert not setup.has("llm_estimated_cost_usd", model="unknown-model")
    assert setup.value("llmmetrics_calls_without_price_total", backend="openai", model="unknown-model") == 2
    assert caplog.text.count("no price is known for 'unknown-model'") == 1


def test_what_runs_at_home_has_no_catalogue_price():
    setup = Setup()
    assert setup.post("http://localhost:11434/v1/chat/completions", model="gpt-4o-mini").cost_usd is None


def test_a_cost_child_exists_from_the_start_where_the_price_is_known():
    setup = Setup(
        {
            "Backends": [
                backend("own", ModelName="x", **PRICED),
                backend("catalogue", BaseUrl="https://api.openai.com/v1", ModelName="gpt-4o"),
                backend("unpriced", BaseUrl="https://y.example", ModelName="y"),
                backend("local", "Ollama", ModelName="gpt-4o"),
            ]
        }
    )
    assert {
        name: setup.has("llm_estimated_cost_usd", backend=name) for name in ("own", "catalogue", "unpriced", "local")
    } == {
        "own": True,
        "catalogue": True,
        "unpriced": False,
        "local": False,
    }
    for name in ("own", "catalogue", "unpriced", "local"):
        assert setup.has("llm_requests_total", backend=name, status="timeout")
        assert setup.has("llm_tokens_total", backend=name, token_type="total")
        assert setup.has("llm_errors_total", backend=name, error_type="auth")
        assert setup.value("llm_backend_health", backend=name) == 1
        assert setup.has("llm_active_requests", backend=name)


# known, estimated, unknown


def test_a_call_without_usage_is_estimated():
    setup = Setup({"Backends": [backend("b", **PRICED)]})
    setup.body = {"choices": [{"message": {"content": "No, not at all. " * 5}}]}
    record = setup.post(messages=[{"role": "user", "content": "Is it so now? " * 40}])
    assert not record.usage_known
    prompt, completion, total = record.usage.prompt, record.usage.completion, record.usage.total
    assert (70 < prompt < 200, 20 < completion < 35) == (True, True)
    assert record.cost_usd == (10 * prompt + 100 * completion) * Decimal("0.000001")
    assert setup.value("llmmetrics_calls_without_usage_total", reason="absent") == 1
    assert setup.value("llmmetrics_estimated_tokens_total", token_type="total") == total
    assert setup.value("llm_tokens_total", token_type="total") == total


def test_an_error_answer_used_nothing():
    setup = Setup({"Backends": [backend("b", **PRICED)]})
    setup.status, setup.body = 429, {"error": {"code": "insufficient_quota"}}
    record = setup.post()
    assert (record.usage, record.usage_known, record.cost_usd) == (None, True, Decimal(0))
    assert setup.value("llmmetrics_calls_without_usage_total") == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"<html>no</html>", "malformed"), (b"", "malformed"), (b'"text"', "malformed")],
)
def test_a_body_that_is_not_what_its_format_says(body, reason):
    setup = Setup()
    setup.body = body
    record = setup.post()
    assert (record.status, record.error_type) == ("failure", "unknown")
    assert setup.value("llmmetrics_unread_calls_total", reason=reason) == 1


@pytest.mark.parametrize("value", [-1, "12", 1e30, True, [1]])
def test_a_count_that_cannot_be_is_rejected_and_counted(value):
    setup = Setup()
    setup.body = {"model": "m", "usage": {**USAGE, "prompt_tokens": value}}
    record = setup.post()
    assert not record.usage_known
    assert record.model_responded == "m"
    assert setup.value("llmmetrics_unread_calls_total", reason="usage") == 1


# what is said


def test_one_line_a_call_without_content(caplog):
    setup = Setup({"Telemetry": {"LogTokenCounts": True, "LogTiming": True}})
    with caplog.at_level(logging.INFO, "llmmetrics.calls"):
        setup.post(messages=[{"role": "user", "content": "SECRET"}])
    (line,) = [record.getMessage() for record in caplog.records if record.name == "llmmetrics.calls"]
    assert line.startswith(
        "backend=openai model=gpt-4o-mini status=success error_type=- prompt_tokens=1000 completion_tokens=100 "
        "tokens=known cost_usd=0.00021 duration_seconds="
    )
    assert "SECRET" not in line


def test_nothing_is_logged_unless_asked_for(caplog):
    with caplog.at_level(logging.DEBUG, "llmmetrics"):
        Setup().post()
    assert not [record for record in caplog.records if record.name.startswith("llmmetrics")]


def test_a_model_cannot_forge_a_line(caplog):
    setup = Setup({"Telemetry": {"LogTiming": True}})
    with caplog.at_level(logging.INFO, "llmmetrics.calls"):
        setup.post(model="m status=success\nbackend=x")
    (message,) = [record.getMessage() for record in caplog.records if record.name == "llmmetrics.calls"]
    assert 'model="m status=success\\nbackend=x" status=success' in message


def test_a_second_meter_does_not_heal_a_backend():
    setup = Setup({"Backends": [backend("b")]})
    setup.status = 500
    for _ in range(3):
        setup.post()
    Meter.from_settings({"Backends": [backend("b")]}, registry=setup.registry)
    assert setup.value("llm_backend_health", backend="b") == 0


# robustness


def test_metering_never_breaks_a_call(monkeypatch, caplog):
    from llmmetrics.reading import outcome

    setup = Setup()
    monkeypatch.setattr(outcome, "parse", lambda *_: 1 / 0)
    for _ in range(2):
        assert setup.client.post(URL, json={"model": "m"}).status_code == 200
    assert setup.value("llmmetrics_internal_errors_total", where="finish") == 2
    assert setup.value("llm_active_requests") == 0
    assert caplog.text.count("internal error of llmmetrics in finish (ZeroDivisionError at ") == 1


def test_an_observer_that_raises_is_counted():
    setup = Setup()
    with observe(lambda record: 1 / 0):
        assert setup.client.post(URL, json={"model": "m"}).status_code == 200
    assert setup.value("llmmetrics_internal_errors_total", where="observer") == 1


def test_every_reading_of_time_goes_through_the_clock():
    class Frozen:
        def monotonic(self):
            return 5.0

        def now(self):
            return datetime(2030, 1, 1, tzinfo=UTC)

    record = Setup(clock=Frozen()).post()
    assert record.duration == 0
    assert record.ended_at == datetime(2030, 1, 1, tzinfo=UTC)


# health


def test_health_has_hysteresis():
    setup = Setup({"Backends": [backend("b")]})

    def after(*statuses):
        for setup.status in statuses:
            setup.post()
        return setup.value("llm_backend_health", backend="b")

    assert after(500, 500) == 1
    assert after(200, 500, 500) == 1, "in a row"
    assert after(400, 404) == 1, "the caller's fault"
    assert after(503) == 0
    assert after(200, 400) == 0
    assert after(500, 200) == 0, "in a row"
    assert after(200) == 1


def test_a_meter_takes_the_content_of_a_file():
    meter = Meter({"llm_settings": {"Backends": [backend("a")]}}, registry=CollectorRegistry())
    assert [each.name for each in meter.settings.backends] == ["a"]
    with pytest.raises(ConfigError, match="did you mean Backends"):
        Meter({"Backend": []}, registry=CollectorRegistry())


def test_a_meter_closes_at_the_end_of_its_with(tmp_path):
    limited = {"Backends": [backend("a", MaxSpendUsd=1)], "Budget": {"Ledger": f"sqlite:///{tmp_path}/spend.db"}}
    with Meter(limited, registry=CollectorRegistry()) as meter:
        assert isinstance(meter, Meter)
        assert meter.engine.enforcer.close.alive
    assert not meter.engine.enforcer.close.alive


def test_the_version_is_the_distributions():
    assert llmmetrics.__version__ == version("llmmetrics")
    with pytest.raises(AttributeError, match="has no attribute '__versoin__'"):
        llmmetrics.__versoin__  # noqa: B018
