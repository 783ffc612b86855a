"""Every fault through every official SDK: the caller's result, the counts, and the number of attempts.

pytest tests/plugin/contract/test_matrix.py -s    prints the whole matrix, a line a cell
"""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from importlib import import_module

import pytest
from support.sdks import SDKS, TYPES, acall, call, closers

from llmmetrics.testing import FAULTS
from llmmetrics.testing.harness import counted
from llmmetrics.testing.shapes import SHAPES
from pytest_llmmetrics.contract.patience import impatient
from pytest_llmmetrics.contract.tap import watched
from pytest_llmmetrics.contract.wire import Wire

URL = "https://llm.example"
CANNOT = {shape.errors.name: shape.errors.cannot for shape in SHAPES}
MOST = 20
"""More attempts than any of the SDKs makes."""


@pytest.fixture
def llm_settings():
    own = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    return {
        "Backends": [{"Name": name, "Type": kind, "BaseUrl": f"{URL}/{name}", **own} for name, kind in TYPES.items()]
    }


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("name", SDKS)
@pytest.mark.llm_provider(assert_all_requested=False)
# ignore what an SDK itself leaves open (the other half of its client)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_sdk(llm_metrics, llm_provider, name, asynchronous, stream):
    sdk = SDKS[name]
    module = sdk.load()
    wrong = []
    with impatient() as patience, watched(wire := Wire(patience)):
        client = sdk.make(module, URL, http_of(name) if asynchronous else None, asynchronous)

        def meet(fault) -> str:
            llm_provider.fail(fault, MOST)
            try:
                if asynchronous:
                    patience.run(acall(sdk, client, stream=stream))
                else:
                    call(sdk, client, stream=stream)
            except Exception as exc:
                return f"{type(exc).__module__.partition('.')[0]}.{type(exc).__name__}"
            return "nothing"

        for fault in FAULTS.values():
            before, first = len(wire.attempts), len(llm_metrics.records)
            wire.allow(MOST)
            gets = meet(fault)
            llm_provider.clear()
            attempts = len(wire.attempts) - before
            if len(llm_metrics.records) - first < attempts:
                # some SDKs leave an answer to the garbage collector
                gc.collect()
            if llm_provider.problems:
                assert fault.name in CANNOT.get(sdk.backend, CANNOT["openai"]), llm_provider.problems
                llm_provider.problems.clear()
                cell = ("inexpressible in the provider's format",)
            else:
                records = llm_metrics.records[first:]
                found = Counter((each.status.value, each.error_type and each.error_type.value) for each in records)
                cell = (
                    gets,
                    *(f"{status}/{kind or '-'} x{n}" for (status, kind), n in found.items()),
                    f"{attempts} attempts",
                )
                if found != {counted(llm_provider.requests[-1], fault): attempts} or not attempts:
                    wrong.append((fault.name, *cell))
            row = (name, "async" if asynchronous else "sync", "stream" if stream else "JSON", fault.name)
            print(" ".join(f"{each:<17}" for each in row), *(f"{each:<34}" for each in cell))  # noqa: T201
        close(client, asynchronous)
    gc.collect()
    assert wrong == []
    assert llm_metrics.value("llm_active_requests") == 0
    assert llm_metrics.delta("llmmetrics_internal_errors_total") == 0


def http_of(name):
    """Return a client for an SDK that would send its async calls through aiohttp, where `Wire` counts no attempts."""
    library = {"google-genai": "httpx2", "cohere": "httpx"}.get(name)
    return import_module(library).AsyncClient() if library else None


def close(client, asynchronous):
    async def all_of_them():
        for aclose in closers(client, "aclose"):
            await aclose()

    if asynchronous:
        asyncio.run(all_of_them())
    else:
        for one in closers(client, "close"):
            one()
