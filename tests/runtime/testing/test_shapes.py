"""The bytes themselves, without a meter: each provider's own fields, and its SDK's reading of them."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from llmmetrics.testing import Answer, Request, faults, reply

ANSWER = Answer(
    " one two\n", prompt_tokens=120, completion_tokens=30, cache_read=40, cache_write=10, reasoning=5, model="answered"
)
ASK = [{"role": "user", "content": "count"}]

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
AWS = "application/vnd.amazon.eventstream"
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


def post(url: str, **request: Any) -> httpx.Response:
    # loading the system's certificates takes longer than all the rest
    with httpx.Client(verify=False) as client:
        return client.post(url, **request)


def at(doc, where):
    for name in where:
        doc = doc[name]
    return doc


def messages(data: bytes) -> Iterator[dict]:
    """The documents of an AWS event stream, by https://smithy.io/2.0/aws/amazon-eventstream.html."""
    while data:
        size, headers, checksum = struct.unpack(">III", data[:12])
        assert binascii.crc32(data[:8]) == checksum
        assert binascii.crc32(data[: size - 4]) == int.from_bytes(data[size - 4 : size], "big")
        names = dict(re.findall(rb"(:[a-z-]+)\x07\x00.([A-Za-z/]+)", data[12 : 12 + headers], re.DOTALL))
        assert (names[b":message-type"], names[b":content-type"]) == (b"event", b"application/json")
        fields = json.loads(data[12 + headers : size - 4])
        inner = json.loads(base64.b64decode(fields["bytes"])) if "bytes" in fields else None
        yield {names[b":event-type"].decode(): fields} if inner is None else inner
        data = data[size:]


def events(answer: httpx.Response) -> list[dict]:
    """The documents of a stream, read by nothing but this."""
    kind = answer.headers["content-type"]
    if kind == "application/json":
        return answer.json()
    if kind == AWS:
        return list(messages(answer.content))
    if kind in ("application/x-ndjson", "application/stream+json"):
        return [json.loads(line) for line in answer.text.splitlines()]
    data = re.findall(r"^data: (.*)$", answer.text, re.MULTILINE)
    return [json.loads(each) for each in data if each != "[DONE]"]


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


# the official SDKs, on clients of their own


