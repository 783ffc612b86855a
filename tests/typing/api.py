"""The public API as its users type it; mypy checks this file, nothing runs it."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_type
from wsgiref.types import WSGIApplication

import httpx
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

import llmmetrics
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

with Meter({"llm_settings": {}}) as own:
    assert_type(own, Meter)
    Meter(own.settings)
Meter(1)  # type: ignore[arg-type]
assert_type(llmmetrics.__version__, str)
llmmetrics.__versoin__  # type: ignore[attr-defined]  # noqa: B018
starlette: ASGIApp = meter.asgi_app()
Starlette(routes=[Route("/metrics", meter.asgi_app()), Mount("/mounted", meter.asgi_app())])
standard: WSGIApplication = meter.wsgi_app()

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
