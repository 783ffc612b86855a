"""LiteLLM: `completion` and `acompletion`."""

import litellm

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT, joined

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS: dict[str, str] = {}
MESSAGES = [{"role": "user", "content": ASK}]


def _options(url, retries=0):
    return {
        "model": f"openai/{MODEL}",
        "messages": MESSAGES,
        "api_base": url,
        "api_key": KEY,
        "num_retries": retries,
        "max_retries": 0,
    }


def ask(url, retries=0):
    return litellm.completion(**_options(url, retries)).choices[0].message.content


def stream(url, *, leave=False):
    # without the block, a stream that is left stays open until LiteLLM forgets it
    with litellm.completion(**_options(url), stream=True) as chunks:
        return joined((chunk.choices[0].delta.content for chunk in chunks), leave=leave)


async def ask_async(url):
    return (await litellm.acompletion(**_options(url))).choices[0].message.content
