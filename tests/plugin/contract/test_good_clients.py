"""Code that calls an LLM as it should, by official SDKs and by hand: each passes the whole client contract."""

from __future__ import annotations

import asyncio
import json
import ssl
import time

import httpx
import pytest

from pytest_llmmetrics import faults
from pytest_llmmetrics.contract import LlmClientContract, MeteredMetricsContract

KEY = "sk-contract-0123456789abcdef"
ASK = [{"role": "user", "content": "Say hello to the contract."}]
GPT = {"model": "gpt-4o-mini", "messages": ASK}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
PRICE = ("0.15", "0.60")
URL = "https://api.openai.com/v1/chat/completions"


TLS = ssl.create_default_context()
"""Made once: it takes longer than all the rest of a call."""


class TestOpenai(LlmClientContract):
    deadline = 200.0
    price = PRICE

    @pytest.fixture(autouse=True)
    def _client(self):
        openai = pytest.importorskip("openai")
        with openai.OpenAI(api_key=KEY, timeout=30) as self.client:
            yield

    def call(self):
        return self.client.chat.completions.create(**GPT).choices[0].message.content

    def stream(self):
        return self.client.chat.completions.create(**GPT, **STREAM)


class TestOpenaiAsync(LlmClientContract):
    price = PRICE

    async def call(self):
        openai = pytest.importorskip("openai")
        async with openai.AsyncOpenAI(api_key=KEY) as client:
            return (await client.chat.completions.create(**GPT)).choices[0].message.content

    async def stream(self):
        openai = pytest.importorskip("openai")
        async with (
            openai.AsyncOpenAI(api_key=KEY) as client,
            await client.chat.completions.create(**GPT, **STREAM) as got,
        ):
            async for chunk in got:
                yield chunk


class TestAnthropic(LlmClientContract):
    price = ("1", "5")

    @pytest.fixture(autouse=True)
    def _client(self):
        anthropic = pytest.importorskip("anthropic")
        with anthropic.Anthropic(api_key=KEY, timeout=30) as self.client:
            yield

    def call(self):
        asked = {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 99}
        return self.client.messages.create(**asked).content[0].text

    def stream(self):
        with self.client.messages.stream(model="claude-haiku-4-5", messages=ASK, max_tokens=99) as got:
            yield from got.text_stream


class TestHttpx(LlmClientContract):
    """By hand: retries with back-off, within a deadline of its own."""

    deadline = 60.0
    price = PRICE

    def call(self):
        end = time.monotonic() + 50
        with httpx.Client(headers={"authorization": f"Bearer {KEY}"}, timeout=10, verify=TLS) as client:
            for attempt in range(3):
                try:
                    return self.once(client)
                except (httpx.TransportError, httpx.HTTPStatusError) as exc:
                    response = getattr(exc, "response", None)
                    wait = float(response.headers.get("retry-after", 2**attempt)) if response else 2**attempt
                    lasting = response is not None and response.status_code < 500 and response.status_code != 429
                    if attempt == 2 or lasting or time.monotonic() + wait > end:
                        raise
                    time.sleep(wait)
        return None

    def once(self, client):
        answer = client.post(URL, json=GPT).raise_for_status().json()
        return answer["choices"][0]["message"]["content"]

    def stream(self):
        sent = {"headers": {"authorization": f"Bearer {KEY}"}, "json": {**GPT, **STREAM}}
        with httpx.Client(verify=TLS) as client, client.stream("POST", URL, **sent) as answer:
            answer.raise_for_status()
            yield from (line for line in answer.iter_lines() if line)


class TestHttpxAsync(LlmClientContract):
    """By hand, async: one attempt, in a stream, within a time limit; a model whose price nobody knows."""

    max_attempts = 1
    deadline = 20.0
    handled = ("forbidden",)

    async def call(self):
        words = []
        async with asyncio.timeout(15), httpx.AsyncClient(headers={"x-api-key": KEY}, timeout=60, verify=TLS) as client:
            body = {**GPT, **STREAM, "model": "unknown-model-1"}
            async with client.stream("POST", URL, json=body) as answer:
                if answer.status_code == 403:
                    return "not for you"
                answer.raise_for_status()
                done = False
                async for line in answer.aiter_lines():
                    data = line.removeprefix("data: ")
                    done = done or data == "[DONE]"
                    if data and not done:
                        event = json.loads(data)
                        words += [each["delta"].get("content", "") for each in event["choices"]]
                if not done:
                    raise ValueError("the stream has no end")
        return "".join(words)


class TestMetrics(MeteredMetricsContract):
    """What the calls of a test export, while they go on."""

    @pytest.fixture(autouse=True)
    def _counted(self, llm_meter, llm_metrics, llm_provider):
        self.meter, self.provider = llm_meter, llm_provider
        self.between()

    def metrics(self):
        return self.meter.registry

    def between(self):
        with httpx.Client(verify=TLS) as client:
            for fault in (None, faults.RATE_LIMIT, faults.GATEWAY_TIMEOUT):
                self.provider.fail(fault) if fault else self.provider.reply()
                client.post(URL, json=GPT)
            self.provider.reply(usage=False)
            client.post(URL, json={**GPT, "model": "unknown-model-1"})
