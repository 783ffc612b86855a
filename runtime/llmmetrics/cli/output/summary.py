"""Summary of settings, a row for each backend: URL, prices, limit. Without keys and passwords."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from urllib.parse import urlsplit

from llmmetrics.cli.output.findings import shown
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.pricing.price import Price, dollars
from llmmetrics.settings.backends import Backends, Configured
from llmmetrics.settings.model import Backend, BackendType, Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.settings.windows import ResetPeriod
from llmmetrics.system.clock import SystemClock

CONFIGURED, FILED, CATALOGUE, UNKNOWN = "configured", "price file", "catalogue", "unknown"
LATER = "catalogue, by the model asked for"
"""Sources of a price. LATER: the backend names no model, so each call's model decides."""


class Resolved(NamedTuple):
    """One backend as it will be metered. It holds no secrets."""

    name: str
    type: str
    url: str | None
    """Its URL; None if it is unknown."""
    model: str | None
    source: str
    """The source of its price."""
    prompt: Decimal | None
    """USD per million prompt tokens that no cache served."""
    completion: Decimal | None
    listed: tuple[Decimal | None, Decimal | None]
    """The catalogue's prices for prompt and completion, in USD per million tokens."""
    limit: Decimal | None
    window: str
    """The window of its limit: period, start and time zone."""


def resolved(settings: Settings) -> Iterator[Resolved]:
    """Summarize every backend of the settings, in their order."""
    price_lookup = PriceLookup(settings.price_file, Catalogue(), SystemClock().now)
    for backend, matched in zip(settings.backends, Backends(settings.backends).all, strict=True):
        models = (backend.model_name, backend.deployment_name)
        listed = price_lookup.catalogued(matched, models)
        source, price = _price(matched, price_lookup.filed(matched, models), listed)
        yield Resolved(
            shown(backend.name),
            backend.type.value,
            _url(backend),
            shown(backend.model_name or backend.deployment_name or "") or None,
            source,
            *_per_million(price),
            _per_million(listed),
            backend.max_spend_usd,
            _window(backend),
        )


def _price(matched: Configured, filed: Price | None, listed: Price | None) -> tuple[str, Price | None]:
    if matched.price:
        return CONFIGURED, matched.price
    if filed:
        return FILED, filed
    if listed:
        return CATALOGUE, listed
    return (UNKNOWN if matched.models or matched.local else LATER), None


def _per_million(price: Price | None) -> tuple[Decimal | None, Decimal | None]:
    """Convert a price to USD per million tokens of prompt and of completion."""
    units = [price.units.get(bucket) if price else None for bucket in ("input", "output")]
    prompt, completion = (None if unit is None else dollars(unit * 10**6) for unit in units)
    return prompt, completion


def _url(backend: Backend) -> str | None:
    """Remove userinfo and query from a URL: they may hold a password or a key."""
    if backend.base_url_or_default is None:
        return "any Azure host" if backend.type is BackendType.AZURE_OPENAI else None
    parts = urlsplit(backend.base_url_or_default)
    return shown(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())


def _window(backend: Backend) -> str:
    if backend.spend_reset_period is ResetPeriod.NEVER:
        return "never reset"
    starts = {
        ResetPeriod.WEEKLY: f" from {backend.spend_reset_day_of_week.value}",
        ResetPeriod.MONTHLY: f" from day {backend.spend_reset_day_of_month}",
    }
    return f"{backend.spend_reset_period.value}{starts.get(backend.spend_reset_period, '')}, " + (
        backend.spend_reset_time_zone
    )
