"""The simulated provider speaks like the real ones: the official SDKs understand it, and a meter counts it right."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import replace

import httpx
import httpx2
import pytest
from support import sampled

from llmmetrics import wire
from llmmetrics.testing import FAULTS, Answer, CannotExpressError, Request, faults, observe, reply, serve
from llmmetrics.testing.shapes import SHAPES
from llmmetrics.testing.simulator import shape_of

ANSWER = Answer("one two three", prompt_tokens=120, completion_tokens=30, model="answered")
ASK = [{"role": "user", "content": "count"}]

ASKED = {"stream_options": {"include_usage": True}}
VERTEX = "/vertex/v1/projects/p/locations/l/publishers"

# by the runtime's format: path, request, whether it can stream; None: the path says which
FORMATS: dict[str, tuple[str, dict, bool | None]] = {
    "openai.chat": ("/openai/v1/chat/completions", {"model": "m", "messages": ASK, **ASKED}, True),
    "openai.chat azure": ("/openai/deployments/m/chat/completions", {"messages": ASK, **ASKED}, True),
    "openai.completions": ("/openai/v1/completions", {"model": "m", "prompt": "p", **ASKED}, True),
    "openai.responses": ("/openai/v1/responses", {"model": "m", "input": "i"}, True),
    "openai.embeddings": ("/openai/v1/embeddings", {"model": "m", "input": ["a", "b"]}, False),
    "openai.embeddings voyage": ("/voyage/v1/embeddings", {"model": "m", "input": ["a", "b"]}, False),
    "openai.embeddings multimodal": ("/v1/multimodalembeddings", {"model": "m", "inputs": [{"content": []}]}, False),
    "openai.embeddings in context": ("/v1/contextualizedembeddings", {"model": "m", "inputs": [["a", "b"]]}, False),
    "openai.count_tokens": ("/openai/v1/responses/input_tokens", {"model": "m", "input": "i"}, False),
    "anthropic.messages": ("/anthropic/v1/messages", {"model": "m", "messages": ASK, "max_tokens": 9}, True),
    "anthropic.complete": ("/anthropic/v1/complete", {"model": "m", "prompt": "p", "max_tokens_to_sample": 9}, True),
    "anthropic.count_tokens": ("/anthropic/v1/messages/count_tokens", {"model": "m", "messages": ASK}, False),
    "anthropic.count_tokens vertex": (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", {"model": "m"}, False),
    "gemini.generate": ("/gemini/v1beta/models/m:generateContent", {"contents": []}, False),
    "gemini.generate sse": ("/gemini/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": []}, None),
    "gemini.generate array": ("/gemini/v1beta/models/m:streamGenerateContent", {"contents": []}, None),
    "gemini.generate vertex": (f"{VERTEX}/google/models/m:generateContent", {"contents": []}, False),
    "gemini.generate vertex sse": (f"{VERTEX}/google/models/m:streamGenerateContent?alt=sse", {"contents": []}, None),
    "gemini.embed": ("/gemini/v1beta/models/m:embedContent", {"content": {}}, False),
    "gemini.embed batch": ("/gemini/v1beta/models/m:batchEmbedContents", {"requests": [{}, {}]}, False),
    "gemini.interactions": ("/gemini/v1beta/interactions", {"model": "m", "input": "i"}, True),
    "gemini.count_tokens": ("/gemini/v1beta/models/m:countTokens", {"contents": []}, False),
    "gemini.count_tokens vertex": (f"{VERTEX}/google/models/m:computeTokens", {"contents": []}, False),
    "vertex.predict embed": (f"{VERTEX}/google/models/text-embedding-9:predict", {"instances": [{}, {}, {}]}, False),
    "vertex.predict text": (f"{VERTEX}/google/models/text-bison:predict", {"instances": [{"prompt": "p"}]}, False),
    "vertex.anthropic": (f"{VERTEX}/anthropic/models/m:rawPredict", {"messages": ASK}, False),
    "vertex.anthropic stream": (f"{VERTEX}/anthropic/models/m:streamRawPredict", {"messages": ASK}, None),
    "vertex.chat": (f"{VERTEX}/mistralai/models/m:rawPredict", {"model": "m", "messages": ASK}, False),
    "vertex.chat stream": (f"{VERTEX}/mistralai/models/m:streamRawPredict", {"model": "m", "messages": ASK}, None),
    "cohere.v2.chat": ("/cohere/v2/chat", {"model": "m", "messages": ASK}, True),
    "cohere.v1.chat": ("/cohere/v1/chat", {"model": "m", "message": "count"}, True),
    "cohere.v1.chat generate": ("/cohere/v1/generate", {"model": "m", "prompt": "p"}, True),
    "cohere.embed": ("/cohere/v2/embed", {"model": "m", "texts": ["a", "b"]}, False),
    "cohere.embed v1": ("/cohere/v1/embed", {"model": "m", "texts": ["a", "b"]}, False),
    "cohere.count_tokens": ("/cohere/v1/tokenize", {"model": "m", "text": "t"}, False),
    "rerank": ("/cohere/v2/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}, False),
    "rerank voyage": ("/voyage/v1/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}, False),
    "bedrock.converse": ("/model/m/converse", {"messages": []}, False),
    "bedrock.converse stream": ("/model/m/converse-stream", {"messages": []}, None),
    **{
        f"bedrock.invoke {maker} {kind}": (f"/model/{maker}.m/invoke{end}", {"prompt": "p"}, None if end else False)
        for maker in ("us.anthropic", "amazon.nova", "amazon.titan", "meta.llama", "cohere.command", "openai")
        for kind, end in (("whole", ""), ("stream", "-with-response-stream"))
    },
    "bedrock.invoke embed titan": ("/model/amazon.titan-embed.m/invoke", {"inputText": "a"}, False),
    "bedrock.invoke embed cohere": ("/model/cohere.embed.m/invoke", {"texts": ["a", "b"]}, False),
    "aws-bedrock.count_tokens": ("/model/m/count-tokens", {"input": {}}, False),
    "ollama.chat": ("/ollama/api/chat", {"model": "m", "messages": ASK}, True),
    "ollama.generate": ("/ollama/api/generate", {"model": "m", "prompt": "p"}, True),
    "ollama.embed": ("/ollama/api/embed", {"model": "m", "input": ["a", "b"]}, False),
    "watsonx.generate": ("/ml/v1/text/generation", {"model_id": "m", "input": "p"}, False),
    "watsonx.generate stream": ("/ml/v1/text/generation_stream", {"model_id": "m", "input": "p"}, None),
    "watsonx.chat": ("/ml/v1/text/chat", {"model_id": "m", "messages": ASK}, False),
    "watsonx.chat stream": ("/ml/v1/text/chat_stream", {"model_id": "m", "messages": ASK}, None),
    "watsonx.embed": ("/ml/v1/text/embeddings", {"model_id": "m", "inputs": ["a", "b"]}, False),
    "x-ai.count_tokens": ("/v1/tokenize-text", {"model": "m", "text": "t"}, False),
}
CASES = [
    (name, stream)
    for name, (*_, streams) in FORMATS.items()
    for stream in ({True: (False, True), False: (False,), None: (True,)}[streams])
]

# what a format cannot say, by how a name begins; everything else it does
NO_USAGE = {("anthropic.complete", False), ("anthropic.complete", True), ("cohere.v1.chat generate", True)}
NO_USAGE |= {("rerank", False)}
NO_COMPLETION = ("openai.embeddings", "gemini.embed", "vertex.predict embed", "cohere.embed", "bedrock.invoke embed")
NO_COMPLETION += ("rerank", "ollama.embed", "watsonx.embed")
NO_CACHE = ("openai.embeddings", "gemini.embed", "vertex.predict", "cohere.embed", "rerank", "ollama")
NO_CACHE += ("watsonx.generate", "watsonx.embed")
NO_CACHE += tuple(f"bedrock.invoke {kind}" for kind in ("amazon.titan whole", "meta.llama whole", "embed titan"))
# and what only some do
WRITES = ("anthropic.messages", "vertex.anthropic", "bedrock.converse", "bedrock.invoke")
THINKS = ("openai.chat", "openai.completions", "openai.responses", "gemini.generate", "gemini.interactions")
THINKS += ("watsonx.chat",)
THINKS += ("anthropic.messages", "vertex.anthropic", "vertex.chat", "bedrock.invoke us", "bedrock.invoke openai whole")
NAMELESS = ("cohere", "gemini.embed", "vertex.predict", "rerank", "bedrock.invoke")
NAMED = ("rerank voyage", "bedrock.invoke us", "bedrock.invoke openai")


def shape(name):
    path, _, query = FORMATS[name][0].partition("?")
    return shape_of(Request("POST", path, query))


def send(client, provider, name, stream, **options):
    """The call's record; what a client makes of a broken connection is not asked here."""
    path, body, streams = FORMATS[name]
    said = {"stream": stream} if streams else {}
    records = []
    with observe(records.append), suppress(httpx.TransportError):
        client.post(provider.url + path, json={**body, **said}, **options)
    (record,) = records
    return record


