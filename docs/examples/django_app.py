"""Django: `gunicorn django_app:application --bind 127.0.0.1:5000`, then /ask and /metrics.

Needs OPENAI_API_KEY, and LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is.
"""

import os
from pathlib import Path

import openai
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

import llmmetrics

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"])

meter = llmmetrics.Meter.from_settings(Path(__file__).with_name("settings.json"))
llmmetrics.instrument(meter)

client = openai.OpenAI(base_url=os.environ["LLM_BASE_URL"])


def ask(request: HttpRequest) -> JsonResponse:
    """One call of the model."""
    question = request.GET.get("question", "Say hi.")
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}])
    return JsonResponse({"answer": answer.choices[0].message.content})


urlpatterns = [path("ask", ask)]
pages, metrics = get_wsgi_application(), meter.wsgi_app()


def application(environ, start_response):
    """Django's application, and /metrics beside it: no middleware stands before a scrape."""
    return (metrics if environ["PATH_INFO"] == "/metrics" else pages)(environ, start_response)
