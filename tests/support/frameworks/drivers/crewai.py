"""CrewAI: the LLM that agents of a crew call."""

from crewai import LLM

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT

__all__ = ["LACKS", "TEXT", "ask", "ask_async", "stream"]

LACKS = {"early_close": "CrewAI reads each stream to its end"}


def _model(url, retries=0, **options):
    return LLM(model=f"openai/{MODEL}", base_url=url, api_key=KEY, max_retries=retries, **options)


def ask(url, retries=0):
    return _model(url, retries).call(ASK)


def stream(url, *, leave=False):
    return _model(url, stream=True).call(ASK)


async def ask_async(url):
    return await _model(url).acall(ASK)
