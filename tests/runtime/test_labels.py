"""The labels backend and model of a call."""

from __future__ import annotations

import logging

import httpx
import pytest
from support.meter_setup import URL, USAGE, Setup, backend

from llmmetrics.testing import observe

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
