"""The examples, each started by the command that it shows, under its real server: a call, and two scrapes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support import alone
from support.servers import free_port, running, until

from llmmetrics.settings.loading import load
from llmmetrics.testing import Answer

EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"
COMMAND = re.compile(r"`(uvicorn|gunicorn) (\w+:\w+) (--\w+) (\S*?)5000`")
CLASSIC, OPENMETRICS = "text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"
LABELS = 'backend="openai-primary",model="gpt-4o-mini"'


def examples():
    return sorted(EXAMPLES.glob("*_app.py"))


def get(port: int, path: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and body; no redirect is followed."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


def value(page: str, sample: str) -> float:
    found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
    assert found, f"no {sample} in\n{page}"
    return float(found[1])


@pytest.fixture(params=examples(), ids=lambda path: path.stem)
def port(request, provider, tmp_path):
    """The port of the running example."""
    server, application, option, host = COMMAND.search(request.param.read_text().splitlines()[0]).groups()
    for module in (server, "openai", request.param.stem.removesuffix("_app")):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"needs {module}")
    if server == "gunicorn" and not hasattr(os, "fork"):
        pytest.skip("gunicorn needs fork")
    provider.default = Answer(prompt_tokens=1000, completion_tokens=500)
    number = free_port()
    directory = "--app-dir" if server == "uvicorn" else "--chdir"
    command = [sys.executable, "-m", server, application, option, f"{host}{number}", directory, str(EXAMPLES)]
    log = tmp_path / "log"
    environ = {"LLM_BASE_URL": f"{provider.url}/openai/v1", "OPENAI_API_KEY": "x", "PYTHONDONTWRITEBYTECODE": "1"}
    with running(command, log, **environ) as process:
        try:
            until(lambda: process.poll() is not None or get(number, "/metrics"), "the server")
            assert process.poll() is None
            yield number
        except BaseException:
            sys.stderr.write(log.read_text())
            raise


def test_a_call_is_on_the_page(port, provider):
    status, _, body = get(port, "/ask?question=Why")
    assert (status, list(json.loads(body))) == (200, ["answer"])
    (asked,) = provider.requests
    assert json.loads(asked.body)["messages"][0]["content"] == "Why"

    for accept, kind, cost_type in ((CLASSIC, "text/plain", "counter"), (OPENMETRICS, "application/open", "unknown")):
        status, content_type, page = get(port, "/metrics", accept)
        assert status == 200
        assert content_type.startswith(kind)
        assert f"# TYPE llm_estimated_cost_usd {cost_type}\n" in page
        assert "llm_estimated_cost_usd_total" not in page
        cost = value(page, f"llm_estimated_cost_usd{{{LABELS}}}")
        assert cost == pytest.approx((1000 * 0.15 + 500 * 0.60) / 1e6)
        assert value(page, f'llm_requests_total{{{LABELS},status="success"}}') == 1
        assert value(page, f'llm_requests_total{{{LABELS},status="failure"}}') == 0
        tokens = [
            value(page, f'llm_tokens_total{{{LABELS},token_type="{each}"}}')
            for each in ("prompt", "completion", "total")
        ]
        assert tokens == [1000, 500, 1500]
        assert value(page, 'llm_active_requests{backend="openai-primary"}') == 0


@pytest.mark.parametrize("path", examples(), ids=lambda path: path.stem)
def test_to_import_one_needs_no_key(path, monkeypatch):
    pytest.importorskip("openai")
    pytest.importorskip(path.stem.removesuffix("_app"))
    monkeypatch.setenv("LLM_BASE_URL", "https://api.openai.com/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert alone(f"import runpy; print('meter' in runpy.run_path({str(path)!r}))") == "True\n"


def test_their_settings_are_settings():
    settings = load(EXAMPLES / "settings.json", {"LLM_BASE_URL": "https://api.openai.com/v1"})
    assert settings.backends[0].base_url == "https://api.openai.com/v1"


def test_there_is_one_for_each_framework():
    assert [path.stem for path in examples()] == ["django_app", "fastapi_app", "flask_app", "starlette_app"]
    for path in examples():
        assert len(path.read_text().splitlines()) <= 48
