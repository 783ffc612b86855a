"""A limit on what all calls of several processes may spend together, whatever meter counts them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from llmmetrics.budgets.run import Run
from llmmetrics.core.engine import Engine, alive
from llmmetrics.core.spending import pico_of, spending
from llmmetrics.settings.model import Budget, Settings, Telemetry
from llmmetrics.testing.observers import metering


class _Capped:
    """Counts the calls that no other meter counts. `meters()` does not list it: no test's result may depend on it."""

    def __init__(self, ledger: str, price_file: str | None) -> None:
        telemetry = Telemetry(enable_metrics=False, max_models_per_backend=10**6)
        settings = Settings(telemetry=telemetry, budget=Budget(ledger=ledger), price_file=price_file)
        self.engine = Engine(settings, registry=CollectorRegistry())
        self.engine.explains_tags = False
        alive.discard(self.engine)


@contextmanager
def capped(usd: str, ledger: str, name: str, price_file: str | None = None) -> Iterator[Run]:
    """Refuse, inside the block, every call of this process that could pass `usd` dollars.

    The processes whose `ledger` (a URL) and `name` are the same share the limit. `price_file` prices the calls that no
    other meter counts. Raises `ConfigError`.
    """
    pico_of(f"{name}={{}}", usd)
    meter = _Capped(ledger, price_file)
    scope = spending(usd=usd, name=name, scope="process")
    try:
        with metering(meter), scope as run:
            run.pin(meter.engine.shared_runs(), meter.engine.settings.budget.lease_seconds)
            yield run
    finally:
        meter.engine.close()
