"""Runs a metered suite."""

from __future__ import annotations

import json
import sys

import pytest

# sessions in this process import it once
import pytest_llmmetrics.bill.bill
import pytest_llmmetrics.bill.enforcing
import pytest_llmmetrics.bill.offline.history
import pytest_llmmetrics.bill.rendering.html
import pytest_llmmetrics.bill.session  # noqa: F401

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
def session(pytester, monkeypatch):
    """Run pytest in this process, which has imported the plugin: a tenth of the time of a process of its own.

    What needs a process of its own (xdist, a crash, an audit hook) is run with `apart=True`.
    """
    # a file that is written twice within a second would be read from the first one's bytecode
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, apart: bool = False):
        started = pytester.runpytest_subprocess if apart else pytester.runpytest_inprocess
        return started("-p", "no:cacheprovider", "-p", "no:asyncio", *arguments)

    return run


@pytest.fixture
def suite(pytester, session):
    """Run a suite together with the app; return the outcome, and the report if there is one."""
    pytester.makepyfile(app=APP)

    def run(tests: str, *arguments: str, apart: bool = False):
        pytester.makepyfile(test_it=tests)
        done = session("--llm-metrics", "--llm-report=report.json", *arguments, apart=apart)
        path = pytester.path / "report.json"
        return done, json.loads(path.read_text("utf8")) if path.exists() else {}

    return run
