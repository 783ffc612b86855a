"""DSPy with the engine litellm: its default engine opens sockets of its own, which no door sees."""

import asyncio

import dspy

from support.frameworks import drivers
from support.frameworks.drivers import ASK, KEY, MODEL

TEXT = f"[[ ## answer ## ]]\n{drivers.TEXT}\n\n[[ ## completed ## ]]"
LACKS: dict[str, str] = {}
ENGINE = {"engine": "litellm"}


def _program(url, retries=0):
    model = dspy.LM(f"openai/{MODEL}", api_base=url, api_key=KEY, cache=False, num_retries=retries, **ENGINE)
    program = dspy.Predict("question -> answer")
    program.set_lm(model)
    return program


def ask(url, retries=0):
    return _program(url, retries)(question=ASK).answer


def stream(url, *, leave=False):
    listeners = [dspy.streaming.StreamListener(signature_field_name="answer")]
    streamed = dspy.streamify(_program(url), stream_listeners=listeners)

    async def read():
        text = ""
        pieces = streamed(question=ASK)
        async for piece in pieces:
            text += piece.chunk if isinstance(piece, dspy.streaming.StreamResponse) else ""
            if text and leave:
                break
        await pieces.aclose()
        return text

    return asyncio.run(read())


async def ask_async(url):
    return (await _program(url).acall(question=ASK)).answer