@pytest.fixture
def metered(meter):
    with httpx.Client(transport=meter.transport(family="httpx"), timeout=5) as client:
        yield client


def test_every_format_of_the_runtime_has_a_shape():
    formats = {each.id for each in wire.FORMATS}
    assert formats == {each.id for each in SHAPES}
    assert formats == {name.partition(" ")[0] for name in FORMATS}


def test_every_shape_answers_something():
    assert {id(shape(name)) for name in FORMATS} == set(map(id, SHAPES))


@pytest.mark.parametrize(
    ("host", "path", "vendor"),
    [
        ("api.voyageai.com", "/v1/rerank", "voyage"),
        ("api.cohere.com", "/v1/rerank", "cohere"),
        ("api.cohere.com:443", "/v1/chat", "cohere"),
        ("127.0.0.1", "/v1/chat", None),
        ("api.writer.com:443", "/v1/chat", "openai"),
        ("api.anthropic.com", "/v1/complete", "anthropic"),
        ("127.0.0.1", "/v1/complete", None),
        ("127.0.0.1", "/model/arn%3Aaws%3Abedrock%3Aprofile%2Fus.meta.llama/converse", "bedrock"),
        ("127.0.0.1", "/model/stability.sd3/invoke", None),
    ],
)
def test_a_shape_is_found_where_the_runtime_finds_a_call(host, path, vendor):
    found = shape_of(Request("POST", path, host=host))
    assert (found.errors.name if found else None) == vendor


