"""What an ordinary client sees of every fault, and what the server survives."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import Any

import httpx
import pytest
from support import sampled

from llmmetrics.testing import FAULTS, Answer, Request, faults, reply
from llmmetrics.testing.shapes import SHAPES
from llmmetrics.wire.framing import eventstream

CHAT = "/v1/chat/completions"

VERTEX = "/v1/publishers"

# by whose words it has: path and request, each streaming and not
PATHS = {
    "openai": (CHAT, {}),
    "openai stream": (CHAT, {"stream": True}),
    "openai responses": ("/v1/responses", {}),
    "openai responses stream": ("/v1/responses", {"stream": True}),
    "openai count": ("/v1/responses/input_tokens", {}),
    "anthropic": ("/v1/messages", {}),
    "anthropic stream": ("/v1/messages", {"stream": True}),
    "anthropic complete": ("/anthropic/v1/complete", {}),
    "anthropic complete stream": ("/anthropic/v1/complete", {"stream": True}),
    "gemini": ("/v1beta/models/m:generateContent", {}),
    "gemini sse": ("/v1beta/models/m:streamGenerateContent?alt=sse", {}),
    "gemini array": ("/v1beta/models/m:streamGenerateContent", {}),
    "gemini embed": ("/v1beta/models/m:embedContent", {}),
    "gemini interactions": ("/v1beta/interactions", {}),
    "gemini interactions stream": ("/v1beta/interactions", {"stream": True}),
    "vertex": (f"{VERTEX}/google/models/text-embedding-9:predict", {}),
    "vertex anthropic": (f"{VERTEX}/anthropic/models/m:rawPredict", {}),
    "vertex anthropic stream": (f"{VERTEX}/anthropic/models/m:streamRawPredict", {}),
    "vertex chat stream": (f"{VERTEX}/mistralai/models/m:streamRawPredict", {}),
    "bedrock": ("/model/m/converse", {}),
    "bedrock stream": ("/model/m/converse-stream", {}),
    "bedrock invoke": ("/model/anthropic.m/invoke", {}),
    "bedrock invoke stream": ("/model/anthropic.m/invoke-with-response-stream", {}),
    "cohere": ("/v2/chat", {}),
    "cohere stream": ("/v2/chat", {"stream": True}),
    "cohere v1": ("/cohere/v1/chat", {}),
    "cohere v1 stream": ("/cohere/v1/chat", {"stream": True}),
    "cohere generate stream": ("/cohere/v1/generate", {"stream": True}),
    "cohere rerank": ("/v2/rerank", {}),
    "voyage": ("/voyage/v1/rerank", {}),
    "xai": ("/v1/tokenize-text", {}),
    "watsonx": ("/ml/v1/text/generation", {}),
    "watsonx stream": ("/ml/v1/text/generation_stream", {}),
    "watsonx chat stream": ("/ml/v1/text/chat_stream", {}),
    "ollama": ("/api/chat", {"stream": False}),
    "ollama stream": ("/api/chat", {}),
    "ollama embed": ("/api/embed", {}),
}

EXCEPTIONS = {
    "reset": (httpx.ReadError, httpx.RemoteProtocolError),
    "cut": (httpx.RemoteProtocolError,),
    "stall": (httpx.ReadTimeout,),
    "read_timeout": (httpx.ReadTimeout,),
}

SLOW = ("stall", "read_timeout")

STATUSES = {
    ("gemini", "bad_key"): 400,
    ("gemini", "overloaded"): 503,
    ("vertex", "overloaded"): 503,
    ("bedrock", "bad_key"): 403,
    ("bedrock", "overloaded"): 503,
    ("bedrock", "gateway_timeout"): 408,
    ("xai", "bad_key"): 400,
    ("xai", "overloaded"): 503,
    ("watsonx", "overloaded"): 503,
    ("anthropic", "insufficient_quota"): 402,
    ("cohere", "content_filtered"): 498,
}

REFUSALS = [name for name, fault in FAULTS.items() if fault.http >= 400]

ABSENT = {(each.errors.name, fault) for each in SHAPES for fault in each.errors.cannot}

# vendor, fault, what the error object holds
WORDS = [
    ("openai", "rate_limit", {"code": "rate_limit_exceeded", "type": "requests"}),
    ("openai", "insufficient_quota", {"code": "insufficient_quota", "type": "insufficient_quota"}),
    ("openai", "bad_key", {"code": "invalid_api_key", "type": "invalid_request_error"}),
    ("openai", "not_found", {"code": "model_not_found", "type": "invalid_request_error"}),
    ("openai", "server_error", {"type": "server_error"}),
    ("openai", "error_in_200", {"type": "server_error"}),
    ("anthropic", "rate_limit", {"type": "rate_limit_error"}),
    ("anthropic", "overloaded", {"type": "overloaded_error"}),
    ("anthropic", "bad_key", {"type": "authentication_error"}),
    ("anthropic", "error_in_200", {"type": "api_error"}),
    ("gemini", "rate_limit", {"code": 429, "status": "RESOURCE_EXHAUSTED"}),
    ("gemini", "bad_key", {"code": 400, "status": "INVALID_ARGUMENT"}),
    ("gemini", "forbidden", {"code": 403, "status": "PERMISSION_DENIED"}),
    ("gemini", "error_in_200", {"code": 500, "status": "INTERNAL"}),
    ("gemini interactions", "rate_limit", {"code": 429, "status": "RESOURCE_EXHAUSTED"}),
    ("vertex", "bad_key", {"code": 401, "status": "UNAUTHENTICATED"}),
    ("vertex anthropic", "rate_limit", {"code": 429, "status": "RESOURCE_EXHAUSTED"}),
    ("vertex chat stream", "rate_limit", {"code": 429, "status": "RESOURCE_EXHAUSTED"}),
]


def post(url: str, **request: Any) -> httpx.Response:
    # loading the system's certificates takes longer than all the rest
    with httpx.Client(verify=False) as client:
        return client.post(url, **request)


def made(path, body, script):
    return reply(Request("POST", path.partition("?")[0], path.partition("?")[2], {}, json.dumps(body).encode()), script)


def vendor_of(name):
    return name.partition(" ")[0]


@pytest.mark.parametrize(
    ("name", "fault"),
    sampled(
        [(name, fault) for fault in REFUSALS for name in PATHS],
        lambda row: {(vendor_of(row[0]), row[1]), row[0]},
    ),
)
def test_a_refusal_has_its_status_and_a_body(provider, name, fault):
    path, body = PATHS[name]
    vendor = vendor_of(name)
    if (vendor, fault) in ABSENT:
        return
    provider.script(FAULTS[fault])
    answer = post(provider.url + path, json=body)
    assert answer.status_code == STATUSES.get((vendor, fault), FAULTS[fault].http)
    assert f"Simulated fault: {fault.replace('_', ' ')}." in answer.text
    assert ("retry-after" in answer.headers) == (FAULTS[fault].retry_after is not None)


@pytest.mark.parametrize(
    ("name", "fault", "text"),
    sampled(
        [(name, fault, text) for fault in EXCEPTIONS for name in PATHS for text in ("one", "one two three four")],
        lambda row: {(vendor_of(row[0]), row[1]), row[1:], row[0]},
    ),
)
def test_a_broken_connection_is_an_exception(provider, name, fault, text):
    path, body = PATHS[name]
    provider.default = Answer(text)
    provider.script(FAULTS[fault])
    with pytest.raises(EXCEPTIONS[fault]):
        post(provider.url + path, json=body, timeout=0.1 if fault in SLOW else 5)


@pytest.mark.parametrize(("vendor", "fault", "fields"), WORDS)
def test_each_provider_words_its_errors_itself(vendor, fault, fields):
    (body,) = made(*PATHS[vendor], FAULTS[fault]).chunks
    assert fields.items() <= json.loads(body)["error"].items()


@pytest.mark.parametrize(
    ("vendor", "fault", "body"),
    [
        ("cohere", "rate_limit", {"id": "simulated", "message": "Simulated fault: rate limit."}),
        ("voyage", "rate_limit", {"detail": "Simulated fault: rate limit."}),
        ("bedrock", "rate_limit", {"message": "Simulated fault: rate limit."}),
        ("xai", "rate_limit", {"code": "Some resource has been exhausted", "error": "Simulated fault: rate limit."}),
        (
            *("xai", "bad_key"),
            {
                "code": "Client specified an invalid argument",
                "error": "Incorrect API key provided: Simulated fault: bad key.",
            },
        ),
        ("ollama", "server_error", {"error": "Simulated fault: server error."}),
    ],
)
def test_an_error_without_an_object_of_its_own(vendor, fault, body):
    (found,) = made(*PATHS[vendor], FAULTS[fault]).chunks
    assert json.loads(found) == body


@pytest.mark.parametrize(
    ("fault", "name"),
    {
        "rate_limit": "ThrottlingException",
        "insufficient_quota": "ThrottlingException",
        "bad_key": "UnrecognizedClientException",
        "forbidden": "AccessDeniedException",
        "not_found": "ResourceNotFoundException",
        "context_too_long": "ValidationException",
        "server_error": "InternalServerException",
        "unavailable": "ServiceUnavailableException",
        "gateway_timeout": "ModelTimeoutException",
    }.items(),
)
@pytest.mark.parametrize("path", ["bedrock", "bedrock stream", "bedrock invoke"])
def test_bedrock_names_an_exception_in_the_headers_and_in_a_stream(fault, name, path):
    refused = made(*PATHS[path], FAULTS[fault])
    assert dict(refused.headers)["x-amzn-errortype"].partition(":")[0] == name
    broken = made(*PATHS["bedrock stream"], replace(FAULTS[fault], http=200, in_band=True))
    exception = eventstream.message(broken.chunks[-1])
    member = name[0].lower() + name[1:]
    assert (exception.headers[":message-type"], exception.headers[":exception-type"]) == ("exception", member)
    assert json.loads(exception.payload) == {"message": f"Simulated fault: {fault.replace('_', ' ')}."}


def test_a_bad_gemini_key_has_a_reason():
    (body,) = made(*PATHS["gemini"], faults.BAD_KEY).chunks
    assert json.loads(body)["error"]["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize("name", PATHS)
def test_malformed_is_no_json_in_a_whole_200(provider, name):
    path, body = PATHS[name]
    provider.script(faults.MALFORMED)
    answer = post(provider.url + path, json=body)
    assert answer.status_code == 200
    for line in answer.text.split("\n"):
        text = line.removeprefix("data: ")
        if not text or text.startswith("event: "):
            continue
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


@pytest.mark.parametrize("name", PATHS)
def test_an_error_inside_a_200_comes_before_the_usage(provider, name):
    path, body = PATHS[name]
    provider.script(faults.ERROR_IN_200)
    answer = post(provider.url + path, json=body)
    assert answer.status_code == 200
    assert "error in 200" in answer.text
    assert '"finish_reason": "stop"' not in answer.text
    assert '"done": true' not in answer.text


def test_faults_compose():
    slow = made(CHAT, {}, replace(faults.UNAVAILABLE, delay=2.0, retry_after="3"))
    assert (slow.status, slow.delay, dict(slow.headers)["retry-after"]) == (503, 2.0, "3")


def test_a_cut_names_how_many_events_pass(provider):
    provider.script(replace(faults.CUT, cut_after=1))
    seen = []
    with (
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", provider.url + CHAT, json={"stream": True}) as answer,
    ):
        seen.extend(line for line in answer.iter_lines() if line)
    assert len(seen) == 1


def test_a_reset_is_a_reset(provider):
    provider.script(faults.RESET)
    host, port = provider.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{{}}".encode())
        with pytest.raises(ConnectionResetError):
            client.recv(1)
