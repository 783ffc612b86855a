"""The public names of `import llmmetrics`."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

import llmmetrics


def test_every_public_name_is_there():
    everything = {}
    exec("from llmmetrics import *", everything)
    for name in llmmetrics.__all__:
        assert everything[name] is getattr(llmmetrics, name)
        assert everything[name].__name__ == name
    assert {*llmmetrics.__all__} <= {*dir(llmmetrics)}


def test_the_version_is_the_distributions():
    assert llmmetrics.__version__ == version("llmmetrics")


@pytest.mark.parametrize("name", ["__versoin__", "meters", "Metre"])
def test_a_misspelt_name_has_no_value(name):
    with pytest.raises(AttributeError, match=f"module 'llmmetrics' has no attribute '{name}'"):
        getattr(llmmetrics, name)


UNUSED = """
import json, sys
import httpx2, llmmetrics

body = {"model": "gpt-4o-mini", "choices": [{}], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}
meter = llmmetrics.Meter()
transport = meter.transport(httpx2.MockTransport(lambda _: httpx2.Response(200, json=body)))
with httpx2.Client(transport=transport) as client:
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": []})
value = meter.registry.get_sample_value
assert value("llm_requests_total", {"backend": "openai", "model": "gpt-4o-mini", "status": "success"}) == 1
print(json.dumps([each for each in sys.modules if each.startswith("llmmetrics.")]))
"""


def test_a_program_imports_only_what_it_uses():
    run = subprocess.run([sys.executable, "-c", UNUSED], check=True, capture_output=True, text=True)
    modules = {*json.loads(run.stdout)}
    assert "llmmetrics.wire.openai" in modules
    for name in ("budgets.run", "budgets.enforcer", "core.answers", "core.run_gate", "core.failover", "wire.anthropic"):
        assert f"llmmetrics.{name}" not in modules
    for name in ("metrics.exposition", "metrics.http_server", "instrumentation.process_wide", "instrumentation.wrap"):
        assert f"llmmetrics.{name}" not in modules


BROKEN = """
import sys
import httpx2, llmmetrics

sys.modules["llmmetrics.wire.anthropic"] = sys.modules["llmmetrics.core.run_gate"] = None
meter = llmmetrics.Meter()
transport = meter.transport(httpx2.MockTransport(lambda _: httpx2.Response(200, json={"answer": 1})))
with httpx2.Client(transport=transport) as client, llmmetrics.spending(calls=9):
    for url in ("https://api.anthropic.com/v1/messages", "https://api.openai.com/v1/chat/completions"):
        assert client.post(url, json={"model": "m"}).json() == {"answer": 1}
errors = meter.registry.get_sample_value("llmmetrics_internal_errors_total", {"where": "begin"})
assert errors == 2, errors
"""


def test_a_module_that_cannot_be_imported_breaks_no_call():
    subprocess.run([sys.executable, "-c", BROKEN], check=True)
