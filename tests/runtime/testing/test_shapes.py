"""The bytes themselves, without a meter: each provider's own fields, and its SDK's reading of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.shape_requests import AWS, events, post

from llmmetrics.testing import Answer, Request, reply

ANSWER = Answer(
    " one two\n", prompt_tokens=120, completion_tokens=30, cache_read=40, cache_write=10, reasoning=5, model="answered"
)

CHAT = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}

RESPONSES = {"input_tokens": 120, "output_tokens": 30, "total_tokens": 150}

INTERACTION = {
    "total_input_tokens": 120,
    "total_output_tokens": 25,
    "total_thought_tokens": 5,
    "total_cached_tokens": 40,
    "total_tokens": 150,
}

CONVERSE = {
    "inputTokens": 70,
    "outputTokens": 30,
    "totalTokens": 150,
    "cacheReadInputTokens": 40,
    "cacheWriteInputTokens": 10,
}

NOVA = {"inputTokens": 70, "outputTokens": 30, "cacheReadInputTokenCount": 40, "cacheWriteInputTokenCount": 10}

METRICS = {
    "inputTokenCount": 70,
    "outputTokenCount": 30,
    "cacheReadInputTokenCount": 40,
    "cacheWriteInputTokenCount": 10,
}

_METRICS = ("amazon-bedrock-invocationMetrics",)

VERTEX = "/v1/projects/p/locations/l/publishers"

ANTHROPIC = {
    "input_tokens": 70,
    "cache_read_input_tokens": 40,
    "cache_creation_input_tokens": 10,
    "output_tokens": 30,
}

GEMINI = {
    "promptTokenCount": 120,
    "candidatesTokenCount": 25,
    "thoughtsTokenCount": 5,
    "cachedContentTokenCount": 40,
    "totalTokenCount": 150,
}

COHERE = {"tokens": {"input_tokens": 120, "output_tokens": 30}, "cached_tokens": 40}

OLLAMA = {"prompt_eval_count": 120, "eval_count": 30, "done": True}

ASKED = {"stream_options": {"include_usage": True}}

# path, request, where a whole body keeps its usage, what it is
WHOLE = {
    "chat": ("/v1/chat/completions", {}, ("usage",), CHAT),
    "azure": ("/openai/deployments/m/chat/completions", {}, ("usage",), CHAT),
    "completions": ("/v1/completions", {}, ("usage",), CHAT),
    "responses": ("/v1/responses", {}, ("usage",), RESPONSES),
    "embeddings": ("/v1/embeddings", {}, ("usage",), {"prompt_tokens": 120, "total_tokens": 120}),
    "anthropic": ("/v1/messages", {}, ("usage",), ANTHROPIC),
    "gemini": ("/v1beta/models/m:generateContent", {}, ("usageMetadata",), GEMINI),
    "cohere": ("/v2/chat", {}, ("usage",), COHERE),
    "cohere v1": ("/cohere/v1/chat", {}, ("meta",), COHERE),
    "cohere generate": ("/cohere/v1/generate", {}, ("meta",), COHERE),
    "cohere embed": ("/v2/embed", {}, ("meta", "billed_units"), {"input_tokens": 120}),
    "rerank": ("/v2/rerank", {}, ("meta", "billed_units"), {"search_units": 1}),
    "voyage rerank": ("/voyage/v1/rerank", {}, ("usage",), {"total_tokens": 120}),
    "voyage embeddings": ("/voyage/v1/embeddings", {}, ("usage",), {"total_tokens": 120}),
    "gemini embed": ("/v1beta/models/m:embedContent", {}, ("usageMetadata",), {"promptTokenCount": 120}),
    "interactions": ("/v1beta/interactions", {}, ("usage",), INTERACTION),
    "vertex anthropic": (f"{VERTEX}/anthropic/models/m:rawPredict", {}, ("usage",), ANTHROPIC),
    "vertex chat": (f"{VERTEX}/mistralai/models/m:rawPredict", {}, ("usage",), CHAT),
    "converse": ("/model/m/converse", {}, ("usage",), CONVERSE),
    "invoke claude": ("/model/anthropic.m/invoke", {}, ("usage",), ANTHROPIC),
    "invoke nova": ("/model/amazon.nova/invoke", {}, ("usage",), NOVA),
    "invoke titan": ("/model/amazon.titan/invoke", {}, (), {"inputTextTokenCount": 120}),
    "invoke llama": ("/model/meta.llama/invoke", {}, (), {"prompt_token_count": 120, "generation_token_count": 30}),
    "invoke any": ("/model/m/invoke", {}, ("usage",), CHAT),
    "count anthropic": ("/v1/messages/count_tokens", {}, (), {"input_tokens": 120}),
    "count openai": ("/v1/responses/input_tokens", {}, (), {"input_tokens": 120}),
    "count gemini": ("/v1beta/models/m:countTokens", {}, (), {"totalTokens": 120}),
    "count bedrock": ("/model/m/count-tokens", {}, (), {"inputTokens": 120}),
    "ollama embed": ("/api/embed", {}, (), {"prompt_eval_count": 120}),
    "ollama chat": ("/api/chat", {"stream": False}, (), OLLAMA),
    "ollama generate": ("/api/generate", {"stream": False}, (), OLLAMA),
}

# path, request, content type, which event has the usage, where in it, what it is
STREAMS = {
    "chat": ("/v1/chat/completions", ASKED, "text/event-stream", -1, ("usage",), CHAT),
    "completions": ("/v1/completions", ASKED, "text/event-stream", -1, ("usage",), CHAT),
    "responses": ("/v1/responses", {}, "text/event-stream", -1, ("response", "usage"), RESPONSES),
    "anthropic": ("/v1/messages", {}, "text/event-stream", 0, ("message", "usage"), {**ANTHROPIC, "output_tokens": 1}),
    "anthropic end": ("/v1/messages", {}, "text/event-stream", -2, ("usage",), {"output_tokens": 30}),
    "gemini sse": (
        *("/v1beta/models/m:streamGenerateContent?alt=sse", {}, "text/event-stream", -1),
        *(("usageMetadata",), GEMINI),
    ),
    "gemini array": (
        *("/v1beta/models/m:streamGenerateContent?key=k", {}, "application/json", -1),
        *(("usageMetadata",), GEMINI),
    ),
    "cohere": ("/v2/chat", {}, "text/event-stream", -1, ("delta", "usage"), COHERE),
    "cohere v1": ("/cohere/v1/chat", {}, "application/stream+json", -1, ("response", "meta"), COHERE),
    "interactions": (
        "/v1beta/interactions",
        {"stream": True},
        "text/event-stream",
        -1,
        ("interaction", "usage"),
        INTERACTION,
    ),
    "vertex chat": (f"{VERTEX}/mistralai/models/m:streamRawPredict", {}, "text/event-stream", -1, ("usage",), CHAT),
    "converse": ("/model/m/converse-stream", {}, AWS, -1, ("metadata", "usage"), CONVERSE),
    **{
        f"invoke {maker}": (f"/model/{maker}/invoke-with-response-stream", {}, AWS, -1, _METRICS, METRICS)
        for maker in ("anthropic.m", "amazon.nova", "amazon.titan", "meta.llama", "cohere.command", "m")
    },
    "ollama chat": ("/api/chat", {}, "application/x-ndjson", -1, (), OLLAMA),
    "ollama generate": ("/api/generate", {}, "application/x-ndjson", -1, (), OLLAMA),
}


def at(doc, where):
    for name in where:
        doc = doc[name]
    return doc


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer(provider, name):
    path, body, where, usage = WHOLE[name]
    provider.script(ANSWER)
    made = post(provider.url + path, json={"model": "m", **body})
    assert (made.status_code, made.headers["content-type"]) == (200, "application/json")
    assert usage.items() <= at(made.json(), where).items()
    assert "content-length" in made.headers


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream(provider, name):
    path, body, kind, which, where, usage = STREAMS[name]
    provider.script(ANSWER)
    asked = body if path.startswith(("/api", "/v1beta", "/model", VERTEX)) else {**body, "stream": True}
    made = post(provider.url + path, json={"model": "m", **asked})
    assert (made.status_code, made.headers["content-type"]) == (200, kind)
    assert made.headers["transfer-encoding"] == "chunked"
    assert usage.items() <= at(events(made)[which], where).items()


@pytest.mark.parametrize("maker", ["anthropic.m", "amazon.nova", "meta.llama", "cohere.command", "mistral.m"])
def test_bedrock_counts_in_headers_too(provider, maker):
    provider.script(ANSWER, replace(ANSWER, usage=False))
    counted, silent = (post(f"{provider.url}/model/{maker}/invoke", json={}).headers for _ in range(2))
    names = {"input": 70, "output": 30, "cache-read-input": 40, "cache-write-input": 10}
    assert {name: int(counted[f"x-amzn-bedrock-{name}-token-count"]) for name in names} == names
    assert not [name for name in silent if "token-count" in name]


def test_embeddings_have_no_output(provider):
    provider.script(ANSWER)
    headers = post(f"{provider.url}/model/cohere.embed/invoke", json={"texts": ["a"]}).headers
    assert headers["x-amzn-bedrock-output-token-count"] == "0"


@pytest.mark.parametrize(("given", "counts"), [(3, [40, 40, 40]), (7, [18, 17, 17, 17, 17, 17, 17])])
def test_vertex_counts_embeddings_one_by_one(provider, given, counts):
    provider.script(ANSWER)
    made = post(f"{provider.url}{VERTEX}/google/models/text-embedding:predict", json={"instances": [{}] * given}).json()
    assert [each["embeddings"]["statistics"]["token_count"] for each in made["predictions"]] == counts


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/cohere/v1/tokenize", ("tokens",)),
        ("/v1/tokenize-text", ("token_ids",)),
        (f"{VERTEX}/google/models/m:computeTokens", ("tokensInfo", 0, "tokenIds")),
    ],
)
def test_a_tokenizer_gives_so_many_tokens(provider, path, where):
    provider.script(ANSWER)
    assert len(at(post(provider.url + path, json={}).json(), where)) == 120


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_openai_streams_usage_only_when_asked(provider, path):
    plain = events(post(provider.url + path, json={"stream": True}))
    assert all("usage" not in event for event in plain)
    *others, last = events(post(provider.url + path, json={"stream": True, **ASKED}))
    assert [event["usage"] for event in others] == [None] * len(plain)
    assert last["choices"] == []
    assert others[-1]["choices"][0]["finish_reason"] == "stop"


def test_the_events_of_a_response_are_in_openai_s_order(provider):
    provider.script(Answer("one"))
    kinds = [event["type"] for event in events(post(f"{provider.url}/v1/responses", json={"stream": True}))]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


@pytest.mark.parametrize("text", ["", " ", "one", " one  two\n", "one\n\n"])
def test_the_deltas_are_the_text(text):
    assert "".join(Answer(text).deltas) == text


def test_the_pieces_are_the_caller_s(provider):
    provider.script(Answer("abc", pieces=("a", "bc")))
    said = events(post(f"{provider.url}/v1/chat/completions", json={"stream": True}))
    assert [event["choices"][0]["delta"].get("content") for event in said] == ["", "a", "bc", None]


@pytest.mark.parametrize(
    ("path", "body", "model", "stream"),
    [
        ("/v1/chat/completions", {"model": "b"}, "b", False),
        ("/v1/chat/completions", {"model": "b", "stream": True}, "b", True),
        ("/openai/deployments/d/chat/completions", {"model": "b"}, "d", False),
        ("/v1beta/models/g:generateContent", {}, "g", False),
        ("/v1beta/models/g:streamGenerateContent", {}, "g", True),
        ("/api/chat", {"model": "o"}, "o", True),
        ("/api/generate", {"model": "o", "stream": False}, "o", False),
        ("/v1/chat/completions", [], "simulated", False),
        ("/api/embed", {"model": "o"}, "o", False),
        ("/model/us.anthropic.m-v1%3A0/converse", {"stream": True}, "us.anthropic.m-v1:0", False),
        ("/model/us.anthropic.m-v1%3A0/converse-stream", {}, "us.anthropic.m-v1:0", True),
        ("/model/arn%3Aaws%3Abedrock%3Aprofile%2Fm/invoke", {}, "arn:aws:bedrock:profile/m", False),
        (f"{VERTEX}/anthropic/models/m@1:streamRawPredict", {"model": "b"}, "m@1", True),
        ("/nowhere", {"model": "b", "stream": True}, "b", False),
    ],
)
def test_what_a_request_asks_for(path, body, model, stream):
    request = Request("POST", path, body=json.dumps(body).encode())
    assert (request.model, request.stream) == (model, stream)


def test_a_model_that_is_not_said_is_the_one_asked_for():
    request = Request("POST", "/v1/messages", body=b'{"model": "asked"}')
    assert json.loads(reply(request).chunks[0])["model"] == "asked"
    assert json.loads(reply(request, replace(ANSWER, usage=False)).chunks[0]).get("usage") is None
