"""The traffic of the golden metrics pages."""

from __future__ import annotations

import httpx

SETTINGS = {
    "Backends": [
        {
            "Name": "openai-primary",
            "Type": "OpenAI",
            "ModelName": "gpt-4",
            "CostPerMillionInputTokens": 30,
            "CostPerMillionOutputTokens": 60,
        },
        {"Name": "local", "Type": "Ollama", "ModelName": "llama2"},
    ]
}


class Ticks:
    """A clock of which every reading is a quarter of a second later."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        self.seconds += 0.25
        return self.seconds

    def now(self):
        raise AssertionError("these calls do not need the time")


def traffic(meter):
    body = {"model": "gpt-4-0613", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    answers = {"POST /v1/chat/completions": (200, body), "GET /v1/models": (200, {})}

    def answer(request):
        status, content = answers.get(
            f"{request.method} {request.url.path}", (429, {"error": {"code": "rate_limit_exceeded"}})
        )
        return httpx.Response(status, json=content)

    client = httpx.Client(transport=meter.transport(httpx.MockTransport(answer)))
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4"})
    client.post("https://api.openai.com/v1/embeddings", json={"model": "gpt-4"})
    client.get("https://api.openai.com/v1/models")
