"""A multi-tenant application: `uvicorn tenants:app --port 5000`. Each tenant has $5 a day; /metrics has their costs.

Needs LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is; for a call, OPENAI_API_KEY too.
"""

import os
from collections.abc import MutableMapping
from functools import cache
from typing import Any

import openai
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.routing import Route

import llmmetrics

URL = os.environ["LLM_BASE_URL"]
TENANTS = {"key-of-acme": "acme", "key-of-bookshop": "bookshop"}
"""The tenant of each API key: of your database."""

meter = llmmetrics.Meter.from_settings(
    {
        "Attribution": {
            "Keys": ["tenant"],
            "Limits": [{"Tag": "tenant", "Value": "*", "MaxSpendUsd": 5, "SpendResetPeriod": "Daily"}],
        },
        "Budget": {"Ledger": os.environ.get("LLM_LEDGER", "sqlite:///tenants.db"), "Mode": "strict"},
        "Backends": [{"Name": "openai", "BaseUrl": URL}],
    }
)
llmmetrics.instrument(meter)


def tenant(scope: MutableMapping[str, Any]) -> str | None:
    """Return the tenant of a request. Clients cannot choose it: it follows from their key."""
    key = dict(scope["headers"]).get(b"x-api-key", b"").decode("latin1")
    return TENANTS.get(key)


app = FastAPI()
app.add_middleware(llmmetrics.AsgiTags, tenant=tenant)
app.router.routes.append(Route("/metrics", meter.asgi_app()))


@app.exception_handler(openai.APIStatusError)
async def refused(_: Request, exc: openai.APIStatusError) -> JSONResponse:
    """Tell a tenant that its budget is spent, and when it starts again."""
    exceeded = llmmetrics.budget_exceeded(exc)
    if exceeded is None:
        return JSONResponse({"error": "the model does not answer"}, 502)
    return JSONResponse({"error": "your budget is spent", "resets_at": str(exceeded.resets_at)}, 402)


@cache
def client() -> openai.AsyncOpenAI:
    """Made for the first question: to import this needs no key."""
    return openai.AsyncOpenAI(base_url=URL)


@app.get("/ask")
async def ask(question: str = "Say hi.", max_tokens: int = 500) -> dict[str, str | None]:
    """One call of the model."""
    answer = await client().chat.completions.create(
        model="gpt-4o-mini", max_tokens=max_tokens, messages=[{"role": "user", "content": question}]
    )
    return {"answer": answer.choices[0].message.content}
