"""Starlette: `uvicorn starlette_app:app --port 5000`, then /ask and /metrics.

Needs LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is; for a call, OPENAI_API_KEY too.
"""

import os
from functools import cache
from pathlib import Path

import openai
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import llmmetrics

meter = llmmetrics.Meter.from_settings(Path(__file__).with_name("settings.json"))
llmmetrics.instrument(meter)


@cache
def client() -> openai.AsyncOpenAI:
    """Made for the first question: to import this needs no key."""
    return openai.AsyncOpenAI(base_url=os.environ["LLM_BASE_URL"])


async def ask(request: Request) -> JSONResponse:
    """One call of the model."""
    question = request.query_params.get("question", "Say hi.")
    answer = await client().chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": question}]
    )
    return JSONResponse({"answer": answer.choices[0].message.content})


# a route for /metrics: a mount redirects every scrape to /metrics/
app = Starlette(routes=[Route("/ask", ask), Route("/metrics", meter.asgi_app())])
