"""FastAPI: `uvicorn fastapi_app:app --port 5000`, then /ask and /metrics.

Needs LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is; for a call, OPENAI_API_KEY too.
"""

import os
from functools import cache
from pathlib import Path

import openai
from fastapi import FastAPI
from starlette.routing import Route

import llmmetrics

meter = llmmetrics.Meter.from_settings(Path(__file__).with_name("settings.json"))
llmmetrics.instrument(meter)
app = FastAPI()
# a route: a mount at /metrics redirects every scrape to /metrics/
app.router.routes.append(Route("/metrics", meter.asgi_app()))


@cache
def client() -> openai.AsyncOpenAI:
    """Made for the first question: to import this needs no key."""
    return openai.AsyncOpenAI(base_url=os.environ["LLM_BASE_URL"])


@app.get("/ask")
async def ask(question: str = "Say hi.") -> dict[str, str | None]:
    """One call of the model."""
    answer = await client().chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": question}]
    )
    return {"answer": answer.choices[0].message.content}
