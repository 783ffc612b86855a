"""Pydantic AI: an agent with OpenAI's chat model."""

import asyncio

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS: dict[str, str] = {}


def _agent(url, retries=0):
    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=retries)
    return Agent(OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)))


def ask(url, retries=0):
    return _agent(url, retries).run_sync(ASK).output


def stream(url, *, leave=False):
    async def read():
        text = ""
        async with _agent(url).run_stream(ASK) as answer:
            async for piece in answer.stream_text(delta=True, debounce_by=None):
                text += piece
                if leave:
                    break
        return text

    return asyncio.run(read())


async def ask_async(url):
    return (await _agent(url).run(ASK)).output
