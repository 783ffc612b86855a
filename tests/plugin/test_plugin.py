"""The plugin's first fixtures, and its cost for other suites."""

from __future__ import annotations

import httpx
import pytest
from support import alone

from pytest_llmmetrics.names import UnknownMetricError

pytest_plugins = ["pytester"]
URL = "https://api.openai.com/v1/chat/completions"
REPLY = {"model": "gpt-4o-mini", "usage": {"prompt_tokens": 120, "completion_tokens": 8}}


@pytest.fixture
def call(llm_meter):
    inner = httpx.MockTransport(lambda request: httpx.Response(200, json=REPLY))
    client = httpx.Client(transport=llm_meter.transport(inner))
    return lambda: client.post(URL, json={"model": "gpt-4o-mini"})


def test_deltas(call, llm_metrics):
    assert llm_metrics.delta("llm_requests_total") == 0
    call()
    call()
    assert llm_metrics.delta("llm_requests_total", status="success") == 2
    assert llm_metrics.delta("llm_tokens_total", token_type="total") == 256
    assert llm_metrics.delta("llm_estimated_cost_usd", backend="openai") == pytest.approx(2 * 0.0000228)
    assert llm_metrics.delta("llm_request_duration_seconds_count") == 2
    assert llm_metrics.delta("llm_errors_total") == 0
    assert llm_metrics.value("llm_active_requests") == 0


def test_only_what_moved(call, llm_metrics):
    call()
    moved = {series.name for series in llm_metrics.moved()}
    assert "llm_requests_total" in moved
    assert "llm_errors_total" not in moved


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("llm_request_total", {}, "did you mean 'llm_requests_total'"),
        ("llm_tokens_total", {"type": "prompt"}, "no label 'type': it has backend, model, token_type"),
        ("zzz", {}, "there are llm_"),
        ("llm_requests_total", {"status": "succes"}, "cannot have status='succes': did you mean 'success'"),
        ("llm_errors_total", {"error_type": "auht"}, "cannot have error_type='auht': did you mean 'auth'"),
        ("llm_requests_total", {"backend": "opnai"}, "cannot have backend='opnai': did you mean 'openai'"),
    ],
)
def test_a_name_that_cannot_exist_is_an_error(call, llm_metrics, name, labels, message):
    call()
    with pytest.raises(UnknownMetricError, match=message):
        llm_metrics.delta(name, **labels)


def test_each_test_has_a_meter_of_its_own(pytester):
    pytester.makepyfile(
        """
        import httpx, pytest
        @pytest.mark.parametrize("n", [1, 2])
        def test_it(llm_meter, llm_metrics, n):
            reply = {"usage": {"prompt_tokens": 1, "completion_tokens": 1}}
            inner = httpx.MockTransport(lambda request: httpx.Response(200, json=reply))
            httpx.Client(transport=llm_meter.transport(inner)).post("https://api.openai.com/v1/chat/completions", json={})
            assert llm_metrics.value("llm_requests_total") == llm_metrics.delta("llm_requests_total") == 1
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_plugin_module_is_light():
    code = "import sys, pytest, pytest_llmmetrics.plugin; print(sorted({'httpx', 'httpx2', 'pydantic', 'prometheus_client', 'llmmetrics'} & set(sys.modules)))"
    assert alone(code).strip() == "[]"


def test_the_fixtures_have_help(pytester):
    listed = pytester.runpytest_subprocess("--fixtures", "-q", "-p", "no:asyncio").stdout.str()
    assert "A meter with its own registry" in listed
