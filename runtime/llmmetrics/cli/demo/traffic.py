"""The demo's traffic: a few real HTTP calls of each kind that an application makes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import httpx
import httpx2

from llmmetrics.errors import BudgetExceeded
from llmmetrics.meter import Meter
from llmmetrics.testing import Answer, LoopbackProvider, faults

OPENAI = "/openai/v1/chat/completions"
ANTHROPIC = "/anthropic/v1/messages"
GEMINI = "/gemini/v1beta/models/gemini-2.5-flash"
OLLAMA = "/ollama/api/chat"
CAPPED = "/capped/v1/chat/completions"
ASK = [{"role": "user", "content": "Why is the sky blue? Answer in one sentence."}]
GPT = {"model": "gpt-4o-mini", "messages": ASK}
CLAUDE = {"model": "claude-sonnet-4-5", "max_tokens": 200, "messages": ASK}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": ASK[0]["content"]}]}]}
LLAMA = {"model": "llama3.2", "messages": ASK}
O1 = {"model": "o1", "messages": ASK}
SKY = Answer("Air scatters blue light more than red, so it reaches us from everywhere.", 18, 16)


class Traffic:
    """Metered clients of both httpx families, and the simulated provider."""

    def __init__(self, meter: Meter, provider: LoopbackProvider) -> None:
        self.meter = meter
        self.provider = provider

    def client(self, timeout: float = 5.0) -> httpx.Client:
        return httpx.Client(base_url=self.provider.url, transport=self.meter.transport(family="httpx"), timeout=timeout)

    def client2(self, timeout: float = 5.0) -> httpx2.Client:
        return httpx2.Client(base_url=self.provider.url, transport=self.meter.transport(), timeout=timeout)


def json_calls(traffic: Traffic) -> None:
    """Send one JSON call to each backend."""
    traffic.provider.script(SKY, replace(SKY, cache_read=10), replace(SKY, reasoning=9), SKY)
    with traffic.client2() as client:
        client.post(OPENAI, json=GPT)
        client.post(ANTHROPIC, json=CLAUDE)
        # not an LLM call: it has a counter of its own
        client.get("/openai/v1/models")
    with traffic.client() as other:
        other.post(f"{GEMINI}:generateContent", json=CONTENTS)
        other.post(OLLAMA, json={**LLAMA, "stream": False})


def streams(traffic: Traffic) -> None:
    """Read one stream from each backend."""
    traffic.provider.script(SKY, SKY, SKY, SKY)
    with traffic.client2() as client:
        client.post(OPENAI, json={**GPT, "stream": True, "stream_options": {"include_usage": True}})
        client.post(ANTHROPIC, json={**CLAUDE, "stream": True})
        client.post(f"{GEMINI}:streamGenerateContent?alt=sse", json=CONTENTS)
    with traffic.client() as other:
        other.post(OLLAMA, json=LLAMA)


def rate_limit_and_retry(traffic: Traffic) -> None:
    """Send a request that gets a 429, and its retry after Retry-After."""
    traffic.provider.script(replace(faults.RATE_LIMIT, retry_after="0.1"), SKY)
    if find_spec("openai") is None:
        with traffic.client2() as client:
            time.sleep(float(client.post(OPENAI, json=GPT).headers["retry-after"]))
            client.post(OPENAI, json=GPT)
        return
    import openai

    sdk: Any = openai.OpenAI(
        api_key="simulated",
        base_url=f"{traffic.provider.url}/openai/v1",
        http_client=openai.DefaultHttpxClient(transport=traffic.meter.transport()),
        max_retries=1,
    )
    with sdk:
        sdk.chat.completions.create(**GPT)


def timeout(traffic: Traffic) -> None:
    """Send a request with a timeout that is too short."""
    before = len(traffic.provider.requests)
    traffic.provider.script(replace(faults.SLOW_FIRST_BYTE, delay=0.5))
    with traffic.client2(timeout=0.15) as client, suppress(httpx2.ReadTimeout):
        client.post(ANTHROPIC, json=CLAUDE)
    deadline = time.monotonic() + 5
    # on a busy machine the client gives up first, and the next step would get the answer scripted for it
    while len(traffic.provider.requests) == before and time.monotonic() < deadline:
        time.sleep(0.01)


def bad_key(traffic: Traffic) -> None:
    """Send a wrong API key: Gemini answers it with a 400."""
    traffic.provider.script(faults.BAD_KEY)
    with traffic.client() as client:
        client.post(f"{GEMINI}:generateContent", json=CONTENTS)


def cancelled_stream(traffic: Traffic) -> None:
    """Cancel a task in the middle of a stream."""
    traffic.provider.script(faults.STALL)

    async def walk_away() -> None:
        transport = traffic.meter.async_transport()
        async with (
            httpx2.AsyncClient(base_url=traffic.provider.url, transport=transport) as client,
            client.stream("POST", OPENAI, json={**GPT, "stream": True}) as response,
        ):
            await anext(response.aiter_raw())

    asyncio.run(walk_away())


def budget(traffic: Traffic) -> None:
    """Spend the budget of a cent: three calls spend it, later ones are refused until the next hour."""
    # not scripted: a refused call would leave its answer to the next step
    traffic.provider.default = replace(SKY, completion_tokens=52, reasoning=36)
    with traffic.client2() as client, suppress(BudgetExceeded):
        for _ in range(4):
            client.post(CAPPED, json=O1)


STEPS: tuple[tuple[str, Callable[[Traffic], None]], ...] = (
    ("JSON calls", json_calls),
    ("streams", streams),
    ("a 429 and its retry", rate_limit_and_retry),
    ("a timeout", timeout),
    ("a bad key", bad_key),
    ("a cancelled stream", cancelled_stream),
    ("a budget", budget),
)
"""The steps of the demo, in this order."""
