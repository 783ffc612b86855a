"""Every shipped cassette, with its provider's official SDK: the result of the user's code, and the counts."""

from __future__ import annotations

import asyncio
import json
import runpy
import tomllib
from contextlib import ExitStack
from dataclasses import replace
from importlib import import_module

import pytest
from support import sdks

from llmmetrics.testing import observe
from llmmetrics.testing.harness import metering
from pytest_llmmetrics.cassettes import files as cassette_files
from pytest_llmmetrics.cassettes import names as cassette_names
from pytest_llmmetrics.cassettes import recording

HERE = cassette_names.shipped()
NAMES = cassette_names.names([HERE])
EXPECTS = {name: cassette_files.read(HERE / f"{name}.yaml", name).metadata["expects"] for name in NAMES}
# its answers do not name the model
COMMAND_R = {**sdks.CHAT, "model": "command-r-08-2024", "request_options": {"max_retries": 0}}

COHERE = replace(
    sdks.SDKS["cohere"],
    call=lambda client: client.chat(**COMMAND_R),
    stream=lambda client: client.chat_stream(**COMMAND_R),
)
ENDPOINT = {"azure_endpoint": "https://mine.openai.azure.com", "api_version": "2024-10-21"}


def of(name, **options):
    """Make an SDK's client as a user does: for the provider's own host, without retries."""
    return lambda sdk, asynchronous: getattr(sdk, f"{'Async' if asynchronous else ''}{name}")(**options)


def gemini(sdk, asynchronous):
    options = {"httpx_async_client": below("httpx2", asynchronous)} if asynchronous else {}
    return sdk.Client(api_key="x", http_options=options)


def cohere(sdk, asynchronous):
    return of("ClientV2", api_key="x", httpx_client=below("httpx", asynchronous))(sdk, asynchronous)


def below(sdk, asynchronous):
    """A client for an SDK that would send its async calls through aiohttp, which cassettes do not play."""
    library = import_module(sdk)
    return library.AsyncClient() if asynchronous else library.Client()


# the provider's SDK, its client, its exceptions
PROVIDERS = {
    "openai": (sdks.SDKS["openai.chat"], of("OpenAI", api_key="x", max_retries=0)),
    "azure": (sdks.SDKS["openai.chat"], of("AzureOpenAI", api_key="x", max_retries=0, **ENDPOINT)),
    "anthropic": (sdks.SDKS["anthropic"], of("Anthropic", api_key="x", max_retries=0)),
    "gemini": (sdks.SDKS["google-genai"], gemini),
    "mistral": (sdks.SDKS["mistralai"], lambda sdk, _: sdk.Mistral(api_key="x")),
    "cohere": (COHERE, cohere),
    "ollama": (sdks.SDKS["ollama"], of("Client")),
}
# what the SDK raises: rate_limited, bad_key, quota, overloaded, timeout, cut
FAILING = ("rate_limited", "bad_key", "quota", "overloaded", "timeout", "cut")
OPENAI = (
    *("RateLimitError", "AuthenticationError", "RateLimitError"),
    *("InternalServerError", "APITimeoutError", "APIConnectionError"),
)
EXCEPTIONS = {
    "openai": OPENAI,
    "azure": OPENAI,
    "anthropic": (
        *("RateLimitError", "AuthenticationError", "PaymentRequiredError"),
        *("OverloadedError", "APITimeoutError", "RemoteProtocolError"),
    ),
    "gemini": (*("ClientError",) * 3, "ServerError", "ReadTimeout", "RemoteProtocolError"),
    "mistral": (*("SDKError",) * 4, "ReadTimeout", "RemoteProtocolError"),
    "cohere": (
        *("TooManyRequestsError", "UnauthorizedError", "ApiError"),
        *("ServiceUnavailableError", "ReadTimeout", "RemoteProtocolError"),
    ),
    "ollama": (*("ResponseError",) * 4, "ReadTimeout", "RemoteProtocolError"),
}
RAISES = {
    (provider, case): name for provider, row in EXCEPTIONS.items() for case, name in zip(FAILING, row, strict=True)
}
UNPRICED = {"ollama"}
"""Runs on the user's own machine."""


