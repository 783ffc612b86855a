"""What the settings say of budgets: the windows of a limit, where the ledger is, which models lack a price."""

from __future__ import annotations

from collections.abc import Iterator

from llmmetrics.budgets.ledgers import default_url
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.fields import SpendWindows
from llmmetrics.settings.model import BudgetMode, OnUnknownPrice, Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.settings.windows import WindowSchedule


def schedule_of(backend: SpendWindows) -> WindowSchedule:
    """Read from the settings when the windows of a limit begin."""
    return WindowSchedule(
        backend.spend_reset_period,
        backend.spend_reset_day_of_week,
        backend.spend_reset_day_of_month,
        backend.spend_reset_time_zone,
    )


def place_of(settings: Settings) -> tuple[str, str]:
    """Return the URL of the ledger that keeps these budgets, and their namespace there."""
    namespace = settings.budget.namespace or settings.telemetry.service_name
    ledger = settings.budget.ledger
    return default_url(namespace) if ledger is None else ledger, namespace


def unpriced(settings: Settings, backends: Backends, price_lookup: PriceLookup) -> Iterator[str]:
    """Describe each limited backend whose own models have no price: it could take no call."""
    budget = settings.budget
    if budget.on_unknown_price is not OnUnknownPrice.REFUSE or budget.mode is BudgetMode.SHADOW:
        return
    for backend, matched in zip(settings.backends, backends.all, strict=True):
        if backend.max_spend_usd is None or matched.price:
            continue
        whose = [f"its model {model!r}" for model in sorted(matched.models) if not price_lookup.knows(matched, model)]
        if matched.local and not matched.models and price_lookup.sheet is None:
            whose = ["a model that runs at home"]
        for what in whose:
            yield (
                f"backend {backend.name!r} has MaxSpendUsd, and no price is known for {what}: set "
                "CostPerMillionInputTokens and CostPerMillionOutputTokens, or LlmSettings.Budget.OnUnknownPrice to warn"
            )
