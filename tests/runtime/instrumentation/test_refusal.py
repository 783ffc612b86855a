"""Every official SDK with its default retries: a spent budget is one refusal, at once, with nothing on the wire."""

from __future__ import annotations

import asyncio
import gc
import time
from decimal import Decimal

import pytest
from support.sdks import SDKS, acall, call, closers

from llmmetrics import budget_exceeded


class SleptError(Exception):
    """Somebody waited."""


@pytest.fixture
def sleepless(monkeypatch):
    """Let no wait take time until the end of the test."""
    real = asyncio.sleep

    def sleep(seconds):
        raise SleptError(seconds)

    async def asleep(seconds, *args):
        if seconds > 0.01:
            raise SleptError(seconds)
        await real(seconds, *args)

    def start():
        monkeypatch.setattr(time, "sleep", sleep)
        monkeypatch.setattr(asyncio, "sleep", asleep)

    return start


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", SDKS)
# what an SDK leaves open of its own (the other half of its client) is its own business
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Inheritance class Aiohttp:DeprecationWarning")
def test_an_sdk(limited, provider, count, sleepless, name, asynchronous, stream):
    sdk = SDKS[name]
    client = limited.wrap(sdk.make(sdk.load(), provider.url, None, asynchronous))
    if asynchronous:

        async def both():
            await acall(sdk, client, stream=stream)
            sleepless()
            try:
                with pytest.raises(Exception) as caught:
                    await acall(sdk, client, stream=stream)
            finally:
                for aclose in closers(client, "aclose"):
                    await aclose()
            return caught.value

        exc = asyncio.run(both())
    else:
        call(sdk, client, stream=stream)
        sleepless()
        with pytest.raises(Exception) as caught:
            call(sdk, client, stream=stream)
        for close in closers(client, "close"):
            close()
        exc = caught.value
    gc.collect()
    refused = budget_exceeded(exc)
    assert refused is not None, repr(exc)
    assert (refused.backend, refused.reason, refused.limit) == (sdk.backend, "limit", Decimal("0.000001"))
    assert refused.spent == Decimal("0.000028")
    assert len(provider.requests) == 1
    assert count("llmmetrics_budget_refusals_total") == 1
    assert count("llm_requests_total") == 1
    assert count("llm_active_requests") == 0
    row = (name, "async" if asynchronous else "sync", "stream" if stream else "JSON")
    print(" ".join(f"{cell:<17}" for cell in row), f"{type(exc).__name__}: one refusal, nothing sent")  # noqa: T201
