"""Builds and calls each official SDK, as a user does: one row per API."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from llmmetrics.instrumentation.wrap import _clients

TYPES = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
    "cohere": "Cohere",
    "ollama": "Ollama",
    "groq": "GenericOpenAI",
    "mistral": "GenericOpenAI",
}
"""The backend of each SDK, with its type in the settings."""

MODEL = "m-1"
ASK = [{"role": "user", "content": "Say hi."}]


@dataclass(frozen=True)
class Sdk:
    """One API of one SDK. `make(url, http, asynchronous)` returns its client; `http` None: its own httpx client."""

    module: str
    family: str
    backend: str
    make: Callable[[Any, str, Any, bool], Any]
    call: Callable[[Any], Any]
    stream: Callable[[Any], Any]
    call_async: Callable[[Any], Any] | None = None
    stream_async: Callable[[Any], Any] | None = None

    def load(self) -> Any:
        return pytest.importorskip(self.module)


def _given(name: str, http: Any) -> dict[str, Any]:
    return {} if http is None else {name: http}


def _openai(sdk, url, http, asynchronous):
    kind = sdk.AsyncOpenAI if asynchronous else sdk.OpenAI
    return kind(api_key="x", base_url=f"{url}/openai/v1", **_given("http_client", http))


def _anthropic(sdk, url, http, asynchronous):
    kind = sdk.AsyncAnthropic if asynchronous else sdk.Anthropic
    return kind(api_key="x", base_url=f"{url}/anthropic", **_given("http_client", http))


def _groq(sdk, url, http, asynchronous):
    kind = sdk.AsyncGroq if asynchronous else sdk.Groq
    return kind(api_key="x", base_url=f"{url}/groq", **_given("http_client", http))


def _mistral(sdk, url, http, asynchronous):
    name = "async_client" if asynchronous else "client"
    return sdk.Mistral(api_key="x", server_url=f"{url}/mistral", **_given(name, http))


def _gemini(sdk, url, http, asynchronous):
    name = "httpx_async_client" if asynchronous else "httpx_client"
    return sdk.Client(api_key="x", http_options={"base_url": f"{url}/gemini", **_given(name, http)})


def _cohere(sdk, url, http, asynchronous):
    kind = sdk.AsyncClientV2 if asynchronous else sdk.ClientV2
    return kind(api_key="x", base_url=f"{url}/cohere", **_given("httpx_client", http))


def _ollama(sdk, url, http, asynchronous):
    # ollama makes its own httpx client, but accepts a transport
    kind = sdk.AsyncClient if asynchronous else sdk.Client
    return kind(host=f"{url}/ollama", **_given("transport", http and http._transport))


CHAT = {"model": MODEL, "messages": ASK}

SDKS = {
    "openai.chat": Sdk(
        "openai",
        "httpx2",
        "openai",
        _openai,
        lambda client: client.chat.completions.create(**CHAT),
        lambda client: client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}),
    ),
    "openai.responses": Sdk(
        "openai",
        "httpx2",
        "openai",
        _openai,
        lambda client: client.responses.create(model=MODEL, input="Say hi."),
        lambda client: client.responses.create(model=MODEL, input="Say hi.", stream=True),
    ),
    "anthropic": Sdk(
        "anthropic",
        "httpx2",
        "anthropic",
        _anthropic,
        lambda client: client.messages.create(**CHAT, max_tokens=9),
        lambda client: client.messages.create(**CHAT, max_tokens=9, stream=True),
    ),
    "mistralai": Sdk(
        "mistralai.client",
        "httpx2",
        "mistral",
        _mistral,
        lambda client: client.chat.complete(**CHAT),
        lambda client: client.chat.stream(**CHAT),
        lambda client: client.chat.complete_async(**CHAT),
        lambda client: client.chat.stream_async(**CHAT),
    ),
    "google-genai": Sdk(
        "google.genai",
        "httpx2",
        "gemini",
        _gemini,
        lambda client: client.models.generate_content(model=MODEL, contents="Say hi."),
        lambda client: client.models.generate_content_stream(model=MODEL, contents="Say hi."),
        lambda client: client.aio.models.generate_content(model=MODEL, contents="Say hi."),
        lambda client: client.aio.models.generate_content_stream(model=MODEL, contents="Say hi."),
    ),
    "groq": Sdk(
        "groq",
        "httpx",
        "groq",
        _groq,
        lambda client: client.chat.completions.create(**CHAT),
        lambda client: client.chat.completions.create(**CHAT, stream=True),
    ),
    "cohere": Sdk(
        "cohere",
        "httpx",
        "cohere",
        _cohere,
        lambda client: client.chat(**CHAT),
        lambda client: client.chat_stream(**CHAT),
    ),
    "ollama": Sdk(
        "ollama",
        "httpx",
        "ollama",
        _ollama,
        lambda client: client.chat(**CHAT),
        lambda client: client.chat(**CHAT, stream=True),
    ),
}


def http_client(family: str, transport: Any, *, asynchronous: bool) -> Any:
    """Make a client of this library with a transport."""
    library = importlib.import_module(family)
    return (library.AsyncClient if asynchronous else library.Client)(transport=transport, timeout=30)


def call(sdk: Sdk, client: Any, *, stream: bool) -> None:
    """Make one call, and read it to its end."""
    made = (sdk.stream if stream else sdk.call)(client)
    if stream:
        for _ in made:
            pass


async def acall(sdk: Sdk, client: Any, *, stream: bool) -> None:
    """Make one async call, and read it to its end."""
    one, streamed = sdk.call_async or sdk.call, sdk.stream_async or sdk.stream
    made = (streamed if stream else one)(client)
    if hasattr(made, "__await__"):
        made = await made
    if stream:
        async for _ in made:
            pass


def closers(client: Any, name: str) -> Iterator[Callable[[], Any]]:
    """Return the functions that close an SDK's HTTP clients: SDKs differ in what they close themselves."""
    for each in list(_clients(client)):
        for one in (each, *getattr(each, "_loop_clients", {}).values()):
            if hasattr(one, name):
                yield getattr(one, name)


def refused_as_forbidden(exc: Exception) -> bool:
    """Tell whether this is an SDK's own error for the simulated provider's HTTP 403."""
    return 403 in {getattr(exc, name, None) for name in ("status_code", "code")}
