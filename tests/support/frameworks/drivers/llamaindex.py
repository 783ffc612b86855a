"""LlamaIndex: the LLM of llama-index-llms-openai, which engines and agents call."""

from llama_index.llms.openai import OpenAI

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT, joined

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS: dict[str, str] = {}


def _model(url, retries=0):
    return OpenAI(model=MODEL, api_base=url, api_key=KEY, max_retries=retries)


def ask(url, retries=0):
    return _model(url, retries).complete(ASK).text


def stream(url, *, leave=False):
    return joined((chunk.delta for chunk in _model(url).stream_complete(ASK)), leave=leave)


async def ask_async(url):
    return (await _model(url).acomplete(ASK)).text
