"""Makes the plugin's cassettes: `python cassettes/make.py` writes them below this directory.

Nothing in them is recorded. Each is the simulated provider's answer, in the shapes that the provider's own public
pages describe; its metadata says which page. The same files come out whenever it is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llmmetrics.testing import Answer, Fault, Reply, Request, ToolCall, faults, reply
from pytest_llmmetrics.cassettes.files import Breakdown, Interaction, dump, write

DATE = "2026-11-24"
ASK = [{"role": "user", "content": "Say hi."}]
ANSWER = Answer("Hello from the simulated provider.", prompt_tokens=12, completion_tokens=8)
TOOL = Answer(
    *("I will look up the weather.", 58, 17),
    tool=ToolCall("get_weather", {"city": "Oslo"}),
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA}
AS_FUNCTION = {"tools": [{"type": "function", "function": FUNCTION}]}

Words = Callable[[int, str, str], Any]


def _azure(http: int, case: str, message: str) -> Any:
    return {"error": {"code": "insufficient_quota" if case == "quota" else str(http), "message": message}}


_MISTRAL = {
    "bad_key": ("authentication_error", "invalid_api_key"),
    "rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
    "quota": ("invalid_request_error", "payment_required"),
    "overloaded": ("server_error", "service_unavailable"),
}


def _mistral(_: int, case: str, message: str) -> Any:
    kind, code = _MISTRAL[case]
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


@dataclass(frozen=True)
class Provider:
    """One provider: its address, its request, and the documentation of its answers."""

    url: str
    model: str
    pages: Mapping[str, str]
    """`api`, `stream`, `tools` and `errors`."""
    body: Mapping[str, Any]
    streaming: Mapping[str, Any] = field(default_factory=lambda: {"stream": True})
    stream_url: str | None = None
    tools: Mapping[str, Any] = field(default_factory=lambda: AS_FUNCTION)
    headers: Mapping[str, list[str]] = field(default_factory=dict)
    answers: str | None = None
    """The answering model, if it is not the requested one."""
    words: Words | None = None
    """Its error messages, if the simulated provider has those of OpenAI."""
    quota: Fault = faults.INSUFFICIENT_QUOTA
    overloaded: Fault = faults.UNAVAILABLE
    cloud: str | None = None
    """The host with keys and quotas, for a provider that usually runs on the user's machine."""
    prefix: str = ""
    """The prefix that selects the simulated provider's dialect."""


def _chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": ASK, **more}


_OPENAI = "https://platform.openai.com/docs"
_AZURE = "https://learn.microsoft.com/en-us/azure/ai-services/openai"
_ANTHROPIC = "https://docs.anthropic.com/en"
_GEMINI = "https://ai.google.dev"
_COHERE = "https://docs.cohere.com"
_OLLAMA = "https://docs.ollama.com"
_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
_GEMINI_URL = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash"

PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        *("https://api.openai.com/v1/chat/completions", "gpt-4o-mini"),
        {
            "api": f"{_OPENAI}/api-reference/chat/create",
            "stream": f"{_OPENAI}/api-reference/chat-streaming",
            "tools": f"{_OPENAI}/guides/function-calling",
            "errors": f"{_OPENAI}/guides/error-codes",
        },
        _chat("gpt-4o-mini"),
        _USAGE,
        answers="gpt-4o-mini-2024-07-18",
    ),
    "azure": Provider(
        "https://example.openai.azure.com/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21",
        "gpt-4o-mini",
        {
            "api": f"{_AZURE}/reference",
            "stream": f"{_AZURE}/reference",
            "tools": f"{_AZURE}/how-to/function-calling",
            "errors": f"{_AZURE}/quotas-limits",
        },
        _chat("gpt-4o-mini"),
        _USAGE,
        answers="gpt-4o-mini-2024-07-18",
        words=_azure,
    ),
    "anthropic": Provider(
        *("https://api.anthropic.com/v1/messages", "claude-sonnet-4-5"),
        {
            "api": f"{_ANTHROPIC}/api/messages",
            "stream": f"{_ANTHROPIC}/api/messages-streaming",
            "tools": f"{_ANTHROPIC}/docs/build-with-claude/tool-use",
            "errors": f"{_ANTHROPIC}/api/errors",
        },
        _chat("claude-sonnet-4-5", max_tokens=64),
        tools={"tools": [{"name": "get_weather", "description": FUNCTION["description"], "input_schema": SCHEMA}]},
        headers={"anthropic-version": ["2023-06-01"]},
        answers="claude-sonnet-4-5-20250929",
        overloaded=faults.OVERLOADED,
    ),
    "gemini": Provider(
        *(f"{_GEMINI_URL}:generateContent", "gemini-2.5-flash"),
        {
            "api": f"{_GEMINI}/api/generate-content",
            "stream": f"{_GEMINI}/api/generate-content#method:-models.streamgeneratecontent",
            "tools": f"{_GEMINI}/gemini-api/docs/function-calling",
            "errors": f"{_GEMINI}/gemini-api/docs/troubleshooting",
        },
        {"contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]},
        {},
        f"{_GEMINI_URL}:streamGenerateContent?alt=sse",
        tools={"tools": [{"functionDeclarations": [FUNCTION]}]},
        overloaded=faults.OVERLOADED,
    ),
    "mistral": Provider(
        *("https://api.mistral.ai/v1/chat/completions", "mistral-small-latest"),
        {
            "api": "https://docs.mistral.ai/api",
            "stream": "https://docs.mistral.ai/api",
            "tools": "https://docs.mistral.ai/capabilities/function_calling",
            "errors": "https://docs.mistral.ai/resources/error-glossary",
        },
        _chat("mistral-small-latest"),
        words=_mistral,
        quota=replace(faults.INSUFFICIENT_QUOTA, http=402),
        prefix="/mistral",
    ),
    "cohere": Provider(
        *("https://api.cohere.com/v2/chat", "command-r-08-2024"),
        {
            "api": f"{_COHERE}/reference/chat",
            "stream": f"{_COHERE}/reference/chat-stream",
            "tools": f"{_COHERE}/docs/tool-use-overview",
            "errors": f"{_COHERE}/reference/errors",
        },
        _chat("command-r-08-2024"),
        quota=replace(faults.INSUFFICIENT_QUOTA, http=402),
    ),
    "ollama": Provider(
        *("http://localhost:11434/api/chat", "llama3.2"),
        {
            "api": f"{_OLLAMA}/api/chat",
            "stream": f"{_OLLAMA}/api/streaming",
            "tools": f"{_OLLAMA}/capabilities/tool-calling",
            "errors": f"{_OLLAMA}/api/errors",
        },
        _chat("llama3.2", stream=False),
        cloud="https://ollama.com/api/chat",
    ),
}


