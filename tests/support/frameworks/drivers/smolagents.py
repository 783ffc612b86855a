"""smolagents: the model of OpenAI's API, which agents call."""

from smolagents import OpenAIModel
from smolagents.models import ChatMessage, MessageRole

from support.frameworks.drivers import ASK, KEY, MODEL, TEXT, joined

__all__ = ["LACKS", "TEXT", "ask", "stream"]

LACKS = {"async": "smolagents has no async API"}
MESSAGES = [ChatMessage(role=MessageRole.USER, content=[{"type": "text", "text": ASK}])]


def _model(url, retries=0):
    return OpenAIModel(model_id=MODEL, api_base=url, api_key=KEY, client_kwargs={"max_retries": retries})


def ask(url, retries=0):
    return _model(url, retries).generate(MESSAGES).content


def stream(url, *, leave=False):
    return joined((delta.content for delta in _model(url).generate_stream(MESSAGES)), leave=leave)
