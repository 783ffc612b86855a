"""What settings come to, backend by backend: where each is, what it costs and how much it may. No key, no password."""

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
"""Where a price comes from. LATER: the backend names no model, so a call's own model decides."""


class Resolved(NamedTuple):
    """One backend, as it will be metered. All of it may be shown."""

    name: str
    type: str
    url: str | None
    """Where its traffic goes; None: nowhere that is known."""
    model: str | None
    source: str
    """Where its price comes from."""
    prompt: Decimal | None
    """USD per million tokens of fresh input."""
    completion: Decimal | None
    listed: tuple[Decimal | None, Decimal | None]
    """The same in the catalogue."""
    limit: Decimal | None
    window: str
    """Of its limit: how long it is and when it starts."""


def resolved(settings: Settings) -> Iterator[Resolved]:
    """Every backend of the settings, in their order."""
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
    """USD for a million tokens of fresh input and of output."""
    units = [price.units.get(bucket) if price else None for bucket in ("input", "output")]
    prompt, completion = (None if unit is None else dollars(unit * 10**6) for unit in units)
    return prompt, completion


def _url(backend: Backend) -> str | None:
    """Without userinfo and query, which may hold a password or a key."""
    if backend.base_url_or_default is None:
        return "any host of Azure" if backend.type is BackendType.AZURE_OPENAI else None
    parts = urlsplit(backend.base_url_or_default)
    return shown(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())


def _window(backend: Backend) -> str:
    if backend.spend_reset_period is ResetPeriod.NEVER:
        return "for ever"
    starts = {
        ResetPeriod.WEEKLY: f" from {backend.spend_reset_day_of_week.value}",
        ResetPeriod.MONTHLY: f" from day {backend.spend_reset_day_of_month}",
    }
    return f"{backend.spend_reset_period.value}{starts.get(backend.spend_reset_period, '')}, " + (
        backend.spend_reset_time_zone
    )
