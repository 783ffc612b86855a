"""What a batch may cost: the sum over its requests, at the batch price."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from llmmetrics import wire
from llmmetrics.pricing.price import Price
from llmmetrics.pricing.worst_case import most_of, worst_case
from llmmetrics.reading.endpoints import billing_of
from llmmetrics.settings.price_lookup import BATCH, Place, PriceLookup
from llmmetrics.wire.estimation.estimate import prompt_tokens
from llmmetrics.wire.format import Billing, Format, text
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


class _Priced(NamedTuple):
    """How the requests of one path and model are priced."""

    format: Format
    price: Price | None
    """None: the parts of a request have prices of their own."""
    window: int | None


class BatchPricing:
    """Prices the requests of batches at one place. `own` gives the configured price of a model.

    `most` is the most output tokens of a model without a documented maximum; `estimates`: prompts are estimated, too.
    """

    nothing = BatchCost()
    """The cost of no requests."""

    def __init__(
        self,
        lookup: PriceLookup,
        place: Place,
        own: Callable[[str], Price | None],
        most: int | None = None,
        *,
        estimates: bool = True,
    ) -> None:
        self._lookup = lookup
        self._place = place
        self._own = own
        self._most = most
        self._estimates = estimates
        self._known: dict[tuple[str, str | None], _Priced | None] = {}
        """A file may have 50,000 lines, of one path and model."""

    def request(self, request: BatchRequest) -> BatchCost | None:
        """Return what one request may cost; None if it cannot be read, or no price is known."""
        path, model = request.path, text(request.body.get("model"))
        if (path, model) not in self._known:
            self._known[path, model] = self._find(path, model)
        priced = self._known[path, model]
        if priced is None:
            free = billing_of("", path, self._place.provider or wire.ANY) is Billing.FREE
            return BatchCost(requests=1) if free else None
        format, price, window = priced
        body = json.dumps(request.body, ensure_ascii=False).encode()
        models = frozenset([model]) if model else frozenset()
        if price is None or format.bound is not None:
            most = format.bound and most_of(format.bound(request.body, len(body)), partial(self._price, model))
            return BatchCost(most.cost, 0, models, 1) if most else None
        worst = worst_case(price, format, body, window, model, most=self._most).cost
        prompt = prompt_tokens(body, format, model) if self._estimates else 0
        return BatchCost(worst, price.at(prompt).get("input", 0) * prompt, models, 1)

    def _find(self, path: str, named: str | None) -> _Priced | None:
        claimed = wire.claim("POST", "", path, self._place.provider or wire.ANY)
        model = None if claimed is None else claimed.model or named
        if claimed is None or model is None or claimed.format.billing is Billing.FREE:
            return None
        price = self._price(model, model)
        if price is None and claimed.format.bound is None:
            return None
        return _Priced(claimed.format, price, self._lookup.window(self._place, model))

    def _price(self, model: str | None, part: str | None) -> Price | None:
        """Return the price of a part of a request, by the name that the part has in the price list."""
        return (model and self._own(model)) or self._lookup.listed(self._place, (part, model), BATCH)

    def requests(self, requests: Iterable[BatchRequest]) -> BatchCost | None:
        """Return what several requests may cost; None if one of them is not known."""
        total = BatchCost()
        for each in requests:
            part = self.request(each)
            if part is None:
                return None
            total = total.plus(part)
        return total