def ask(sdk, client, *, stream, asynchronous):
    """One call, and the SDK's HTTP clients closed as it closes them itself or not."""
    if not asynchronous:
        with ExitStack() as stack:
            for close in sdks.closers(client, "close"):
                stack.callback(close)
            return sdks.call(sdk, client, stream=stream)

    async def run():
        try:
            await sdks.acall(sdk, client, stream=stream)
        finally:
            for close in sdks.closers(client, "aclose"):
                await close()

    return asyncio.run(run())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.llm_cassette(name)) for name in NAMES])
def test_every_cassette_through_its_sdk(name, asynchronous, llm_meter):
    provider, _, case = name.partition("/")
    sdk, make = PROVIDERS[provider]
    expected, records, raised = EXPECTS[name], [], None
    with metering(llm_meter), observe(records.append):
        client = make(sdk.load(), asynchronous)
        try:
            ask(sdk, client, stream=case in ("stream", "cut"), asynchronous=asynchronous)
        except Exception as exc:
            raised = type(exc).__name__
    assert raised == RAISES.get((provider, case))
    (record,) = records
    assert (record.status, record.error_type) == (expected["status"], expected["error_type"])
    assert record.http_status == expected["http_status"]
    if "prompt_tokens" in expected:
        assert record.usage_known
        assert record.usage.prompt == expected["prompt_tokens"]
        assert record.usage.completion == expected["completion_tokens"]
        assert (record.cost_usd is None) == (provider in UNPRICED)


def test_there_is_every_case_of_every_provider():
    assert (
        sorted(f"{provider}/{case}" for provider in PROVIDERS for case in (*FAILING, "success", "stream", "tool_call"))
        == NAMES
    )


def test_they_are_what_the_script_makes():
    made = dict(runpy.run_path(str(HERE / "make.py"))["cassettes"]())
    assert sorted(made) == NAMES
    for name, text in made.items():
        assert (HERE / f"{name}.yaml").read_bytes() == text.encode(), f"run `make cassettes`: {name} is another"


@pytest.mark.parametrize("name", NAMES)
def test_they_hold_no_secret_and_say_where_they_are_from(name):
    path = HERE / f"{name}.yaml"
    cassette = cassette_files.read(path, name)
    assert recording.findings(cassette, path.read_text("utf8"), ()) == []
    assert cassette.metadata["source"].startswith("https://")
    assert cassette.metadata["date"] == "2026-11-24"


@pytest.mark.parametrize("name", NAMES)
def test_vcrpy_alone_reads_them(name):
    from vcr.persisters.filesystem import FilesystemPersister
    from vcr.serializers import yamlserializer

    requests, responses, *_ = FilesystemPersister.load_cassette(HERE / f"{name}.yaml", yamlserializer)
    assert len(requests) == len(responses) == 1


def test_the_wheel_has_every_provider():
    settings = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf8"))
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {f"cassettes/{each}": f"pytest_llmmetrics/data/cassettes/{each}" for each in PROVIDERS}


TOOLS = {
    "openai": lambda answer: answer.choices[0].message.tool_calls[0].function,
    "azure": lambda answer: answer.choices[0].message.tool_calls[0].function,
    "anthropic": lambda answer: answer.content[0],
    "gemini": lambda answer: answer.function_calls[0],
    "mistral": lambda answer: answer.choices[0].message.tool_calls[0].function,
    "cohere": lambda answer: answer.message.tool_calls[0].function,
    "ollama": lambda answer: answer.message.tool_calls[0].function,
}


@pytest.mark.parametrize(
    "provider", [pytest.param(each, marks=pytest.mark.llm_cassette(f"{each}/tool_call")) for each in TOOLS]
)
def test_the_sdk_sees_the_tool_that_is_asked_for(provider):
    sdk, make = PROVIDERS[provider]
    client = make(sdk.load(), False)
    tool = TOOLS[provider](sdk.call(client))
    given = getattr(tool, "arguments", None) or getattr(tool, "args", None) or tool.input
    assert tool.name == "get_weather"
    assert (json.loads(given) if isinstance(given, str) else given) == {"city": "Oslo"}
    for close in sdks.closers(client, "close"):
        close()
