"""The garbage collector closes an answer while its thread holds a lock: the call is counted later."""

from __future__ import annotations

import gc
import threading

import httpx
import pytest
from support.budget_setup import ASK, URL, Setup

from llmmetrics.system.collection import collects

EVENT = b'data: {"choices": [{"delta": {"content": "123"}}]}\n\n'


@pytest.fixture(autouse=True)
def by_hand():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Body(httpx.SyncByteStream):
    def __iter__(self):
        yield EVENT
        yield EVENT


def answer(request):
    if b'"stream":true' in request.content:
        return httpx.Response(200, stream=Body())
    return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}})


def dropped_stream(setup):
    """Leave an SDK's stream, half read, to the garbage collector alone: its generator closes the answer."""
    response = setup.client.send(setup.client.build_request("POST", URL, json={**ASK, "stream": True}), stream=True)

    def read():
        try:
            yield from response.iter_raw()
        finally:
            response.close()

    circle = [read()]
    next(circle[0])
    circle.append(circle)


@pytest.mark.parametrize(("ledger", "method"), [("memory://", "book"), ("sqlite", "settle")])
def test_a_collection_in_the_midst_of_a_booking(tmp_path, monkeypatch, ledger, method):
    setup = Setup("100", ledger=ledger if ledger == "memory://" else f"sqlite:///{tmp_path}/l.db", answer=answer)
    dropped_stream(setup)
    book, depth = getattr(setup.meter.engine.enforcer.ledger, method), []

    def book_once(*args):
        depth.append(None)
        assert len(depth) == 1, "a booking within a booking"
        gc.collect()
        booked = book(*args)
        depth.pop()
        return booked

    monkeypatch.setattr(setup.meter.engine.enforcer.ledger, method, book_once)
    setup.call()
    assert setup.meter.engine.dropped
    # the scrape counts it
    assert setup.value("llm_active_requests", backend="b") == 0
    assert setup.value("llm_requests_total", status="cancelled") == 1
    assert setup.spent == 3 + 2
    setup.meter.close()


def test_a_collection_while_a_lock_of_the_metrics_is_held():
    setup = Setup("100", answer=answer)
    dropped_stream(setup)
    end = threading.Event()

    def collect():
        with setup.meter.engine.families["without_usage"]._lock:
            gc.collect()
        end.set()

    threading.Thread(target=collect, daemon=True).start()
    assert end.wait(30)
    assert setup.value("llm_requests_total", status="cancelled") == 1
    setup.meter.close()


def test_only_the_thread_that_collects_is_inside_a_collection():
    class Dropped:
        def __init__(self, seen):
            self.seen, self.circle = seen, self

        def __del__(self):
            self.seen.append(collects())
            thread = threading.Thread(target=lambda: self.seen.append(collects()))
            thread.start()
            thread.join()

    seen = []
    Dropped(seen)
    gc.collect()
    assert seen == [True, False]
    assert not collects()
