"""`metering` counts the calls that no other meter counts."""

from __future__ import annotations

import importlib

import pytest
from prometheus_client import CollectorRegistry

import llmmetrics
from llmmetrics import Meter
from llmmetrics.testing import observe
from llmmetrics.testing.harness import metering, meters

URL = "https://api.openai.com/v1/chat/completions"
REPLY = {"model": "gpt-4o-mini", "usage": {"prompt_tokens": 120, "completion_tokens": 8}}


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    return importlib.import_module(request.param)


def transport(library):
    return library.MockTransport(lambda request: library.Response(200, json=REPLY))


def call(library, over=None):
    with library.Client(transport=over or transport(library)) as client:
        return client.post(URL, json={"model": "gpt-4o-mini"})


@pytest.fixture
def beneath():
    meter, records = Meter(registry=CollectorRegistry()), []
    with metering(meter), observe(records.append):
        yield meter, records


def test_what_nobody_meters(library, beneath):
    meter, records = beneath
    call(library)
    assert [each.meter for each in records] == [meter.engine]


def test_what_an_explicit_transport_meters(library, beneath):
    _, records = beneath
    own = Meter(registry=CollectorRegistry())
    call(library, own.transport(transport(library)))
    assert [each.meter for each in records] == [own.engine]


def test_what_the_code_under_test_instruments(library, beneath):
    meter, records = beneath
    own = Meter(registry=CollectorRegistry())
    llmmetrics.instrument(own)
    try:
        call(library)
    finally:
        llmmetrics.uninstrument()
    call(library)
    assert [each.meter for each in records] == [own.engine, meter.engine]


def test_nothing_is_left_behind(library):
    before = library.Client._send_single_request
    with metering(Meter(registry=CollectorRegistry())):
        assert library.Client._send_single_request is not before
    assert library.Client._send_single_request is before


def test_a_record_says_what_is_priced_and_what_was_sent(beneath):
    _, records = beneath
    for _ in range(2):
        call(importlib.import_module("httpx"))
    first, second = records
    assert [(part.model, dict(part.usage.buckets)) for part in first.parts] == [(None, {"input": 120, "output": 8})]
    assert first.wire_cost_usd is None
    assert first.fingerprint == second.fingerprint


def test_meters_are_known_while_they_live():
    meter = Meter(registry=CollectorRegistry())
    assert meter.engine in meters()
