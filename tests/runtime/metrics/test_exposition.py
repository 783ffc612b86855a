"""`/metrics` to the byte: exact names through every exposition, alone and with another library's collectors."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from support.golden_traffic import SETTINGS, Ticks, traffic

from llmmetrics import Meter
from llmmetrics.pricing.catalogue import catalogue_version
from llmmetrics.settings.model import Settings

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def metered(registry):
    meter = Meter.from_settings(SETTINGS, registry=registry, clock=Ticks())
    traffic(meter)
    return meter


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes().replace(b"CATALOGUE", catalogue_version().encode())


# the bytes


def test_classic_format(metered, registry):
    assert generate_latest(registry) == golden("metrics.txt")


def test_openmetrics_through_somebody_elses_exposition(metered, registry):
    assert generate_openmetrics(registry) == golden("metrics.openmetrics.counter.txt")


def test_openmetrics_calls_the_cost_unknown_only_on_our_own_page():
    ours, theirs = golden("metrics.openmetrics.txt"), golden("metrics.openmetrics.counter.txt")
    assert ours.replace(b"llm_estimated_cost_usd unknown", b"llm_estimated_cost_usd counter") == theirs


@pytest.mark.parametrize("name", ["metrics.txt", "metrics.openmetrics.txt", "metrics.openmetrics.counter.txt"])
def test_the_golden_files_hold_the_contract(name):
    text = golden(name).decode()
    assert 'llm_estimated_cost_usd{backend="openai-primary",model="gpt-4"} 0.06\n' in text
    assert "llm_estimated_cost_usd_total" not in text
    assert "_created" not in text
    families = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    suffix = "_total" if name == "metrics.txt" else ""
    assert {f"llm_requests{suffix}", f"llm_tokens{suffix}", f"llm_errors{suffix}", "llm_backend_health"} <= families
    assert {"llm_active_requests", "llm_estimated_cost_usd", "llm_request_duration_seconds"} <= families
    buckets = re.findall(r'le="([^"]+)",model="gpt-4"', text.split("llm_time_to_first_chunk")[0])
    assert buckets == ["0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "20.0", "30.0", "60.0", "+Inf"]
    # a cost child exists only where a price is known
    assert 'llm_estimated_cost_usd{backend="local"' not in text
    assert 'llm_requests_total{backend="local",model="llama2",status="success"} 0.0' in text


def test_beside_another_library_in_the_default_registry():
    """In a process of its own: the default registry is every test's."""
    code = """
import sys
from prometheus_client import Counter, REGISTRY, generate_latest
Counter('theirs', 'of another library').inc()
from llmmetrics import Meter
Meter.from_settings({'Backends': [{'Name': 'b', 'Type': 'OpenAI', 'ModelName': 'gpt-4', 'CostPerMillionInputTokens': 1, 'CostPerMillionOutputTokens': 1}]})
Counter('later', 'of a third library')
sys.stdout.write(generate_latest(REGISTRY).decode())
"""
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "theirs_total 1.0" in text
    assert "theirs_created" in text, "other libraries keep theirs"
    assert "later_total 0.0" in text
    assert "python_info" in text
    assert '# TYPE llm_estimated_cost_usd counter\nllm_estimated_cost_usd{backend="b",model="gpt-4"} 0.0\n' in text
    assert not re.search(r"^llm\w*_created", text, re.MULTILINE)


def test_a_name_of_ours_is_not_given_away_twice(metered, registry):
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Counter("llm_requests", "a clash", registry=registry)


@pytest.mark.parametrize("name", ["llm_estimated_cost_usd", "llm_requests_total", "llm_active_requests"])
def test_one_name_can_be_asked_for(metered, name):
    body = (
        httpx.Client(transport=httpx.WSGITransport(metered.wsgi_app()))
        .get("http://x/metrics", params={"name[]": name})
        .text
    )
    samples = [line for line in body.splitlines() if not line.startswith("#")]
    assert samples
    assert all(line.startswith(name + "{") for line in samples)


# registration


def test_a_second_meter_shares_the_families(registry):
    first = Meter.from_settings(SETTINGS, registry=registry, clock=Ticks())
    second = Meter.from_settings(SETTINGS, registry=registry, clock=Ticks())
    traffic(first)
    traffic(second)
    text = generate_latest(registry).decode()
    assert 'llm_estimated_cost_usd{backend="openai-primary",model="gpt-4"} 0.12\n' in text
    assert text.count("# TYPE llm_requests_total") == 1


def test_other_buckets_on_a_shared_registry_are_said_to_be_ignored(registry, caplog):
    Meter(registry=registry)
    Meter(Settings(telemetry={"duration_buckets": (1, 100)}), registry=registry)
    assert "DurationBuckets are ignored" in caplog.text


def test_duration_buckets(registry):
    Meter.from_settings({**SETTINGS, "Telemetry": {"DurationBuckets": [1, 120, 600]}}, registry=registry)
    assert re.findall(r'le="([^"]+)",model="llama2"', generate_latest(registry).decode()) == [
        "1.0",
        "120.0",
        "600.0",
        "+Inf",
    ]


def test_metrics_can_be_switched_off(registry):
    meter = Meter.from_settings({**SETTINGS, "Telemetry": {"EnableMetrics": False}}, registry=registry, clock=Ticks())
    traffic(meter)
    assert generate_latest(registry) == b""


def test_an_exposition_that_would_break_the_name_is_noticed(registry, caplog, monkeypatch):
    from llmmetrics.metrics import names

    monkeypatch.setattr(names, "generate_latest", lambda _: b"# TYPE llm_estimated_cost_usd_total counter\n")
    with caplog.at_level(logging.ERROR):
        Meter(registry=registry)
    assert "prints llm_estimated_cost_usd_total" in caplog.text


def test_a_registry_without_calls_has_the_families(registry: CollectorRegistry):
    Meter(registry=registry)
    assert b"# TYPE llm_requests_total counter" in generate_latest(registry)