ANSWERS = {
    "plain": ANSWER,
    "cached": replace(ANSWER, cache_read=100),
    "written": replace(ANSWER, cache_read=50, cache_write=20),
    "reasoning": replace(ANSWER, reasoning=20),
    "empty": replace(ANSWER, text="", completion_tokens=0),
}


def answered(row):
    """Each format has each answer, and each case one."""
    name, stream, answer = row
    return {(shape(name).id, answer), (name, stream)}


@pytest.mark.parametrize(
    ("name", "stream", "answer"), sampled([(*case, answer) for answer in ANSWERS for case in CASES], answered)
)
def test_what_is_scripted_is_what_is_counted(metered, provider, name, stream, answer):
    answer = ANSWERS[answer]
    provider.script(answer)
    record = send(metered, provider, name, stream)
    free = "count_tokens" in name
    assert record.api == name.partition(" ")[0]
    assert record.status == "success"
    assert record.model == provider.requests[0].model
    assert provider.requests[0].stream == stream
    assert record.usage_known is ((name, stream) not in NO_USAGE)
    if not free:
        named = name.startswith(NAMED) or not name.startswith(NAMELESS)
        assert record.model_responded == ("answered" if named else None)
    if not record.usage_known:
        return
    used = record.usage
    completion = 0 if name.startswith(NO_COMPLETION) else answer.completion_tokens
    assert (used.prompt, used.completion) == ((0, 0) if free else (120, completion))
    if free:
        return
    assert used.cache_read == (0 if name.startswith(NO_CACHE) else answer.cache_read)
    writes = name.startswith(WRITES) and not name.startswith((*NO_CACHE, "bedrock.invoke openai whole"))
    assert used.cache_write == (answer.cache_write if writes else 0)
    assert used.reasoning == (answer.reasoning if name.startswith(THINKS) else 0)


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_usage_can_be_left_out(metered, provider, name, stream):
    provider.script(replace(ANSWER, usage=False))
    record = send(metered, provider, name, stream)
    # a count that is asked for is no usage
    assert (record.status, record.usage_known) == ("success", "count_tokens" in name)


SLOW = ("stall", "read_timeout")
WIRE = [name for name, fault in FAULTS.items() if fault.on_the_wire]


