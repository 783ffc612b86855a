"""A format is one row of `wire` and one row of `testing.shapes`: everything else is served from them."""

from __future__ import annotations

import json
from copy import copy

import httpx
import pytest
from support import doc_tables
from support.budget_setup import Setup
from support.format_rows import FORMAT, SHAPE, forgotten

from llmmetrics import wire
from llmmetrics.testing import Answer, Request, faults, reply
from llmmetrics.testing.shapes import SHAPES
from llmmetrics.wire import hosts

URL = "https://api.acme.example/acme/talk"
ASK = {"engine": "m", "bounds": {"most": 3}}
SDK = {"user-agent": "openai/python"}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(wire, "FORMATS", copy(wire.FORMATS))
    monkeypatch.setattr(hosts, "_NAMES", dict(hosts._NAMES))
    monkeypatch.setattr("llmmetrics.testing.simulator.SHAPES", [*SHAPES, SHAPE])
    monkeypatch.setattr("support.format_rows.SHAPES", [*SHAPES, SHAPE])
    wire.register(FORMAT)


def simulated(script):
    """The simulated provider as the answer of a `Setup`."""

    def answer(request):
        sent = Request("POST", request.url.path, body=request.content, host=request.url.host)
        made = reply(sent, script)
        return httpx.Response(made.status, headers=list(made.headers), content=b"".join(made.chunks))

    return answer


@pytest.fixture
def setup(request):
    answer = simulated(getattr(request, "param", Answer(completion_tokens=3)))
    setup = Setup("10", answer=answer, backend={"BaseUrl": "https://api.acme.example"}, Mode="strict")
    yield setup
    setup.meter.close()


def test_its_rows_lack_nothing():
    assert forgotten(FORMAT) == []


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_counted(setup, stream):
    answer = setup.client.post(URL, json={**ASK, "stream": stream})
    assert answer.status_code == 200
    assert setup.value("llm_requests_total", backend="b", status="success") == 1
    assert setup.value("llm_tokens_total", token_type="completion") == 3
    assert not setup.value("llmmetrics_estimated_tokens_total")


def test_its_host_is_the_provider_s():
    assert wire.provider_of(hosts.Origin("https", "api.acme.example", None)) == "acme"


@pytest.mark.parametrize("setup", [Answer("word " * 20, usage=False)], indirect=True)
def test_its_missing_usage_is_estimated_from_its_own_names(setup):
    setup.client.post(URL, json=ASK)
    assert setup.value("llm_tokens_total", token_type="completion") > 20


@pytest.mark.parametrize("setup", [Answer("word", usage=False)], indirect=True)
@pytest.mark.parametrize("name", ["talk", "briefing"])
def test_its_prompt_is_estimated_from_its_own_names(setup, name):
    setup.client.post(URL, json={**ASK, name: "word " * 100})
    assert setup.value("llm_tokens_total", token_type="prompt") > 50


def test_its_prompt_is_a_conversation_of_the_simulator():
    body = {"briefing": "S", "talk": [{"role": "user", "content": "U"}]}
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    assert Request("POST", "/acme/talk", body=json.dumps(body).encode()).messages == turns


@pytest.mark.parametrize("setup", [faults.RATE_LIMIT], indirect=True)
def test_its_faults_are_counted(setup):
    assert setup.client.post(URL, json=ASK).status_code == 429
    assert setup.value("llm_errors_total", error_type="rate_limit") == 1


@pytest.mark.parametrize("setup", [faults.ERROR_IN_200], indirect=True)
@pytest.mark.parametrize("stream", [False, True])
def test_its_error_inside_a_200_is_counted(setup, stream):
    assert setup.client.post(URL, json={**ASK, "stream": stream}).status_code == 200
    assert setup.value("llm_errors_total", error_type="api_error") == 1


def test_a_strict_budget_reads_its_output_limit_and_refuses_in_its_own_body(setup):
    most = {"engine": "m", "bounds": {"most": 3, "answers": 3}}
    assert setup.client.post(URL, json=most, headers=SDK).status_code == 200
    refused = setup.client.post(URL, json=most, headers=SDK)
    assert refused.status_code == 402
    assert refused.json().keys() == {"failure"}
    assert "Set bounds.most to 2 or less" in refused.json()["failure"]["reason"]
    assert setup.client.post(URL, json=ASK, headers=SDK).status_code == 200
    assert setup.client.post(URL, json={"engine": "m"}, headers=SDK).status_code == 402


def test_it_has_a_row_in_the_documentation():
    assert "| `acme.talk` | `/acme/talk` | read | `bounds.most` | an example |" in doc_tables.formats()


def test_its_path_is_simulated():
    (body,) = reply(Request("POST", "/acme/talk", body=json.dumps(ASK).encode()), Answer("Hello.")).chunks
    assert json.loads(body)["speech"] == "Hello."


@pytest.mark.parametrize("name", [*(each.id for each in wire.FORMATS)])
def test_no_format_lacks_anything(name):
    (format,) = (each for each in wire.FORMATS if each.id == name)
    lacks = forgotten(format)
    assert not lacks, "\n".join(lacks)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"example": ""}, "example"),
        ({"example": "/v1/messages"}, "example"),
        ({"note": ""}, "note"),
        ({"refusal": None}, "refusal"),
        ({"output_limits": None}, "output_limits"),
        ({"prompt_names": None}, "prompt_names"),
        ({"id": "acme.other"}, "shape"),
        ({"completion_names": frozenset({"content"})}, "completion_names"),
        ({"fields": ("consumption", "engine", "failure")}, "error"),
        ({"read": lambda body: wire.Reading(body.get("engine"))}, "error"),
    ],
)
def test_what_is_forgotten_is_named(change, names):
    format = FORMAT._replace(**change)
    wire.register(format)
    (sentence,) = forgotten(format)
    assert sentence.startswith(f"{format.id} has no {names}: ")
