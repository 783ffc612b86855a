"""`llmmetrics demo`: simulated providers, real HTTP traffic, a live table, and `/metrics` to look at."""

from __future__ import annotations

import itertools
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table

from llmmetrics.clockwork import MovedClock, served
from llmmetrics.meter import Meter
from llmmetrics.stopping import stopping
from llmmetrics.testing import LoopbackProvider, serve
from llmmetrics.traffic import STEPS, Traffic


def settings(url: str) -> dict[str, object]:
    """The guide's three kinds of backend and two more, each at its own path of the simulated provider."""
    return {
        "LlmSettings": {
            "Telemetry": {"EnableMetrics": True},
            # of its own: what the demo spends is nobody's money
            "Budget": {"Ledger": "memory://"},
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
                # a cent an hour, which three calls spend
                {
                    "Name": "openai-capped",
                    "Type": "OpenAI",
                    "ModelName": "o1",
                    "BaseUrl": f"{url}/capped",
                    "CostPerMillionInputTokens": 15,
                    "CostPerMillionOutputTokens": 60,
                    "MaxSpendUsd": 0.01,
                    "SpendResetPeriod": "Hourly",
                },
            ],
        }
    }


_KINDS = ("status", "token_type", "error_type", "limit_type", "reason")
_REFUSALS = "llmmetrics_budget_refusals_total"


def table(families: Iterable[Metric]) -> Table:
    """What the registry says, a row a backend."""
    sums: dict[tuple[str, str, str], float] = defaultdict(float)
    backends: list[str] = []
    for family in families:
        for sample in family.samples:
            labels = sample.labels
            kind = next((labels[name] for name in _KINDS if name in labels), "")
            if sample.name.startswith(("llm_", _REFUSALS)) and "le" not in labels:
                sums[sample.name, labels["backend"], kind] += sample.value
                if labels["backend"] not in backends:
                    backends.append(labels["backend"])
    # narrow enough for a terminal of 80 columns
    made = Table(title="llmmetrics demo", box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    made.add_column("backend", no_wrap=True)
    for column in (
        *("ok", "fail", "time\nout", "can-\ncel.", "token\nin", "token\nout", "cost\nUSD", "mean\ns", "budget\nUSD"),
    ):
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
        cost = f"{value('llm_estimated_cost_usd'):.5f}" if priced else "unknown"
        healthy = "" if value("llm_backend_health") else "unhealthy "
        refused = sum(n for (name, of, _), n in sums.items() if name == _REFUSALS and of == backend)
        shown = ", ".join(f"{kind} {n:.0f}" for kind, n in [*errors.items(), ("refused", refused)] if n)
        spent, limit = (value("llm_backend_budget_usd", each) for each in ("current", "max"))
        budget = f"{spent:.4f}\n/{limit:g}" if limit else ""
        made.add_row(backend, *statuses, *tokens, cost, mean, budget, healthy + shown)
    return made


def run(*, host: str = "127.0.0.1", port: int, once: bool, clock_port: int | None = None) -> None:
    """Run the demo: once, or until Ctrl-C. Raises `ConfigError` for a port that is taken."""
    console = Console()
    registry = CollectorRegistry()
    clock = MovedClock()
    with ExitStack() as stack:
        provider = stack.enter_context(serve())
        if clock_port is not None:
            url = stack.enter_context(served(clock, clock_port))
            console.print(f"Move the clock: curl -X POST '{url}/advance?seconds=3600'", soft_wrap=True)
        meter = Meter.from_settings(settings(provider.url), registry=registry, clock=clock)
        stack.callback(meter.close)
        server, thread = meter.start_http_server(port, host)
        try:
            traffic = Traffic(meter, provider)
            if once:
                for _, step in STEPS:
                    step(traffic)
                console.print(table(registry.collect()))
                sys.stdout.write(generate_latest(registry).decode())
            else:
                _live(console, registry, traffic, f"http://{host}:{server.server_port}/metrics", provider)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _live(
    console: Console, registry: CollectorRegistry, traffic: Traffic, url: str, provider: LoopbackProvider
) -> None:
    with stopping() as asked_to_stop:
        console.print(f"Simulated providers at {provider.url}. Metrics at [link={url}]{url}[/link], for example:")
        console.print(f"  curl {url} | grep llm_tokens_total")
        console.print("Point a Prometheus at that address to see the guide's queries work. Ctrl-C ends it.")
        with Live(table(registry.collect()), console=console, refresh_per_second=4) as live:
            for name, step in itertools.cycle(STEPS):
                if asked_to_stop():
                    return
                step(traffic)
                shown = table(registry.collect())
                shown.caption = f"just sent: {name}"
                live.update(shown)
                time.sleep(0.4)
