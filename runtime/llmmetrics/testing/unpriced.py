"""A meter that only makes records: without metrics, prices and catalogue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry

from llmmetrics.core.engine import Engine, alive
from llmmetrics.metrics.registry import CallSeries
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.pricing.price import Price
from llmmetrics.reading.outcome import Outcome
from llmmetrics.settings.model import Settings, Telemetry


class _NoPrices(Catalogue):
    def warm(self) -> None:
        """Load nothing."""

    def price(
        self,
        model: str,  # noqa: ARG002 - nothing has a price
        url: str,  # noqa: ARG002
        provider: str | None,  # noqa: ARG002
        now: Callable[[], datetime],  # noqa: ARG002
        tier: str | None = None,  # noqa: ARG002
        geo: str | None = None,  # noqa: ARG002
    ) -> Price | None:
        return None


class _UnpricedEngine(Engine):
    """Counts only for its observers. `meters()` does not list it: no test's result may depend on it."""

    explains_tags = False

    def __init__(self) -> None:
        telemetry = Telemetry(enable_metrics=False, max_models_per_backend=10**6)
        super().__init__(Settings(telemetry=telemetry), registry=CollectorRegistry())
        alive.discard(self)

    def _new_catalogue(self) -> Catalogue:
        return _NoPrices()

    def unpriced(self, series: CallSeries, outcome: Outcome, url: str) -> None:
        """Log nothing: no call has a price here."""


class Unpriced:
    """A meter for the whole process, without metrics and prices."""

    def __init__(self) -> None:
        self.engine = _UnpricedEngine()
