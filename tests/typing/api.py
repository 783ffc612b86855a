"""The public API as its users type it; mypy checks this file, nothing runs it."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import (
    ConfigError,
    ErrorType,
    Exchange,
    LlmMetricsError,
    Meter,
    Settings,
    Usage,
    instrument,
    read_exchange,
    uninstrument,
)
from llmmetrics.testing import Answer, CallRecord, Fault, LoopbackProvider, observe, serve

meter = Meter.from_settings("settings.json", registry=CollectorRegistry())
assert_type(meter, Meter)
assert_type(meter.settings, Settings)
assert_type(meter.registry, CollectorRegistry)
meter.transport(None, backend="openai-primary")
meter.async_transport(family="httpx")
meter.transport(family="requests")  # type: ignore[arg-type]

assert_type(meter.wrap(httpx.Client(), backend="openai-primary"), httpx.Client)
instrument(meter)
uninstrument()

seen = read_exchange(
    method="POST",
    url="https://api.openai.com/v1/chat/completions",
    request_headers=[("accept", "application/json")],
    request_body=b"{}",
    status=200,
    response_headers=[],
    response_body=b"{}",
)
assert_type(seen, Exchange)
assert_type(seen.usage, Usage | None)
assert_type(seen.cost_usd, Decimal | None)
assert_type(seen.error_type, ErrorType | None)


def told(record: CallRecord) -> None:
    assert_type(record.cost_usd, Decimal | None)


def use(fault: Fault) -> None:
    with serve(Answer("hi")) as provider, observe(told):
        assert_type(provider, LoopbackProvider)
        provider.script(fault, Answer())
    try:
        Meter.from_settings({})
    except ConfigError as error:
        assert_type(error, ConfigError)
        raise LlmMetricsError from error