@pytest.fixture
def openai_sdk(provider):
    openai = pytest.importorskip("openai")
    provider.default = ANSWER
    with openai.OpenAI(api_key="x", base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


def test_openai_reads_every_format(openai_sdk):
    chat = openai_sdk.chat.completions.create(model="m", messages=ASK).usage
    assert (chat.prompt_tokens, chat.completion_tokens) == (120, 30)
    assert (chat.prompt_tokens_details.cached_tokens, chat.completion_tokens_details.reasoning_tokens) == (40, 5)
    assert openai_sdk.completions.create(model="m", prompt="p").usage.prompt_tokens == 120
    said = list(openai_sdk.completions.create(model="m", prompt="p", stream=True, **ASKED))
    assert "".join(each.choices[0].text for each in said[:-1]) == ANSWER.text
    assert said[-1].usage.completion_tokens == 30
    # no encoding_format: the SDK asks for base64
    assert openai_sdk.embeddings.create(model="m", input="i").data[0].embedding == [0.25, -0.5]
    with openai_sdk.responses.stream(model="m", input="i") as stream:
        stream.until_done()
        made = stream.get_final_response()
    assert (made.output_text, made.usage.input_tokens_details.cached_tokens) == (ANSWER.text, 40)
    assert next(iter(openai_sdk.models.list())).id == "simulated"


def test_openai_raises_an_error_inside_a_200(openai_sdk, provider):
    import openai

    provider.script(faults.ERROR_IN_200, faults.ERROR_IN_200)
    with pytest.raises(openai.APIError, match="error in 200"):
        list(openai_sdk.chat.completions.create(model="m", messages=ASK, stream=True))
    last = list(openai_sdk.responses.create(model="m", input="i", stream=True))[-1]
    assert (last.type, last.response.error.code) == ("response.failed", "server_error")


def test_azure_reads_its_deployment(provider):
    openai = pytest.importorskip("openai")
    provider.script(ANSWER)
    with openai.AzureOpenAI(api_key="x", api_version="v", azure_endpoint=provider.url) as client:
        made = client.chat.completions.create(model="deployed", messages=ASK)
    assert (made.model, made.usage.prompt_tokens) == ("answered", 120)
    assert provider.requests[0].model == "deployed"


@pytest.mark.parametrize("stream", [False, True])
def test_groq_reads_openai_s_shape(provider, stream):
    groq = pytest.importorskip("groq")
    provider.default = ANSWER
    with groq.Groq(api_key="x", base_url=provider.url) as client:
        made = client.chat.completions.create(model="m", messages=ASK, stream=stream)
        said = "".join(c.choices[0].delta.content or "" for c in made) if stream else made.choices[0].message.content
    assert said == ANSWER.text


@pytest.mark.parametrize("stream", [False, True])
def test_mistral_reads_openai_s_shape(provider, stream):
    mistralai = pytest.importorskip("mistralai.client")
    provider.default = ANSWER
    with mistralai.Mistral(api_key="x", server_url=provider.url) as client:
        if stream:
            with client.chat.stream(model="m", messages=ASK) as made:
                assert "".join(event.data.choices[0].delta.content or "" for event in made) == ANSWER.text
        else:
            assert client.chat.complete(model="m", messages=ASK).usage.prompt_tokens == 120


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_reads_cache_writes(provider, stream):
    anthropic = pytest.importorskip("anthropic")
    provider.default = ANSWER
    ask = {"model": "m", "max_tokens": 9, "messages": ASK}
    with anthropic.Anthropic(api_key="x", base_url=provider.url, max_retries=0) as client:
        if stream:
            with client.messages.stream(**ask) as made:
                used = made.get_final_message().usage
            provider.script(faults.ERROR_IN_200)
            with pytest.raises(anthropic.APIStatusError, match="error in 200"):
                list(client.messages.create(**ask, stream=True))
        else:
            used = client.messages.create(**ask).usage
    fields = used.input_tokens, used.cache_read_input_tokens, used.cache_creation_input_tokens, used.output_tokens
    assert fields == (70, 40, 10, 30)


@pytest.mark.parametrize("stream", [False, True])
def test_google_reads_the_cache(provider, stream):
    genai = pytest.importorskip("google.genai")
    provider.default = ANSWER
    with genai.Client(api_key="x", http_options={"base_url": provider.url}) as client:
        if stream:
            used = list(client.models.generate_content_stream(model="m", contents="c"))[-1].usage_metadata
            provider.script(faults.ERROR_IN_200)
            with pytest.raises(genai.errors.APIError, match="error in 200"):
                list(client.models.generate_content_stream(model="m", contents="c"))
        else:
            used = client.models.generate_content(model="m", contents="c").usage_metadata
            provider.script(faults.BAD_KEY)
            with pytest.raises(genai.errors.ClientError) as caught:
                client.models.generate_content(model="m", contents="c")
            assert caught.value.code == 400
    assert (used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count) == (120, 25, 5)
    assert (used.cached_content_token_count, used.total_token_count) == (40, 150)


def test_cohere_reads_an_error_at_the_end_of_a_stream(provider):
    cohere = pytest.importorskip("cohere")
    provider.script(ANSWER, faults.ERROR_IN_200)
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="x", base_url=provider.url, httpx_client=http)
        assert list(client.chat_stream(model="m", messages=ASK))[-1].delta.usage.tokens.input_tokens == 120
        failed = list(client.chat_stream(model="m", messages=ASK))[-1].delta
    assert (failed.finish_reason, failed.error) == ("ERROR", "Simulated fault: error in 200.")


@pytest.mark.parametrize("stream", [False, True])
def test_ollama_reads_generate(provider, stream):
    ollama = pytest.importorskip("ollama")
    provider.default = ANSWER
    client = ollama.Client(host=provider.url)
    made = client.generate(model="m", prompt="p", stream=stream)
    parts = list(made) if stream else [made]
    client._client.close()
    assert "".join(part.response for part in parts) == ANSWER.text
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (120, 30)


def test_anthropic_reads_a_count(provider):
    anthropic = pytest.importorskip("anthropic")
    provider.default = ANSWER
    with anthropic.Anthropic(api_key="x", base_url=provider.url, max_retries=0) as client:
        assert client.messages.count_tokens(model="m", messages=ASK).input_tokens == 120


