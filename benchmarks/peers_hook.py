"""Connects llmmetrics to the benchmark of its peers: `--ours peers_hook:factory`."""

from __future__ import annotations

import openai
from prometheus_client import CollectorRegistry

from llmmetrics import Meter

REGISTRY = CollectorRegistry()
METER = Meter.from_settings(
    {
        "Backends": [
            {
                "Name": "openai-primary",
                "Type": "OpenAI",
                "CostPerMillionInputTokens": 0.15,
                "CostPerMillionOutputTokens": 0.60,
            }
        ]
    },
    registry=REGISTRY,
)


def factory(base_url, asynchronous, inner=None):
    """Make an openai client with metering; `inner` is the httpx2 transport to wrap."""
    if asynchronous:
        client = openai.DefaultAsyncHttpxClient(transport=METER.async_transport(inner, backend="openai-primary"))
        return openai.AsyncOpenAI(base_url=base_url, api_key="x", http_client=client)
    client = openai.DefaultHttpxClient(transport=METER.transport(inner, backend="openai-primary"))
    return openai.OpenAI(base_url=base_url, api_key="x", http_client=client)


def evidence():
    """Return the metrics, as proof of metering."""
    wanted = ("llm_requests_total", "llm_tokens_total", "llm_estimated_cost_usd", "llm_active_requests")
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name in wanted and (sample.value or sample.name == "llm_active_requests")
    }