def failing(row):
    """Each pair of whose words, how it is framed and which fault; and each case one fault."""
    name, stream, fault = row
    vendor, framing = shape(name).errors.name, (stream, shape(name).content_type)
    return {(vendor, fault), (framing, fault), (vendor, framing), (name, stream)}


@pytest.mark.parametrize(
    ("name", "stream", "fault"), sampled([(*case, fault) for fault in WIRE for case in CASES], failing)
)
def test_every_fault_is_counted_as_the_contract_demands(metered, provider, count, name, stream, fault):
    path, _, query = FORMATS[name][0].partition("?")
    if fault in shape(name).errors.cannot:
        with pytest.raises(CannotExpressError, match=f"the fault '{fault}' does not exist in"):
            reply(Request("POST", path, query), FAULTS[fault])
        return
    provider.script(FAULTS[fault])
    record = send(metered, provider, name, stream, timeout=0.15 if fault in SLOW else 5)
    assert (record.status, record.error_type) == (FAULTS[fault].status, FAULTS[fault].error_type)
    assert count("llm_active_requests") == 0


IN_STREAM = {"rate_limit": faults.RATE_LIMIT, "api_error": faults.OVERLOADED}
WITH_STREAM_ERRORS = (
    "openai.chat",
    "openai.completions",
    "openai.responses",
    "anthropic",
    "gemini",
    "vertex",
    "bedrock",
)


@pytest.mark.parametrize("name", [name for name, stream in CASES if stream and name.startswith(WITH_STREAM_ERRORS)])
@pytest.mark.parametrize("kind", IN_STREAM)
def test_a_stream_breaks_off_with_the_code_that_the_refusal_would_have(metered, provider, name, kind):
    provider.script(replace(IN_STREAM[kind], http=200, in_band=True))
    assert send(metered, provider, name, stream=True).error_type == kind


def test_the_faults_carry_what_a_client_needs(provider):
    url = provider.url + "/v1/chat/completions"
    provider.script(faults.RATE_LIMIT, faults.RATE_LIMIT_BARE)
    assert httpx.post(url, json={}).headers["retry-after"] == "1"
    assert "retry-after" not in httpx.post(url, json={}).headers
    provider.script(faults.BAD_KEY)
    assert httpx.post(f"{provider.url}/v1beta/models/m:generateContent", json={}).status_code == 400


# the official SDKs


def usage_of_openai(client, stream):
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    made = client.chat.completions.create(model="m", messages=ASK, **options)
    last = list(made)[-1] if stream else made
    return last.usage.prompt_tokens, last.usage.completion_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_openai(meter, provider, counted, stream):
    openai = pytest.importorskip("openai")
    provider.default = ANSWER
    http = openai.DefaultHttpxClient(transport=meter.transport())
    with openai.OpenAI(api_key="x", base_url=f"{provider.url}/openai/v1", http_client=http) as client:
        assert usage_of_openai(client, stream) == (120, 30)
        if stream:
            events = list(client.responses.create(model="m", input="i", stream=True))
            assert events[-1].response.usage.input_tokens == 120
        else:
            assert client.responses.create(model="m", input="i").output_text == "one two three"
            assert (
                client.embeddings.create(model="m", input=["a", "b"], encoding_format="float").usage.prompt_tokens
                == 120
            )
    assert counted() == {"success": 2 if stream else 3}


def test_openai_retries_are_requests_of_their_own(meter, provider, counted):
    openai = pytest.importorskip("openai")
    provider.script(replace(faults.RATE_LIMIT, retry_after="0.01"), faults.SERVER_ERROR)
    http = openai.DefaultHttpxClient(transport=meter.transport())
    with openai.OpenAI(api_key="x", base_url=f"{provider.url}/openai/v1", http_client=http, max_retries=2) as client:
        client.chat.completions.create(model="m", messages=ASK)
    assert counted() == {"success": 1, "failure": 2}


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(meter, provider, counted, stream):
    anthropic = pytest.importorskip("anthropic")
    provider.default = replace(ANSWER, cache_read=100)
    http = httpx2.Client(transport=meter.transport())
    with anthropic.Anthropic(api_key="x", base_url=f"{provider.url}/anthropic", http_client=http) as client:
        ask = {"model": "m", "max_tokens": 9, "messages": ASK}
        if stream:
            with client.messages.stream(**ask) as made:
                assert "".join(made.text_stream) == "one two three"
                used = made.get_final_message().usage
        else:
            used = client.messages.create(**ask).usage
    assert (used.input_tokens, used.cache_read_input_tokens, used.output_tokens) == (20, 100, 30)
    assert counted() == {"success": 1}