def test_anthropic_s_legacy_stream_is_the_text(provider):
    provider.script(ANSWER)
    said = events(post(f"{provider.url}/anthropic/v1/complete", json={"stream": True}))
    assert "".join(each["completion"] for each in said) == ANSWER.text
    assert [each["stop_reason"] for each in said] == [None] * (len(said) - 1) + ["stop_sequence"]


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_reads_vertex(provider, stream):
    anthropic = pytest.importorskip("anthropic")
    pytest.importorskip("google.auth")
    provider.default = ANSWER
    ask = {"model": "m", "max_tokens": 9, "messages": ASK}
    where = {"region": "l", "project_id": "p", "access_token": "x", "base_url": f"{provider.url}/v1"}
    with anthropic.AnthropicVertex(**where, max_retries=0) as client:
        if stream:
            with client.messages.stream(**ask) as made:
                used = made.get_final_message().usage
            provider.script(faults.ERROR_IN_200)
            with pytest.raises(anthropic.APIStatusError, match="error in 200"):
                list(client.messages.create(**ask, stream=True))
        else:
            used = client.messages.create(**ask).usage
            provider.script(faults.RATE_LIMIT)
            with pytest.raises(anthropic.RateLimitError, match="RESOURCE_EXHAUSTED"):
                client.messages.create(**ask)
    assert (used.input_tokens, used.output_tokens) == (70, 30)
    assert provider.requests[0].stream is stream


def test_google_reads_embeddings_counts_and_interactions(provider):
    genai = pytest.importorskip("google.genai")
    provider.default = ANSWER
    with genai.Client(api_key="x", http_options={"base_url": provider.url}) as client:
        assert client.models.count_tokens(model="m", contents="c").total_tokens == 120
        embedded = client.models.embed_content(model="m", contents=["a", "b"])
        assert embedded.embeddings[0].values == [0.25, -0.5]
        made = client.interactions.create(model="m", input="i")
        assert (made.usage.total_input_tokens, made.usage.total_thought_tokens) == (120, 5)
        *_, last = list(client.interactions.create(model="m", input="i", stream=True))
        assert last.interaction.usage.total_output_tokens == 25


def test_cohere_reads_version_1(provider):
    cohere = pytest.importorskip("cohere")
    provider.default = ANSWER
    with httpx.Client() as http:
        client = cohere.Client(api_key="x", base_url=f"{provider.url}/cohere", httpx_client=http)
        assert client.chat(message="m").meta.tokens.input_tokens == 120
        *said, last = client.chat_stream(message="m")
        assert "".join(each.text for each in said if each.event_type == "text-generation") == ANSWER.text
        assert last.response.meta.cached_tokens == 40
        assert client.generate(prompt="p").generations[0].text == ANSWER.text
        assert list(client.generate_stream(prompt="p"))[-1].response.generations[0].text == ANSWER.text
        assert client.rerank(query="q", documents=["a", "b"], model="m").meta.billed_units.search_units == 1
        assert client.embed(texts=["a", "b"], model="m", input_type="clustering").embeddings == [[0.25, -0.5]] * 2
        assert len(client.tokenize(text="t", model="m", offline=False).tokens) == 120
        provider.script(faults.ERROR_IN_200, faults.ERROR_IN_200)
        assert list(client.chat_stream(message="m"))[-1].finish_reason == "ERROR"
        assert list(client.generate_stream(prompt="p"))[-1].err == "Simulated fault: error in 200."


def test_cohere_reads_embeddings_by_type(provider):
    cohere = pytest.importorskip("cohere")
    provider.default = ANSWER
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="x", base_url=provider.url, httpx_client=http)
        made = client.embed(texts=["a", "b"], model="m", input_type="clustering", embedding_types=["float"])
    assert (made.embeddings.float_, made.meta.billed_units.input_tokens) == ([[0.25, -0.5]] * 2, 120)


def test_ollama_reads_embeddings(provider):
    ollama = pytest.importorskip("ollama")
    provider.default = ANSWER
    client = ollama.Client(host=provider.url)
    made = client.embed(model="m", input=["a", "b"])
    client._client.close()
    assert (len(made.embeddings), made.prompt_eval_count) == (2, 120)


def test_a_model_that_is_not_said_is_the_one_asked_for():
    request = Request("POST", "/v1/messages", body=b'{"model": "asked"}')
    assert json.loads(reply(request).chunks[0])["model"] == "asked"
    assert json.loads(reply(request, replace(ANSWER, usage=False)).chunks[0]).get("usage") is None
