"""A user's application, over ASGI and WSGI: one metered client, `/call` and `/metrics`."""

from __future__ import annotations

import os

import httpx

from llmmetrics import BudgetExceeded, Meter

URL = os.environ["PROVIDER"]
PRICES = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
LEDGER = os.environ.get("LEDGER")
LIMIT = {"MaxSpendUsd": "0.01", "SpendResetPeriod": "Never"} if LEDGER else {}
meter = Meter.from_settings(
    {
        "Budget": {"Ledger": LEDGER},
        "Backends": [{"Name": "openai", "BaseUrl": f"{URL}/openai", "ModelName": "m-1", **PRICES, **LIMIT}],
    }
)
client = httpx.Client(transport=meter.transport(family="httpx"), timeout=60)
metrics_wsgi, metrics_asgi = meter.wsgi_app(), meter.asgi_app()


def call() -> bytes:
    headers = {"x-worker": str(os.getpid())}
    body = {"model": "m-1", "messages": []}
    try:
        answer = client.post(f"{URL}/openai/v1/chat/completions", json=body, headers=headers)
    except BudgetExceeded as exc:
        return f"{os.getpid()} {exc.reason}".encode()
    return f"{os.getpid()} {answer.status_code}".encode()


def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return metrics_wsgi(environ, start_response)
    answer = call()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan" or scope["path"] == "/metrics":
        await metrics_asgi(scope, receive, send)
        return
    from anyio import to_thread

    answer = await to_thread.run_sync(call)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": answer})
