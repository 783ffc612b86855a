"""Many threads and many tasks on one meter, while it is scraped: every sum is exact."""

from __future__ import annotations

import asyncio
from threading import Barrier, Event, Thread

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from llmmetrics import Meter
from llmmetrics.metrics.batching import Batches

URL = "https://api.openai.com/v1/chat/completions"
PRICES = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
MODELS = 5
JSON = b'{"model": "m", "usage": {"prompt_tokens": 11, "completion_tokens": 7}}'
EVENTS = [b'data: {"model": "m", "choices": []}\n\n', b"data: %b\n\n" % JSON, b"data: [DONE]\n\n"]


@pytest.fixture
def meter(registry):
    backend = {"Name": "openai", "Type": "OpenAI", **PRICES}
    return Meter.from_settings({"Backends": [backend]}, registry=registry)


@pytest.fixture
def scraped(registry):
    """The registry is scraped all the while; gives what every scrape has read."""
    done, pages = Event(), []

    def scrape():
        while not done.is_set():
            pages.append(generate_latest(registry))

    thread = Thread(target=scrape)
    thread.start()
    yield pages
    done.set()
    thread.join()


def check(calls, count, counted):
    """So many calls, spread evenly over the models."""
    assert counted() == {"success": calls}
    for n in range(MODELS):
        labels = {"backend": "openai", "model": f"m{n}"}
        assert count("llm_requests_total", **labels) == calls / MODELS
        assert count("llm_tokens_total", token_type="total", **labels) == 18 * calls / MODELS
        # 11 at $1 and 7 at $2 a million
        assert count("llm_estimated_cost_usd", **labels) == pytest.approx(25e-6 * calls / MODELS, rel=1e-9)


class Body(httpx.SyncByteStream):
    def __iter__(self):
        yield from EVENTS


class AsyncBody(httpx2.AsyncByteStream):
    async def __aiter__(self):
        for event in EVENTS:
            await asyncio.sleep(0)
            yield event


def ask(n):
    return {"model": f"m{n % MODELS}", "messages": [], "stream": n % 2 == 0}


def test_200_threads(meter, count, counted, scraped):
    def answer(request):
        streams = b'"stream":true' in request.content
        return httpx.Response(200, stream=Body()) if streams else httpx.Response(200, content=JSON)

    client = httpx.Client(transport=meter.transport(httpx.MockTransport(answer)))
    together = Barrier(200)

    def work(first):
        together.wait(60)
        for n in range(first, first + 10):
            client.post(URL, json=ask(n))

    threads = [Thread(target=work, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(2000, count, counted)
    assert scraped


def test_2000_tasks(meter, count, counted, scraped):
    async def answer(request):
        await asyncio.sleep(0)
        streams = b'"stream":true' in request.content
        return httpx2.Response(200, stream=AsyncBody()) if streams else httpx2.Response(200, content=JSON)

    async def work():
        async with httpx2.AsyncClient(transport=meter.async_transport(httpx2.MockTransport(answer))) as client:
            await asyncio.gather(*(client.post(URL, json=ask(n)) for n in range(2000)))

    asyncio.run(work())
    check(2000, count, counted)
    assert scraped


def test_a_batch_is_told_of_when_it_is_asked_for():
    from llmmetrics.metrics.registry import families_in
    from llmmetrics.reading.error_types import Status

    registry = CollectorRegistry()
    families = families_in(registry, (1.0,))
    tally = Batches(families._all, "b", "m", batch=3)

    def told():
        return families["requests"].labels("b", "m", "success")._value.get()

    seen = []
    for n in range(1, 6):
        tally.finished.append((Status.SUCCESS, n / 4, 1, 1, 10**12 if n % 2 else None))
        seen.append(told())
    assert seen == [0] * 5
    tally.flush()
    assert told() == 5
    tally.flush()
    assert told() == 5
    # a value on a bound belongs to the bucket below it
    assert [bucket.get() for bucket in families["duration"].labels("b", "m")._buckets] == [4, 1]
    assert registry.get_sample_value("llm_estimated_cost_usd", {"backend": "b", "model": "m"}) == pytest.approx(3e-6)
