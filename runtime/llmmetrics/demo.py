"""`llmmetrics demo`: simulated providers, real HTTP traffic, a live table, and `/metrics` to look at."""

from __future__ import annotations

import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from llmmetrics.meter import Meter
from llmmetrics.testing import LoopbackProvider, serve
from llmmetrics.traffic import STEPS, Traffic


def settings(url: str) -> dict[str, object]:
    """The guide's three kinds of backend and one more, each at its own path of the simulated provider."""
    return {
        "LlmSettings": {
            "Telemetry": {"EnableMetrics": True},
            "Backends": [
                {
                    "Name": "openai-primary",
                    "Type": "OpenAI",
                    "ModelName": "gpt-4o-mini",
                    "BaseUrl": f"{url}/openai",
                    "CostPerMillionInputTokens": 0.15,
                    "CostPerMillionOutputTokens": 0.60,
                },
                {
                    "Name": "anthropic-claude",
                    "Type": "Anthropic",
                    "ModelName": "claude-sonnet-4-5",
                    "BaseUrl": f"{url}/anthropic",
                    "CostPerMillionInputTokens": 3,
                    "CostPerMillionOutputTokens": 15,
                    "CostPerMillionCachedInputTokens": 0.3,
                },
                # without a price of its own: the catalogue knows it
                {"Name": "gemini", "Type": "Gemini", "ModelName": "gemini-2.5-flash", "BaseUrl": f"{url}/gemini"},
                {
                    "Name": "local-ollama",
                    "Type": "Ollama",
                    "ModelName": "llama3.2",
                    "BaseUrl": f"{url}/ollama",
                    "CostPerMillionInputTokens": 0,
                    "CostPerMillionOutputTokens": 0,
                },
            ],
        }
    }


def table(families: Iterable[Metric]) -> Table:
    """What the registry says, a row a backend."""
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    backends: list[str] = []
    for family in families:
        for sample in family.samples:
            labels = sample.labels
            kind = labels.get("status") or labels.get("token_type") or labels.get("error_type") or ""
            if sample.name.startswith("llm_") and "le" not in labels:
                sums[sample.name, labels["backend"], kind] += sample.value
                if labels["backend"] not in backends:
                    backends.append(labels["backend"])
    # narrow enough for a terminal of 80 columns
    made = Table(title="llmmetrics demo", box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    made.add_column("backend", no_wrap=True)
    for column in ("ok", "fail", "time\nout", "can-\ncelled", "tokens\nin", "tokens\nout", "cost\nUSD", "mean\ns"):
        made.add_column(column, justify="right", no_wrap=True)
    made.add_column("errors")
    for backend in backends:

        def value(name: str, kind: str = "", backend: str = backend) -> float:
            return sums[name, backend, kind]

        calls = value("llm_request_duration_seconds_count")
        mean = f"{value('llm_request_duration_seconds_sum') / calls:.3f}" if calls else "-"
        errors = {kind: n for (name, of, kind), n in sums.items() if name == "llm_errors_total" and of == backend and n}
        statuses = (
            f"{value('llm_requests_total', each):.0f}" for each in ("success", "failure", "timeout", "cancelled")
        )
        tokens = (f"{value('llm_tokens_total', each):.0f}" for each in ("prompt", "completion"))
        priced = ("llm_estimated_cost_usd", backend, "") in sums
        cost = f"{value('llm_estimated_cost_usd'):.6f}" if priced else "unknown"
        healthy = "" if value("llm_backend_health") else "unhealthy "
        shown = ", ".join(f"{kind} {n:.0f}" for kind, n in errors.items())
        made.add_row(backend, *statuses, *tokens, cost, mean, healthy + shown)
    return made


def run(*, port: int, once: bool) -> None:
    """Run the demo: once, or until Ctrl-C. Raises `ConfigError` for a port that is taken."""
    console = Console()
    registry = CollectorRegistry()
    with serve() as provider:
        meter = Meter.from_settings(settings(provider.url), registry=registry)
        server, thread = meter.start_http_server(port)
        try:
            traffic = Traffic(meter, provider)
            if once:
                for _, step in STEPS:
                    step(traffic)
                console.print(table(registry.collect()))
                sys.stdout.write(generate_latest(registry).decode())
            else:
                _live(console, registry, traffic, server.server_port, provider)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _live(
    console: Console, registry: CollectorRegistry, traffic: Traffic, port: int, provider: LoopbackProvider
) -> None:
    url = f"http://127.0.0.1:{port}/metrics"
    console.print(f"Simulated providers at {provider.url}. Metrics at [link={url}]{url}[/link], for example:")
    console.print(f"  curl {url} | grep llm_tokens_total")
    console.print("Point a Prometheus at that address to see the guide's queries work. Ctrl-C ends it.")
    with Live(table(registry.collect()), console=console, refresh_per_second=4) as live:
        for name, step in itertools.cycle(STEPS):
            step(traffic)
            shown = table(registry.collect())
            shown.caption = f"just sent: {name}"
            live.update(shown)
            time.sleep(0.4)
