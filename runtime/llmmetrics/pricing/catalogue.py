"""The genai-prices catalogue: what a model costs at a seller, at a moment, in a service tier."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from llmmetrics.pricing import pieces, surcharges
from llmmetrics.pricing.price import PER_THOUSAND, Price, filled
from llmmetrics.pricing.surcharges import NONE

# bucket → the catalogue's names of its price; the first existing one applies
_NAMES: dict[str, tuple[str, ...]] = {
    "input": ("input_mtok",),
    **{f"input_{each}": (f"input_{each}_mtok",) for each in ("audio", "image", "video")},
    "cache_read": ("cache_read_mtok",),
    **{f"cache_read_{each}": (f"cache_{each}_read_mtok",) for each in ("audio", "image", "video")},
    "cache_write": ("cache_write_5m_mtok", "cache_write_mtok"),
    "cache_write_1h": ("cache_write_1h_mtok",),
    "output": ("output_mtok",),
    "reasoning": ("output_reasoning_mtok",),
    **{f"output_{each}": (f"output_{each}_mtok",) for each in ("audio", "image", "video")},
    "web_search": ("web_searches_kcount",),
    "file_search": ("storage_searches_kcount",),
    "page": ("input_document_kpages",),
    "annotated_page": ("input_annotated_document_kpages",),
    "character": ("input_mchars",),
    "audio_ms": ("input_audio_hours", "audio_hours"),
    # `pieces` has these names
    "image": ("images_kcount",),
    "video_second": ("video_seconds",),
}


def from_catalogue(prices: Mapping[str, Any]) -> Price:
    """Make a price table from the fields of a genai-prices `ModelPrice`."""
    named = {name: value for name, value in prices.items() if value is not None}
    starts = {tier.start for value in named.values() for tier in getattr(value, "tiers", ())}

    def table(prompt: int) -> dict[str, int]:
        own = {}
        for bucket, names in _NAMES.items():
            value = next((named[name] for name in names if name in named), None)
            if value is None:
                continue
            for tier in reversed(getattr(value, "tiers", ())):
                if prompt > tier.start:
                    value = tier.price
                    break
            own[bucket] = getattr(value, "base", value)
        return filled(own)

    tiers = tuple((start, table(start + 1)) for start in sorted(starts, reverse=True))
    return Price(table(0), tiers, int(named.get("requests_kcount", 0) * PER_THOUSAND))


# https://aws.amazon.com/bedrock/pricing: older models of Anthropic, missing in the catalogue there, cost the same
_MAKERS = {"aws": "anthropic"}
"""Sellers with the maker's prices, for models that the catalogue lists only at the maker."""

# https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai, and Gemini's own `models/…`
_GOOGLES = re.compile(r"^(?:publishers/google/models/|google/|models/)", re.IGNORECASE)
"""What Google's OpenAI endpoints put before a model's name."""

_REGIONS = (
    (re.compile(r"^(https?://)[a-z]{2}\.api\.openai\.com"), r"\1api.openai.com"),
    (re.compile(r"^(https?://)api\.(?:eu|us)\.mistral\.ai"), r"\1api.mistral.ai"),
    (re.compile(r"^(https?://)(?:us-|ca-)?api\.together\.ai"), r"\1api.together.xyz"),
)
"""Hosts that the catalogue does not know, and those of the same seller that it knows."""

# https://console.groq.com/docs/flex-processing: "Pricing matches the on-demand tier"
_SAME = frozenset({("groq", "flex")})
"""Tiers with the standard price: seller and tier."""

TIERS_SINCE = date(2026, 10, 12)
"""The catalogue has prices of tiers from this day on; before it, its single price applies."""

_WHENS = ("service_tier", "processing", "speed")
"""The catalogue's names for service tiers with a price of their own."""


class Listing:
    """One model at one seller, in one tier; its prices converted once."""

    def __init__(
        self, rows: Sequence[Any], variants: Sequence[Any] = (), *, strict: bool = False, factor: Fraction = NONE
    ) -> None:
        self._factor = factor
        """What the region multiplies the prices of tokens with."""
        self._rows = rows
        """Prices with conditions: the last one whose condition holds applies, else the first one."""
        self._variants = variants
        """The tier's changes of the prices; earlier ones win."""
        self._strict = strict
        """Whether the price is unknown if no variant holds."""
        self._made: dict[tuple[int, ...], Price] = {}
        self.only = self._price(0, ()) if len(rows) == 1 and not variants and not strict else None
        """The price, if it does not depend on the moment."""

    def at(self, now: datetime) -> Price | None:
        """Return the price at a moment; None if the tier has no known price."""
        active = tuple(i for i, each in enumerate(self._variants) if _holds(each, now))
        if self._strict and not active and now.date() >= TIERS_SINCE:
            return None
        rows = range(len(self._rows))
        row = next((i for i in reversed(rows) if _holds(self._rows[i], now)), 0)
        return self._price(row, active)

    def _price(self, row: int, active: tuple[int, ...]) -> Price:
        key = (row, *active)
        if key not in self._made:
            fields = dict(vars(self._rows[row].prices))
            for i in reversed(active):
                fields |= {name: value for name, value in vars(self._variants[i].prices).items() if value is not None}
            price = from_catalogue(fields)
            self._made[key] = price if self._factor == NONE else price.times(self._factor)
        return self._made[key]


class _Always:
    """A price without a condition, with the attributes of a conditional price."""

    constraint = None

    def __init__(self, prices: Any) -> None:
        self.prices = prices


