"""LangChain: a chat model of langchain-openai, which agents and chains call."""

from langchain_openai import ChatOpenAI

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT, joined

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS: dict[str, str] = {}


def _model(url, retries=0):
    return ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, max_retries=retries)


def ask(url, retries=0):
    return _model(url, retries).invoke(ASK).content


def stream(url, *, leave=False):
    return joined((chunk.content for chunk in _model(url).stream(ASK)), leave=leave)


async def ask_async(url):
    return (await _model(url).ainvoke(ASK)).content
