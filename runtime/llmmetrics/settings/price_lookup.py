"""Looks up listed prices: in the user's price file, else in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.pricing.price import Price

if TYPE_CHECKING:
    from llmmetrics.settings.price_file import PriceSheet

BATCH = "batch"
"""The tier of batches. Where no price of it is listed, it is half the standard price, as each vendor's pages say.

https://platform.openai.com/docs/guides/batch, https://docs.anthropic.com/en/docs/build-with-claude/batch-processing,
https://ai.google.dev/gemini-api/docs/batch-api, https://docs.mistral.ai/capabilities/batch,
https://console.groq.com/docs/batch
"""

Models = Sequence[str | None]
"""Names of one model, the preferred one first."""


class Place(Protocol):
    """The destination of calls: a route, or a configured backend."""

    @property
    def provider(self) -> str | None:
        """Our id of the provider."""

    @property
    def seller(self) -> str | None:
        """The catalogue's id, if the URL is not enough."""

    @property
    def url(self) -> str: ...

    @property
    def local(self) -> bool:
        """Whether it runs on the user's machines, so that no catalogue has a price."""


class PriceLookup:
    """Prices by place, model and service tier, at the clock's time. Raises `ConfigError` for a wrong file."""

    def __init__(self, price_file: str | None, catalogue: Catalogue, now: Callable[[], datetime]) -> None:
        self.sheet: PriceSheet | None = None
        if price_file is not None:
            # imported on demand: most programs have no price file, and building its pydantic models is slow
            from llmmetrics.settings import price_file as price_files

            self.sheet = price_files.read(price_file)
        self.catalogue = catalogue
        self._now = now

    def filed(self, place: Place, models: Models, tier: str | None = None) -> Price | None:
        """Return the price file's price of the first of these names that it has."""
        if self.sheet is None:
            return None
        return self.sheet.first(models, place.provider, place.seller, self._now, tier)

    def listed(self, place: Place, models: Models, tier: str | None = None, geo: str | None = None) -> Price | None:
        """Return the price file's price, else the catalogue's, which depends on the region too."""
        if self.sheet is not None and (price := self.filed(place, models, tier)):
            return price
        # inlined `catalogued`, because every call comes here
        price = None if place.local else self.catalogue.first(models, place.url, place.seller, self._now, tier, geo)
        if price is None and tier == BATCH and (standard := self.listed(place, models, None, geo)):
            return standard.halved()
        return price

    def catalogued(self, place: Place, models: Models, tier: str | None = None) -> Price | None:
        """Return the catalogue's price of the first of these names that it has."""
        return None if place.local else self.catalogue.first(models, place.url, place.seller, self._now, tier)

    def knows(self, place: Place, model: str) -> bool:
        """Return whether calls to a model have a known price, by tokens or by piece."""
        if self.listed(place, (model,)) is not None:
            return True
        return not place.local and self.catalogue.by_piece(model, place.url, place.seller)

    def window(self, place: Place, model: str | None) -> int | None:
        """Return the model's context window in tokens; None if the catalogue has none."""
        return None if place.local or model is None else self.catalogue.window(model, place.url, place.seller)