def _holds(row: Any, now: datetime) -> bool:
    return row.constraint is None or row.constraint.active(now)


@cache
def _snapshots() -> Callable[[], Any]:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot


@cache
def _installed() -> str:
    try:
        return version("genai-prices")
    except PackageNotFoundError:
        # an application may bundle it without metadata
        return "unknown"


def catalogue_version() -> str:
    """Return the catalogue's version: that of the distribution, and the time of the last refresh."""
    snapshot = _snapshots()()
    if not snapshot.from_auto_update:
        return _installed()
    return f"{_installed()}+{snapshot.timestamp.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Catalogue:
    """genai-prices, loaded at the first lookup. Each model's prices are converted once, and again after a refresh.

    A lookup finds the provider by URL, else by the id of the backend's type, else by the model's name alone; gateways
    are priced by the name alone.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None, str, str | None, str | None], Listing | None] = {}
        self._of: Any = None
        """The snapshot of `_known`."""

    def warm(self) -> None:
        """Load the catalogue now (about 0.3 s), so that no call has to wait."""
        self._snapshot().find_provider_model("gpt-4o-mini", None, "openai", None)

    @staticmethod
    def _snapshot() -> Any:
        return _snapshots()()

    def price(
        self,
        model: str,
        url: str,
        provider: str | None,
        now: Callable[[], datetime],
        tier: str | None = None,
        geo: str | None = None,
    ) -> Price | None:
        """Return a model's price at the moment `now()`; None if no price is known."""
        if (snapshot := _snapshots()()) is not self._of:
            self._known, self._of = {}, snapshot
        key = (url, provider, model, tier, geo)
        try:
            listing = self._known[key]
        except KeyError:
            if len(self._known) > 4096:
                self._known.clear()
            listing = self._known[key] = self._find(model, url, provider, tier, geo)
        if listing is None:
            return None
        return listing.only or listing.at(now())

    def first(
        self,
        models: Iterable[str | None],
        url: str,
        provider: str | None,
        now: Callable[[], datetime],
        tier: str | None = None,
        geo: str | None = None,
    ) -> Price | None:
        """Return the price of the first of these models that has one."""
        prices = (self.price(model, url, provider, now, tier, geo) for model in models if model)
        return next(filter(None, prices), None)

    def seller(self, url: str) -> str | None:
        """Return the catalogue's id of the seller at a URL; None if it is unknown."""
        try:
            seller: str = self._snapshot().find_provider(None, None, url).id
        except LookupError:
            return None
        return seller

    def by_piece(self, model: str, url: str, provider: str | None) -> bool:
        """Return whether a model has prices by piece, which depend on what is asked for."""
        seller, _ = self._model(model, url, provider)
        return seller is not None and pieces.sells(seller.id, model)

    def window(self, model: str, url: str, provider: str | None) -> int | None:
        """Return the size of a model's context window, in tokens; None if it is unknown."""
        _, listed = self._model(model, url, provider)
        return None if listed is None else listed.context_window

    def sellers(self, model: str | None = None) -> frozenset[str]:
        """Return the ids of all sellers, or of those that sell this model."""
        every = self._snapshot().providers
        return frozenset(each.id for each in every if model is None or each.find_model(model))

    def names(self, seller: str | None) -> frozenset[str]:
        """Return the models of a seller, or of all sellers if it is None or unknown."""
        every = self._snapshot().providers
        there = [each for each in every if each.id == seller] or every
        return frozenset(model.id for each in there for model in each.models)

    def _find(
        self, model: str, url: str, provider: str | None, tier: str | None, geo: str | None = None
    ) -> Listing | None:
        if (factor := surcharges.factor_of(url, model, geo)) is None:
            return None
        seller, listed = self._model(model, url, provider)
        # the table has standard prices alone
        if tier is None and seller is not None and (by_piece := pieces.prices(seller.id, model)):
            return Listing([_Always(by_piece)])
        if listed is None:
            return None
        rows = listed.prices if isinstance(listed.prices, list) else [_Always(listed.prices)]
        if tier is None or (seller.id, tier) in _SAME:
            return Listing(rows, factor=factor)
        # if the seller has no entry of its own, the model is another seller's, and so are its tiers
        own = any(listed is each for each in seller.models)
        variants = [
            each
            for each in (listed.price_variants or () if own else ())
            if any(each.when == {when: tier} for when in _WHENS)
        ]
        return Listing(rows, variants, strict=True, factor=factor)

    def _model(self, model: str, url: str, provider: str | None) -> tuple[Any, Any]:
        """The seller and its model, also where the name says the maker first."""
        seller, listed = self._named(model, url, provider)
        short = _GOOGLES.sub("", model)
        if listed is None and short != model and (seller is None or seller.id == "google"):
            return self._named(short, url, provider)
        return seller, listed

    def _named(self, model: str, url: str, provider: str | None) -> tuple[Any, Any]:
        snapshot = self._snapshot()
        for host, other in _REGIONS:
            url = host.sub(other, url)
        for where in ((None, url), (provider, None), (None, None)):
            try:
                seller = snapshot.find_provider(model.lower(), *where)
            except LookupError:
                continue
            listed = seller.find_model(model, all_providers=snapshot.providers)
            if listed is None and seller.id in _MAKERS:
                listed = snapshot.find_provider(None, _MAKERS[seller.id], None).find_model(model)
            return seller, listed
        return None, None
