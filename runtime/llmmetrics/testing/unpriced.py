"""A meter whose records are all that is wanted of it: no metrics, no prices, and so no catalogue to load."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry

from llmmetrics.engine import alive
from llmmetrics.meter import Meter
from llmmetrics.metrics import Series
from llmmetrics.pricing import Catalogue, Price
from llmmetrics.settings import Settings, Telemetry


class _NoPrices(Catalogue):
    def warm(self) -> None:
        """Nothing to load."""

    def price(self, model: str, url: str, provider: str | None, now: Callable[[], datetime]) -> Price | None:  # noqa: ARG002
        return None


class Unpriced(Meter):
    """Counts for its observers alone. It is none of `meters()`: nobody's outcome may depend on it."""

    def __init__(self) -> None:
        telemetry = Telemetry(enable_metrics=False, max_models_per_backend=10**6)
        super().__init__(Settings(telemetry=telemetry), registry=CollectorRegistry())
        alive.discard(self)

    def _new_catalogue(self) -> Catalogue:
        return _NoPrices()

    def _unpriced(self, series: Series) -> None:
        """No news: nothing here has a price."""
