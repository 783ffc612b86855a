"""The listed prices of a meter: those of the user's price file, else the catalogue's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.pricing.price import Price

if TYPE_CHECKING:
    from llmmetrics.settings.price_file import PriceSheet

Models = Sequence[str | None]
"""Names of one model, the one to be asked for first."""


class Place(Protocol):
    """Where calls go: a route, or a configured backend."""

    @property
    def provider(self) -> str | None:
        """Our own id of whoever answers."""

    @property
    def seller(self) -> str | None:
        """The catalogue's, where the URL alone does not tell."""

    @property
    def url(self) -> str: ...

    @property
    def local(self) -> bool:
        """No catalogue knows what it costs."""


class PriceLookup:
    """Prices by place, model and service tier, at the moment of the clock. Raises `ConfigError` for a wrong file."""

    def __init__(self, price_file: str | None, catalogue: Catalogue, now: Callable[[], datetime]) -> None:
        self.sheet: PriceSheet | None = None
        if price_file is not None:
            # most programs have none, and its models take a while to build
            from llmmetrics.settings import price_file as price_files

            self.sheet = price_files.read(price_file)
        self.catalogue = catalogue
        self._now = now

    def filed(self, place: Place, models: Models, tier: str | None = None) -> Price | None:
        """The price file's price for the first of these names that it has."""
        if self.sheet is None:
            return None
        return self.sheet.first(models, place.provider, place.seller, self._now, tier)

    def listed(self, place: Place, models: Models, tier: str | None = None) -> Price | None:
        """The same, else the catalogue's."""
        if self.sheet is not None and (found := self.filed(place, models, tier)):
            return found
        # every call comes here: as `catalogued`
        return None if place.local else self.catalogue.first(models, place.url, place.seller, self._now, tier)

    def catalogued(self, place: Place, models: Models, tier: str | None = None) -> Price | None:
        """The catalogue's price for the first of these names that it has."""
        return None if place.local else self.catalogue.first(models, place.url, place.seller, self._now, tier)

    def window(self, place: Place, model: str | None) -> int | None:
        """How many tokens this model takes and gives, where the catalogue knows it."""
        return None if place.local or model is None else self.catalogue.window(model, place.url, place.seller)
