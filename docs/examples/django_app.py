"""Django: `gunicorn django_app:application --bind 127.0.0.1:5000`, then /ask and /metrics.

Needs LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is; for a call, OPENAI_API_KEY too.
"""

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import openai
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import llmmetrics

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])

meter = llmmetrics.Meter.from_settings(Path(__file__).with_name("settings.json"))
llmmetrics.instrument(meter)


@cache
def client() -> openai.OpenAI:
    """Made for the first question: to import this needs no key."""
    return openai.OpenAI(base_url=os.environ["LLM_BASE_URL"])


def ask(request: HttpRequest) -> JsonResponse:
    """One call of the model."""
    question = request.GET.get("question", "Say hi.")
    answer = client().chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    return JsonResponse({"answer": answer.choices[0].message.content})


urlpatterns = [path("ask", ask)]
pages: Any = get_wsgi_application()
metrics = meter.wsgi_app()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Django's application, and /metrics next to it: a scrape goes through no middleware."""
    body: Iterable[bytes] = (metrics if environ["PATH_INFO"] == "/metrics" else pages)(environ, start_response)
    return body
