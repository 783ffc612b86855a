"""What a batch may cost: the sum over its requests, at the batch price."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import NamedTuple

from llmmetrics import wire
from llmmetrics.pricing.price import Price
from llmmetrics.pricing.worst_case import worst_case
from llmmetrics.reading.endpoints import billing_of
from llmmetrics.settings.price_lookup import BATCH, Place, PriceLookup
from llmmetrics.wire.estimation.estimate import prompt_tokens
from llmmetrics.wire.format import Billing
from llmmetrics.wire.later import BatchRequest


class BatchCost(NamedTuple):
    """The cost of a batch, in attodollars."""

    worst: int = 0
    estimate: int = 0
    """Of the prompts alone."""
    models: frozenset[str] = frozenset()
    requests: int = 0

    def plus(self, other: BatchCost) -> BatchCost:
        """Add the cost of more requests."""
        return BatchCost(
            self.worst + other.worst,
            self.estimate + other.estimate,
            self.models | other.models,
            self.requests + other.requests,
        )

    def note(self) -> str:
        """Write it as JSON, for the row of a file."""
        return json.dumps([self.worst, self.estimate, sorted(self.models), self.requests])

    @classmethod
    def of(cls, note: str) -> BatchCost:
        """Read it from JSON."""
        worst, estimate, models, requests = json.loads(note)
        return cls(worst, estimate, frozenset(models), requests)

    @property
    def model(self) -> str | None:
        """The model, if it is the same for all requests."""
        return next(iter(self.models)) if len(self.models) == 1 else None


class BatchPricing:
    """Prices the requests of batches at one place. `own` gives the configured price of a model."""

    def __init__(self, lookup: PriceLookup, place: Place, own: Callable[[str], Price | None]) -> None:
        self._lookup = lookup
        self._place = place
        self._own = own

    def request(self, request: BatchRequest) -> BatchCost | None:
        """Return what one request may cost; None if it cannot be read, or no price is known."""
        provider = self._place.provider or wire.ANY
        if billing_of("", request.path, provider) is Billing.FREE:
            return BatchCost(requests=1)
        claimed = wire.claim("POST", "", request.path, provider)
        model = claimed and (claimed.model or request.body.get("model"))
        if claimed is None or claimed.format.bound is not None or not isinstance(model, str):
            return None
        price = self._own(model) or self._lookup.listed(self._place, (model,), BATCH)
        if price is None:
            return None
        body = json.dumps(request.body, ensure_ascii=False).encode()
        window = self._lookup.window(self._place, model)
        worst = worst_case(price, claimed.format, body, window, model).cost
        prompt = prompt_tokens(body, claimed.format, model)
        return BatchCost(worst, price.at(prompt).get("input", 0) * prompt, frozenset([model]), 1)

    def requests(self, requests: Iterable[BatchRequest]) -> BatchCost | None:
        """Return what several requests may cost; None if one of them is not known."""
        total = BatchCost()
        for each in requests:
            part = self.request(each)
            if part is None:
                return None
            total = total.plus(part)
        return total
