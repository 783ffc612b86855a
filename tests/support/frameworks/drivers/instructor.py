"""instructor: a patched client of the OpenAI SDK, with a model of the answer.

The sync `create_partial` reads all of a stream before it returns; the async one yields while it reads.
"""

import asyncio
from contextlib import aclosing

import instructor
import openai
from pydantic import BaseModel

from support.frameworks import drivers
from support.frameworks.drivers import ASK, KEY, MODEL

TEXT = f'{{"start": "hi", "text": "{drivers.TEXT}"}}'
LACKS: dict[str, str] = {}
OPTIONS = {"model": MODEL, "messages": [{"role": "user", "content": ASK}]}


class Greeting(BaseModel):
    """The answer."""

    start: str | None
    text: str | None


def _client(kind, url, retries=0):
    client = getattr(openai, kind)(base_url=url, api_key=KEY, max_retries=retries)
    return instructor.from_openai(client, mode=instructor.Mode.JSON)


def ask(url, retries=0):
    return _client("OpenAI", url, retries).chat.completions.create(response_model=Greeting, **OPTIONS).text


def stream(url, *, leave=False):
    async def read():
        text = ""
        client = _client("AsyncOpenAI", url)
        async with aclosing(client.chat.completions.create_partial(response_model=Greeting, **OPTIONS)) as partials:
            async for partial in partials:
                text = partial.text or ""
                if partial.start and leave:
                    break
        return text

    return asyncio.run(read())


async def ask_async(url):
    return (await _client("AsyncOpenAI", url).chat.completions.create(response_model=Greeting, **OPTIONS)).text
