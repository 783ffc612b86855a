"""Finds what would stop a meter with these settings from starting. Creates nothing."""

from __future__ import annotations

from collections.abc import Iterator

from llmmetrics.budgets import ledgers
from llmmetrics.budgets.enforcer import place_of, unpriced
from llmmetrics.errors import ConfigError, LedgerError
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.system.clock import SystemClock


def faults(settings: Settings) -> Iterator[str]:
    """Check valid settings on this machine: the ledger, the price file, prices; yield each fault as a sentence."""
    if settings.budget.ledger is not None or any(each.max_spend_usd is not None for each in settings.backends):
        try:
            ledgers.look(place_of(settings)[0])
        except (ConfigError, LedgerError) as exc:
            what = str(exc)
            yield what if "LlmSettings.Budget.Ledger" in what else f"LlmSettings.Budget.Ledger: {what}"
    try:
        price_lookup = PriceLookup(settings.price_file, Catalogue(), SystemClock().now)
    except ConfigError as exc:
        yield str(exc)
        return
    yield from unpriced(settings, Backends(settings.backends), price_lookup)
