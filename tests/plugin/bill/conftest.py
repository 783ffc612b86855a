"""Runs a metered suite."""

from __future__ import annotations

import json

import pytest

APP = """
import json, threading
import httpx2

USAGE = {"prompt_tokens": 120, "completion_tokens": 8}

def reply(request):
    asked = json.loads(request.content)
    if asked.get("fail"):
        return httpx2.Response(429, json={"error": {"code": "rate_limit_exceeded"}})
    usage = {} if asked.get("mute") else {"usage": USAGE}
    return httpx2.Response(200, json={"model": asked["model"], "choices": [], **usage})

client = httpx2.Client(transport=httpx2.MockTransport(reply))

def ask(n=1, model="gpt-4o-mini", **more):
    for _ in range(n):
        client.post("https://api.openai.com/v1/chat/completions", json={"model": model, **more})

def in_a_thread(*args, **more):
    thread = threading.Thread(target=ask, args=args, kwargs=more)
    thread.start()
    thread.join()
"""


@pytest.fixture
def suite(pytester):
    """Run a suite together with the app; return the outcome, and the report if there is one."""
    pytester.makepyfile(app=APP)

    def run(tests: str, *arguments: str, **files: str):
        pytester.makepyfile(test_it=tests, **files)
        done = pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", "--llm-metrics", "--llm-report=report.json", *arguments
        )
        path = pytester.path / "report.json"
        return done, json.loads(path.read_text("utf8")) if path.exists() else {}

    return run
