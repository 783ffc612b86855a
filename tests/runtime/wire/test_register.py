"""A format of somebody else's: the example of the documentation."""

from __future__ import annotations

import json
import re
from copy import copy
from pathlib import Path

import pytest

from llmmetrics import read_exchange, wire

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "formats.md"


@pytest.fixture
def example(monkeypatch):
    monkeypatch.setattr(wire, "FORMATS", copy(wire.FORMATS))
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf8"), re.DOTALL)
    assert len(code.splitlines()) <= 25
    exec(compile(code, str(DOCUMENT), "exec"), {})


def read(path, body, request=b"{}"):
    return read_exchange(
        method="POST",
        url=f"https://llm.acme.example{path}",
        request_headers=[],
        request_body=request,
        status=200,
        response_headers=[],
        response_body=body,
    )


def test_the_example_reads_a_whole_answer(example):
    seen = read("/acme/big/talk", json.dumps({"engine": "big-2", "consumption": {"read": 3, "written": 4}}).encode())
    assert (seen.provider, seen.api, seen.model_requested, seen.model_responded) == (
        *("acme-compatible", "acme.talk"),
        *("big", "big-2"),
    )
    assert (seen.usage.prompt, seen.usage.completion) == (3, 4)


def test_the_example_reads_a_stream(example):
    events = [{"engine": "big-2"}, {"text": "a"}, {"consumption": {"read": 3}}, {"consumption": {"written": 9}}]
    body = "".join(f"data: {json.dumps(each)}\n\n" for each in events) + "data: [DONE]\n\n"
    seen = read("/acme/big/talk-live", body.encode())
    assert (seen.model_responded, seen.usage.prompt, seen.usage.completion) == ("big-2", 3, 9)
    assert wire.asked(wire.claim("POST", "llm.acme.example", "/acme/big/talk-live"), b"{}") == ("big", True)


def test_unknown_is_unknown(example):
    assert read("/acme/big/talk", b'{"engine": "big-2"}').usage is None
    assert read("/acme/big/talk", b'{"consumption": {"read": -3}}').usage is None


def test_a_registered_format_comes_first_and_replaces_its_namesake(example):
    mine = wire.FORMATS[0]._replace(path=re.compile(r"/v1/messages$"))
    wire.register(mine)
    assert wire.claim("POST", "api.anthropic.com", "/v1/messages").format is mine
    assert [each.id for each in wire.FORMATS].count("acme.talk") == 1


def test_ids_are_unique():
    ids = [each.id for each in wire.FORMATS]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "path",
    [
        # what other servers have under names that are nearly ours
        *("/v1/models/my-embedding:predict", "/v1/complete", "/interactions", "/v1/chat", "/v1/embed", "/v1/generate"),
        # other endpoints of providers
        *("/v1/messages/batches", "/v1/files", "/v1/images/styles", "/v1/responses/resp_1/cancel"),
        *("/v1beta/models/gemini-2.5-flash:batchGenerateContent", "/model/amazon.nova-canvas-v1:0/invoke"),
    ],
)
def test_what_is_no_call(path):
    assert wire.claim("POST", "api.example.com", path) is None
    assert wire.claim("GET", "api.openai.com", "/v1/chat/completions") is None


@pytest.mark.parametrize(
    ("host", "path", "format"),
    [
        ("localhost", "/api/embeddings", "ollama.embed"),
        ("localhost", "/api/embed", "ollama.embed"),
        ("api.openai.com", "/v1/embeddings", "openai.embeddings"),
        ("openrouter.ai", "/api/v1/embeddings", "openai.embeddings"),
    ],
)
def test_ollama_s_own_embeddings_are_its_own(host, path, format):
    assert wire.claim("POST", host, path).format.id == format