@dataclass(frozen=True)
class Case:
    """One result of a call."""

    page: str
    match: str
    """`api`: the answer has the shape of one API. `provider`: the error is the same for every request."""
    fault: Callable[[Provider], Fault | None] = lambda _: None
    answer: Answer = ANSWER
    stream: bool = False
    tools: bool = False
    cloud: bool = False


CASES: Mapping[str, Case] = {
    "success": Case("api", "api"),
    "stream": Case("stream", "api", stream=True),
    "tool_call": Case("tools", "api", answer=TOOL, tools=True),
    "rate_limited": Case("errors", "provider", lambda _: faults.RATE_LIMIT, cloud=True),
    "bad_key": Case("errors", "provider", lambda _: faults.BAD_KEY, cloud=True),
    "quota": Case("errors", "provider", lambda provider: provider.quota, cloud=True),
    "overloaded": Case("errors", "provider", lambda provider: provider.overloaded),
    "timeout": Case("api", "provider", lambda _: faults.READ_TIMEOUT),
    "cut": Case("stream", "api", lambda _: faults.CUT, stream=True),
}


def cassettes() -> Iterator[tuple[str, str]]:
    """Yield the name and text of every cassette."""
    for vendor, provider in PROVIDERS.items():
        for name, case in CASES.items():
            yield f"{vendor}/{name}", _cassette(provider, name, case)


def _cassette(provider: Provider, name: str, case: Case) -> str:
    url = (case.stream and provider.stream_url) or (case.cloud and provider.cloud) or provider.url
    body = {**provider.body, **(provider.tools if case.tools else {}), **(provider.streaming if case.stream else {})}
    fault = case.fault(provider)
    made = _reply(provider, url, body, case, fault)
    http = made.status
    answered: dict[str, Any] = {
        "status": {"code": http, "message": HTTPStatus(http).phrase if http in set(HTTPStatus) else ""},
        "headers": {header: [value] for header, value in made.headers},
        "body": {"string": _worded(provider, name, made)},
    }
    breakdown = None
    if made.raises:
        # the answer for a reader that does not support `fault`
        answered = {"status": {"code": 504, "message": "Gateway Timeout"}, "headers": {}, "body": {"string": ""}}
        breakdown = Breakdown(made.raises, made.says)
    elif made.cut_after is not None:
        breakdown = Breakdown(
            "RemoteProtocolError", "peer closed connection without sending complete message body", "body"
        )
    asked = {
        "method": "POST",
        "uri": url,
        "headers": {"content-type": ["application/json"], **provider.headers},
        "body": json.dumps(body, sort_keys=True),
    }
    metadata = {
        "match": case.match,
        "repeat": True,
        "source": provider.pages[case.page],
        "date": DATE,
        "expects": _expected(case, fault, http),
    }
    return dump([Interaction(asked, answered, breakdown)], metadata)


def _reply(provider: Provider, url: str, body: Mapping[str, Any], case: Case, fault: Fault | None) -> Reply:
    parts = urlsplit(url)
    request = Request("POST", f"{provider.prefix}{parts.path}", parts.query, {}, json.dumps(body).encode())
    answer = replace(case.answer, model=provider.answers)
    return reply(request, fault or answer, answer)


def _worded(provider: Provider, name: str, made: Reply) -> str:
    if made.status >= 400 and provider.words:
        message = f"Simulated: {name.replace('_', ' ')}."
        return json.dumps(provider.words(made.status, name, message))
    return b"".join(made.chunks[: made.cut_after]).decode()


def _expected(case: Case, fault: Fault | None, http: int) -> dict[str, Any]:
    """Return how the call is counted, in the contract's terms."""
    if fault is None:
        tokens = {"prompt_tokens": case.answer.prompt_tokens, "completion_tokens": case.answer.completion_tokens}
        return {"status": "success", "error_type": None, "http_status": http, **tokens}
    seen = None if fault.raises else http
    return {"status": fault.status, "error_type": fault.error_type, "http_status": seen}


if __name__ == "__main__":
    for each, text in cassettes():
        write(Path(__file__).parent / f"{each}.yaml", text)
