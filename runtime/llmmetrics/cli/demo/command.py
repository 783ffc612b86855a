"""`llmmetrics demo`: simulated providers, real HTTP traffic, the board of `llmmetrics top`, and `/metrics`."""

from __future__ import annotations

import itertools
import sys
import time
from contextlib import ExitStack

from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console
from rich.live import Live

from llmmetrics.cli.demo.clock import MovedClock, served
from llmmetrics.cli.demo.traffic import STEPS, Traffic
from llmmetrics.cli.top.board import Fitted
from llmmetrics.cli.top.figures import overview
from llmmetrics.cli.top.frame import Frame
from llmmetrics.cli.top.readings import EMPTY, scraped
from llmmetrics.meter import Meter
from llmmetrics.system.interrupts import stopping
from llmmetrics.testing import LoopbackProvider, serve
from llmmetrics.testing.contract.exposition import parse

TITLE = "llmmetrics demo"


def settings(url: str) -> dict[str, object]:
    """Make settings with five backends, each at its own path of the simulated provider."""
    return {
        "LlmSettings": {
            "Telemetry": {"EnableMetrics": True},
            # a ledger in memory: the demo spends no real money
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
                # without a configured price: the catalogue has one
                {"Name": "gemini", "Type": "Gemini", "ModelName": "gemini-2.5-flash", "BaseUrl": f"{url}/gemini"},
                {
                    "Name": "local-ollama",
                    "Type": "Ollama",
                    "ModelName": "llama3.2",
                    "BaseUrl": f"{url}/ollama",
                    "CostPerMillionInputTokens": 0,
                    "CostPerMillionOutputTokens": 0,
                },
                # a cent an hour: three calls spend it
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


class View:
    """Feeds the demo's own metrics to the board of `llmmetrics top`."""

    def __init__(self, console: Console, registry: CollectorRegistry, url: str) -> None:
        self._console, self._registry, self._url = console, registry, url
        self._window = EMPTY

    def now(self, hint: str = "", *, live: bool = False) -> Fitted:
        """Scrape once more and draw the board."""
        page = parse(generate_latest(self._registry), openmetrics=False)
        self._window = scraped(self._window, page, time.monotonic())
        frame = Frame(
            self._url, self._console.width, live=live, hint=hint, ascii=self._console.options.ascii_only, title=TITLE
        )
        return Fitted(overview(self._window), frame)


def run(*, host: str = "127.0.0.1", port: int, once: bool, clock_port: int | None = None) -> None:
    """Run the demo once, or until Ctrl-C. Raises `ConfigError` if a port is taken."""
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
            url = f"http://{host}:{server.server_port}/metrics"
            view = View(console, registry, url)
            if once:
                for _, step in STEPS:
                    step(traffic)
                console.print(view.now())
                sys.stdout.write(generate_latest(registry).decode())
            else:
                _live(console, view, traffic, url, provider)
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def _live(console: Console, view: View, traffic: Traffic, url: str, provider: LoopbackProvider) -> None:
    with stopping() as asked_to_stop:
        console.print(f"Simulated providers at {provider.url}. Metrics at [link={url}]{url}[/link], for example:")
        console.print(f"  curl {url} | grep llm_tokens_total")
        console.print(
            "Let a Prometheus scrape that address to try the queries of the documentation. Press Ctrl-C to quit."
        )
        with Live(view.now(live=True), console=console, refresh_per_second=4) as live:
            for name, step in itertools.cycle(STEPS):
                if asked_to_stop():
                    return
                step(traffic)
                live.update(view.now(f"just sent: {name}; Ctrl-C quits", live=True))
                time.sleep(0.4)
