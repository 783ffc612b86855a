"""Flask: `gunicorn flask_app:app --bind 127.0.0.1:5000`, then /ask and /metrics.

Needs OPENAI_API_KEY, and LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is.
"""

import os
from pathlib import Path

import openai
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import llmmetrics

meter = llmmetrics.Meter.from_settings(Path(__file__).with_name("settings.json"))
llmmetrics.instrument(meter)

client = openai.OpenAI(base_url=os.environ["LLM_BASE_URL"])
app = Flask(__name__)
app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": meter.wsgi_app()})


@app.get("/ask")
def ask() -> dict[str, str | None]:
    """One call of the model."""
    question = request.args.get("question", "Say hi.")
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    return {"answer": answer.choices[0].message.content}
