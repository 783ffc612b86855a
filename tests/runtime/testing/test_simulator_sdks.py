"""The official SDKs understand the simulated provider."""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import httpx
import httpx2
import pytest
from support.simulated_formats import ANSWER, ASK, FORMATS

from llmmetrics.testing import Request, faults, reply, serve

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
