"""Haystack: the chat generator of OpenAI's API, a component of pipelines."""

from contextlib import suppress

from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS: dict[str, str] = {}
MESSAGES = [ChatMessage.from_user(ASK)]


class EnoughError(Exception):
    """Ends a stream: a callback cannot end it in another way."""


def _generator(url, retries=0, callback=None):
    return OpenAIChatGenerator(
        api_key=Secret.from_token(KEY), model=MODEL, api_base_url=url, max_retries=retries, streaming_callback=callback
    )


def ask(url, retries=0):
    return _generator(url, retries).run(MESSAGES)["replies"][0].text


def stream(url, *, leave=False):
    pieces = []

    def take(chunk):
        pieces.append(chunk.content)
        if leave and chunk.content:
            raise EnoughError

    with suppress(EnoughError):
        _generator(url, callback=take).run(MESSAGES)
    return "".join(pieces)


async def ask_async(url):
    return (await _generator(url).run_async(MESSAGES))["replies"][0].text
