"""Connections to LLM hosts are denied under every event loop, before anything is sent."""

from __future__ import annotations

import asyncio
import importlib

import pytest

from pytest_llmmetrics.network import LlmNetworkError, denied


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("library", ["httpx2", "aiohttp", "streams"])
def test_no_event_loop_connects(loop, library):
    run = asyncio.run if loop == "asyncio" else pytest.importorskip("uvloop").run

    async def ask():
        if library == "streams":
            await asyncio.open_connection("api.openai.com", 443)
        elif library == "aiohttp":
            async with pytest.importorskip("aiohttp").ClientSession() as session:
                await session.post("https://api.openai.com/v1/chat/completions", json={})
        else:
            async with importlib.import_module(library).AsyncClient() as client:
                await client.post("https://api.openai.com/v1/chat/completions", json={})

    with denied() as tried, pytest.raises(LlmNetworkError, match=r"api\.openai\.com"):
        run(ask())
    assert set(tried) == {"api.openai.com"}


def test_uvloop_is_as_it_was():
    uvloop = pytest.importorskip("uvloop")
    with denied():
        assert hasattr(uvloop.Loop.create_connection, "__wrapped__")
    assert not hasattr(uvloop.Loop.create_connection, "__wrapped__")
