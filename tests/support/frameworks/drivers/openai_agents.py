"""OpenAI Agents: an agent with the Responses API, which is the default."""

import asyncio

from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from openai import AsyncOpenAI

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS: dict[str, str] = {}

set_tracing_disabled(True)


def _agent(url, retries=0):
    client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=retries)
    return Agent(name="a", model=OpenAIResponsesModel(model=MODEL, openai_client=client))


def ask(url, retries=0):
    return Runner.run_sync(_agent(url, retries), ASK).final_output


def stream(url, *, leave=False):
    async def read():
        text = ""
        answer = Runner.run_streamed(_agent(url), ASK)
        async for event in answer.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                text += event.data.delta
                if leave:
                    answer.cancel()
        return text

    return asyncio.run(read())


async def ask_async(url):
    return (await Runner.run(_agent(url), ASK)).final_output
