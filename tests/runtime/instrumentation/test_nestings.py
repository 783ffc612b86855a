"""Doors above doors, with retries and redirects inside: the calls are what the server got, less the hops.

A script says what the server does with one request after the other; the client asks again until it has its answer.
"""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest
from support import sampled
from support.http_clients import ASK, HTTP_CLIENTS, MODEL, STREAM

import llmmetrics
from llmmetrics.testing import Answer, Reply, faults, serve
from llmmetrics.testing.simulator import reply

ANSWER = Answer(prompt_tokens=123, completion_tokens=45)
PATH = "/openai/v1/chat/completions"
WANTS_AGAIN = (("retry-after-ms", "1"), ("retry-after", "0"))


def openai_above_httpx2(url, body):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=url.removesuffix("/chat/completions"), api_key="x", max_retries=9) as client:
        answer = client.chat.completions.create(**body)
        return [*answer] if body.get("stream") else answer


def openai_above_httpx_above_aiohttp(url, body):
    openai = pytest.importorskip("openai")
    pytest.importorskip("httpx_aiohttp")

    async def ask():
        http = openai.DefaultAioHttpClient()
        base = url.removesuffix("/chat/completions")
        async with openai.AsyncOpenAI(base_url=base, api_key="x", max_retries=9, http_client=http) as client:
            answer = await client.chat.completions.create(**body)
            return [each async for each in answer] if body.get("stream") else answer

    return asyncio.run(ask())


def requests_that_retries(url, body):
    requests = pytest.importorskip("requests")
    urllib3 = pytest.importorskip("urllib3")
    retries = urllib3.Retry(9, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
    with requests.Session() as session:
        session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        with session.post(url, json=body, stream=True) as answer:
            assert answer.status_code == 200
            return answer.content


RETRYING = {
    "openai > httpx2": openai_above_httpx2,
    "openai > httpx > aiohttp": openai_above_httpx_above_aiohttp,
    "requests > urllib3 that retries": requests_that_retries,
}
"""Clients that ask again by themselves."""

SCRIPTS = (
    ("answer",),
    ("redirect", "answer"),
    ("busy", "answer"),
    ("redirect", "busy", "answer"),
    ("busy", "redirect", "answer"),
    ("redirect", "redirect", "busy", "busy", "answer"),
    ("redirect", "busy", "redirect", "answer"),
    ("reset", "answer"),
    ("redirect", "reset", "busy", "answer"),
)

ROWS = sampled(
    [
        (name, shape, script)
        for name in [*HTTP_CLIENTS, *RETRYING]
        for shape in ("json", "stream")
        for script in SCRIPTS
    ],
    lambda row: row,
)
"""Each client, shape and script once; in soak all of them."""


def ask(name, url, body):
    """Ask until there is an answer."""
    if name in RETRYING:
        RETRYING[name](url, body)
        return
    client = HTTP_CLIENTS[name]
    client.load()
    for _ in range(9):
        try:
            status, _content = client.post(url, body)
        except Exception:
            continue
        if status == 200:
            return
    raise AssertionError("no answer")


@pytest.mark.parametrize(("name", "shape", "script"), ROWS, ids=[f"{n}-{s}-{' '.join(x)}" for n, s, x in ROWS])
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_calls_are_what_the_server_got(meter, count, counted, name, shape, script):
    got, lock = [], threading.Lock()

    def answer(request):
        with lock:
            step = script[len(got)]
            got.append(step)
        if step == "redirect":
            return Reply(307, (("location", f"{PATH}?hop={len(got)}"),), (b"",))
        if step == "busy":
            made = reply(request, faults.UNAVAILABLE, ANSWER)
            return Reply(made.status, (*made.headers, *WANTS_AGAIN), made.chunks)
        return reply(request, faults.RESET if step == "reset" else ANSWER, ANSWER)

    llmmetrics.instrument(meter)
    try:
        with serve(answering=answer) as server:
            ask(name, server.url + PATH, {"json": ASK, "stream": STREAM}[shape])
    finally:
        llmmetrics.uninstrument()
    gc.collect()
    assert got == list(script)
    failures = script.count("busy") + script.count("reset")
    assert counted() == {"success": 1, **({"failure": failures} if failures else {})}
    assert count("llm_errors_total", error_type="network") == script.count("reset")
    assert count("llm_errors_total", error_type="api_error") == script.count("busy")
    assert count("llm_tokens_total", token_type="completion", model=MODEL) == 45
    assert count("llm_active_requests") == 0
    assert count("llmmetrics_unmetered_connections_total") == 0
