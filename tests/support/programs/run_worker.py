"""A worker of a job: makes calls in a named run until it is refused. `python run_worker.py '{"ledger": …}'`"""

from __future__ import annotations

import asyncio
import json
import random
import sys

import anthropic
import httpx
import httpx2
import openai
from prometheus_client import CollectorRegistry

from llmmetrics import BudgetExceeded, Meter, budget_exceeded, spending

MESSAGES = [{"role": "user", "content": "Hi"}]
PRICE = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 2000}
"""$0.002 a token: an answer of 8 tokens costs $0.016, and with `max_tokens` of 10 at most $0.02."""


ERRORS = (openai.OpenAIError, anthropic.AnthropicError, httpx.HTTPError, httpx2.HTTPError, BudgetExceeded)


class Job:
    def __init__(self, ledger, url, seed):
        self.random = random.Random(seed)
        backends = [
            {"Name": "gpt", "BaseUrl": f"{url}/v1", **PRICE},
            {"Name": "claude", "Type": "Anthropic", "BaseUrl": url, **PRICE},
        ]
        self.meter = Meter.from_settings(
            {"Budget": {"Ledger": ledger}, "Backends": backends}, registry=CollectorRegistry()
        )
        self.options = {"api_key": "k", "max_retries": 1, "timeout": 3}
        self.url = f"{url}/v1"
        self.gpt = self.meter.wrap(openai.OpenAI(base_url=self.url, **self.options))
        self.claude = self.meter.wrap(anthropic.Anthropic(base_url=url, **self.options))

    def chat(self):
        self.gpt.chat.completions.create(model="m", messages=MESSAGES, max_tokens=10)

    def stream(self):
        for _ in self.gpt.chat.completions.create(model="m", messages=MESSAGES, max_tokens=10, stream=True):
            if self.random.random() < 0.1:
                return

    def message(self):
        self.claude.messages.create(model="c", messages=MESSAGES, max_tokens=10)

    def message_stream(self):
        with self.claude.messages.stream(model="c", messages=MESSAGES, max_tokens=10) as stream:
            for _ in stream:
                if self.random.random() < 0.1:
                    return

    def concurrent(self):
        async def main():
            gpt = self.meter.wrap(openai.AsyncOpenAI(base_url=self.url, **self.options))
            claude = self.meter.wrap(anthropic.AsyncAnthropic(base_url=self.url.removesuffix("/v1"), **self.options))
            async with gpt, claude:
                asked = {"messages": MESSAGES, "max_tokens": 10}
                calls = [
                    gpt.chat.completions.create(model="m", **asked),
                    claude.messages.create(model="c", **asked),
                    read(gpt.chat.completions.create(model="m", stream=True, **asked)),
                ]
                results = await asyncio.gather(*calls, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result

        async def read(asked):
            async for _ in await asked:
                pass

        asyncio.run(main())

    def work(self):
        """Call until the run is spent; return how many calls were refused by it."""
        kinds = [self.chat, self.stream, self.message, self.message_stream, self.concurrent]
        with spending(usd="1", name="job"):
            while True:
                try:
                    self.random.choice(kinds)()
                except ERRORS as exc:
                    if (refused := budget_exceeded(exc)) is not None:
                        return refused.reason


if __name__ == "__main__":
    job = Job(**json.loads(sys.argv[1]))
    sys.stdout.write(job.work())
    job.meter.close()
