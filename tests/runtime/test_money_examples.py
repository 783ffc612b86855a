"""The examples of runs, tags and failover, each started by the command that it shows."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.servers import free_port, get, running, until

from llmmetrics.testing import Answer, ToolCall, faults

EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"


def environ(provider):
    keys = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x", "PYTHONDONTWRITEBYTECODE": "1"}
    urls = {"LLM_BASE_URL": f"{provider.url}/openai/v1", "ANTHROPIC_BASE_URL": f"{provider.url}/anthropic"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return {**inherited, **keys, **urls}


def ran(example, provider):
    command = [sys.executable, EXAMPLES / example, "Why is the sky blue?"]
    return subprocess.run(command, capture_output=True, text=True, env=environ(provider), timeout=120, check=False)


def test_the_agent_stops_at_its_limit(provider):
    provider.default = Answer(tool=ToolCall("search", {"query": "x"}), prompt_tokens=10, completion_tokens=5)
    done = ran("agent.py", provider)
    assert done.stdout.startswith("stopped after 20 calls and $"), done.stderr
    assert len(provider.requests) == 20


def test_the_second_provider_answers_when_the_first_does_not(provider):
    provider.default = Answer("It scatters light.")
    provider.script(faults.SERVER_ERROR)
    done = ran("two_providers.py", provider)
    assert (done.returncode, done.stdout) == (0, "It scatters light.\n"), done.stderr
    assert [request.path.split("/")[1] for request in provider.requests] == ["openai", "anthropic"]


def test_each_tenant_has_its_own_budget(provider, tmp_path):
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    provider.default = Answer(prompt_tokens=10, completion_tokens=5_000_000)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "tenants:app", "--port", str(port), "--app-dir", str(EXAMPLES)]
    more = {**environ(provider), "LLM_LEDGER": f"sqlite:///{tmp_path / 'tenants.db'}"}
    with running(command, tmp_path / "log", **more):
        url = f"http://127.0.0.1:{port}"
        until(lambda: get(f"{url}/metrics"), "the server")
        ask = f"{url}/ask?max_tokens=8000000"
        assert "answer" in get(ask, X_API_Key="key-of-acme")
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(ask, X_API_Key="key-of-acme")
        assert caught.value.code == 402
        assert b"your budget is spent" in caught.value.read()
        assert "answer" in get(ask, X_API_Key="key-of-bookshop")
        page = get(f"{url}/metrics")
    for tenant in ("acme", "bookshop"):
        assert f'llm_tagged_cost_usd_total{{backend="openai",key="tenant",value="{tenant}"}} 3.00000' in page