@pytest.mark.parametrize("stream", [False, True])
def test_google(meter, provider, counted, stream):
    genai = pytest.importorskip("google.genai")
    provider.default = replace(ANSWER, reasoning=10)
    http = httpx2.Client(transport=meter.transport())
    options = {"base_url": f"{provider.url}/gemini", "httpx_client": http}
    with http, genai.Client(api_key="x", http_options=options) as client:
        if stream:
            used = list(client.models.generate_content_stream(model="m", contents="c"))[-1].usage_metadata
        else:
            used = client.models.generate_content(model="m", contents="c").usage_metadata
    assert (used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count) == (120, 20, 10)
    assert counted() == {"success": 1}


@pytest.mark.parametrize("stream", [False, True])
def test_cohere(meter, provider, counted, stream):
    cohere = pytest.importorskip("cohere")
    provider.default = ANSWER
    http = httpx.Client(transport=meter.transport(family="httpx"))
    client = cohere.ClientV2(api_key="x", base_url=f"{provider.url}/cohere", httpx_client=http)
    if stream:
        used = list(client.chat_stream(model="m", messages=ASK))[-1].delta.usage
    else:
        used = client.chat(model="m", messages=ASK).usage
    assert (used.tokens.input_tokens, used.tokens.output_tokens) == (120, 30)
    http.close()
    assert counted() == {"success": 1}


@pytest.mark.parametrize("stream", [False, True])
def test_ollama(meter, provider, counted, stream):
    ollama = pytest.importorskip("ollama")
    provider.default = ANSWER
    client = ollama.Client(host=f"{provider.url}/ollama", transport=meter.transport(family="httpx"))
    made = client.chat(model="m", messages=ASK, stream=stream)
    last = list(made)[-1] if stream else made
    assert (last.prompt_eval_count, last.eval_count) == (120, 30)
    client._client.close()
    assert counted() == {"success": 1}


# the server


def test_connections_are_kept_alive(provider):
    url = f"{provider.url}/v1/chat/completions"
    with httpx.Client() as client:
        used = {
            client.post(url, json={"stream": stream}).extensions["network_stream"].get_extra_info("client_addr")
            for stream in (True, False, True)
        }
    assert len(used) == 1


def test_a_script_may_be_for_one_path(provider):
    provider.script(faults.NOT_FOUND, path="/anthropic")
    assert httpx.post(f"{provider.url}/openai/v1/chat/completions", json={}).status_code == 200
    assert httpx.post(f"{provider.url}/anthropic/v1/messages", json={}).status_code == 404
    assert httpx.post(f"{provider.url}/anthropic/v1/messages", json={}).status_code == 200


def test_requests_are_kept(provider):
    httpx.post(
        f"{provider.url}/openai/v1/chat/completions?a=b", json={"model": "m", "stream": True}, headers={"X-Y": "z"}
    )
    (seen,) = provider.requests
    assert (seen.path, seen.query, seen.model, seen.stream) == ("/openai/v1/chat/completions", "a=b", "m", True)
    assert seen.headers["x-y"] == "z"


@pytest.mark.parametrize("fault", [faults.STALL, faults.SLOW_FIRST_BYTE])
def test_closing_does_not_wait_for_a_stall(fault):
    running = serve(fault)
    failed = []

    def ask():
        try:
            httpx.post(f"{running.url}/v1/chat/completions", json={"stream": True}, timeout=60)
        except httpx.TransportError as exc:
            failed.append(exc)

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(10_000):
        if running.requests:
            break
        threading.Event().wait(0.001)
    running.close()
    thread.join(10)
    assert not thread.is_alive()
    assert failed


def test_a_busy_port_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(port=taken.getsockname()[1])


def test_a_reply_is_a_function_of_its_request():
    for path, _, _ in FORMATS.values():
        where, _, query = path.partition("?")
        request = Request("POST", where, query, body=b'{"model": "m", "stream": true}')
        assert reply(request, ANSWER) == reply(request, ANSWER)
    assert reply(Request("GET", "/v1/models")).status == 200
    assert reply(Request("GET", "/nowhere")).status == 404
