"""Flask: `gunicorn flask_app:application --bind 127.0.0.1:5000`, then /ask and /metrics.

Needs LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is; for a call, OPENAI_API_KEY too.
"""

import os
from functools import cache
from pathlib import Path

import openai
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import llmmetrics

meter = llmmetrics.Meter.from_settings(Path(__file__).with_name("settings.json"))
llmmetrics.instrument(meter)
app = Flask(__name__)
application = DispatcherMiddleware(app, {"/metrics": meter.wsgi_app()})


@cache
def client() -> openai.OpenAI:
    """Made for the first question: to import this needs no key."""
    return openai.OpenAI(base_url=os.environ["LLM_BASE_URL"])


@app.get("/ask")
def ask() -> dict[str, str | None]:
    """One call of the model."""
    question = request.args.get("question", "Say hi.")
    answer = client().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    return {"answer": answer.choices[0].message.content}
