"""`llmmetrics price MODEL`: shows what a model or a call costs, by bucket, and the source of the price."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from llmmetrics.cli.output.findings import Exit, shown
from llmmetrics.cli.output.summary import CATALOGUE, CONFIGURED, FILED
from llmmetrics.cli.output.tables import aligned, money
from llmmetrics.pricing.catalogue import Catalogue, catalogue_version
from llmmetrics.pricing.price import Price, dollars
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.loading import UnreadableSettingsError, load
from llmmetrics.settings.model import Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.system.clock import SystemClock
from llmmetrics.wire.usage import PIECES, Usage, usage_of


class PriceQuestion(NamedTuple):
    """What to price: `input` is all prompt tokens; `cached` of them came from a cache.

    Without `input` and `output`, a million tokens of each bucket.
    """

    model: str
    provider: str | None
    input: int | None
    output: int | None
    cached: int
    settings: str | None


class _Anywhere(NamedTuple):
    """A place without a URL: only the provider is known."""

    provider: str | None
    seller: str | None
    url: str = ""
    local: bool = False


def run(question: PriceQuestion) -> Exit:
    """Print the table. No price is known, or the settings are unreadable: `CANNOT_LOOK`. Raises `ConfigError`."""
    try:
        settings = load(question.settings) if question.settings else Settings()
    except UnreadableSettingsError as exc:
        sys.stderr.write(f"llmmetrics: {exc}\n")
        return Exit.CANNOT_LOOK
    now = SystemClock().now()
    price_lookup = PriceLookup(settings.price_file, Catalogue(), lambda: now)
    source, price = _price(question, settings, price_lookup)
    if price is None:
        return _unknown(question, _hint(question, settings, price_lookup))
    if question.input is None or question.output is None:
        source, tables = f"{source}, prices of {now:%Y-%m-%d}", [[*_list(price)], [*_pieces(price)]]
        if price.request_fee:
            source += f", and up to {money(dollars(price.request_fee))} USD for each request"
    else:
        usage = usage_of(
            {"input": question.input - question.cached, "cache_read": question.cached, "output": question.output}
        )
        total = price.of(usage)
        if total is None:
            return _unknown(question, _lacking(price, usage))
        tables = [[*_bill(price, usage, total)]]
    sys.stdout.write(f"{_what(question)}: {source}\n")
    for rows in filter(None, tables):
        sys.stdout.writelines(aligned(rows))
    return Exit.FINE


def _what(question: PriceQuestion) -> str:
    return shown(question.model) + (f" at {shown(question.provider)}" if question.provider else "")


def _unknown(question: PriceQuestion, why: str) -> Exit:
    sys.stderr.write(f"llmmetrics: no price is known for {_what(question)}: {why}\n")
    return Exit.CANNOT_LOOK


def _price(question: PriceQuestion, settings: Settings, price_lookup: PriceLookup) -> tuple[str, Price | None]:
    """Look up a price and its source, in the order that a meter uses for its calls."""
    for backend in Backends(settings.backends).all:
        here = question.provider in {None, backend.name, backend.provider, backend.seller}
        if here and backend.price and question.model in backend.models:
            return f"{CONFIGURED}, of backend {shown(backend.name)}", backend.price
    place = _Anywhere(question.provider, _SELLERS.get(question.provider or "", question.provider))
    if filed := price_lookup.filed(place, (question.model,)):
        return f"{FILED}, {settings.price_file}", filed
    if question.provider and place.seller not in price_lookup.catalogue.sellers():
        return "", None
    return f"{CATALOGUE}, genai-prices {catalogue_version()}", price_lookup.catalogued(place, (question.model,))


_SELLERS = {"aws-bedrock": "aws", "google-vertex": "google"}
"""The catalogue's ids of providers whose id differs here."""


def _lacking(price: Price, usage: Usage) -> str:
    if price.request_fee:
        return "each request has a fee that depends on its search context"
    missing = usage.buckets.keys() - price.at(usage.prompt).keys()
    return f"it has no price for {', '.join(sorted(missing))}"


def _hint(question: PriceQuestion, settings: Settings, price_lookup: PriceLookup) -> str:
    """Suggest providers that sell the model, or similar names; say what to do if there are none."""
    catalogue = price_lookup.catalogue
    seller = question.provider and _SELLERS.get(question.provider, question.provider)
    if seller and seller not in (known := catalogue.sellers()):
        return _similar("--provider ", seller, known) or f"the providers are {', '.join(sorted(known))}"
    if sellers := sorted(catalogue.sellers(question.model)):
        return _did_you_mean("--provider ", sellers[:3])
    own = [name for backend in settings.backends for name in (backend.model_name, backend.deployment_name) if name]
    filed = price_lookup.sheet.names if price_lookup.sheet else []
    names = {*own, *filed, *catalogue.names(seller)}
    return _similar("", question.model.lower(), names) or "write it in the settings or in a price file (docs/prices.md)"


def _similar(what: str, word: str, known: Collection[str]) -> str:
    near = get_close_matches(word, known, 3, 0.65)
    return _did_you_mean(what, near) if near else ""


def _did_you_mean(what: str, names: Iterable[str]) -> str:
    return f"did you mean {what}{' or '.join(map(shown, names))}?"


def _list(price: Price) -> Iterator[tuple[str, ...]]:
    """Make the rows of a price list, in USD per million tokens, with a column for each longer prompt."""
    if price.units and price.units.keys() <= _UNITS.keys():
        return
    starts = [start for start, _ in reversed(price.tiers)]
    yield ("bucket", "USD per million", *(f"prompts over {start:,} tokens" for start in starts))
    tables = [price.units, *(price.at(start + 1) for start in starts)]
    for bucket in ("input", "cache_read", "cache_write", "output"):
        units = (table.get(bucket) for table in tables)
        yield (bucket, *(money(None if unit is None else dollars(unit * 10**6)) for unit in units))


_UNITS = {
    "image": "1,000 images",
    "page": "1,000 pages",
    "annotated_page": "1,000 pages with annotations",
    "character": "a million characters",
    "audio_ms": "an hour",
    "video_second": "a second",
}


def _pieces(price: Price) -> Iterator[tuple[str, ...]]:
    """Make the rows of what is billed by piece."""
    sold = [(bucket, what) for bucket, what in _UNITS.items() if bucket in price.units]
    if sold:
        yield ("bucket", "USD", "for")
    for bucket, what in sold:
        # a millisecond's price is rounded down to an attodollar
        yield (bucket, money(round(dollars(price.units[bucket] * PIECES[bucket]), 9).normalize()), what)


def _bill(price: Price, usage: Usage, total: int) -> Iterator[tuple[str, ...]]:
    """Make the rows of a usage's cost, in USD."""
    yield ("bucket", "tokens", "USD per million", "USD")
    units = price.at(usage.prompt)
    for bucket, n in usage.buckets.items():
        yield (bucket, f"{n:,}", money(dollars(units[bucket] * 10**6)), money(dollars(units[bucket] * n)))
    yield ("total", f"{usage.total:,}", "", money(dollars(total)))
