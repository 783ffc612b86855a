"""Upper bound of a request's cost, which mode `strict` reserves before sending."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from llmmetrics.pricing.max_output import max_output
from llmmetrics.pricing.price import Price
from llmmetrics.wire import model_of, prompt_names
from llmmetrics.wire.estimation.estimate import family_of
from llmmetrics.wire.estimation.media import HELD
from llmmetrics.wire.estimation.prompt import parts_of
from llmmetrics.wire.format import NO_COMPLETION, Charge, Format, Place, value_at
from llmmetrics.wire.framing.frames import parse
from llmmetrics.wire.usage import COMPLETION, PROMPT, TOOLS

UNKNOWN_WINDOW = 200_000
"""Context window in tokens, if the catalogue has none."""

MOST_SEARCHES = 10
"""Searches of one call, if its request has no limit."""

_ELSEWHERE = re.compile(
    rb'"(?:image_url|file_id|file_uri|fileUri|file_url|previous_response_id|conversation|cachedContent|prompt_id'
    rb'|video_url|document_url|container)"'
)
"""Keys that refer to content outside the request, so that the request's size is no bound."""

_SEARCHES = re.compile(rb"web_search|file_search|google_?search|google_?maps", re.IGNORECASE)
"""Names of tools that are billed by piece."""


def _at(fields: Any, places: Sequence[Place]) -> Iterator[int]:
    """Yield the positive counts at these places of a request."""
    for place in places:
        value = value_at(fields, place)
        if isinstance(value, int) and value > 0:
            yield value


def most_output(format: Format, fields: Any) -> int | None:
    """Return the output limit of a request, in tokens; None if it has none."""
    return max(_at(fields, format.output_limits or ()), default=None)


def output_limit(format: Format, body: bytes) -> str | None:
    """Return the name of the output limit that a request has or could have; None if its format has none."""
    places = format.output_limits or ()
    fields = parse(body)
    used = (place for place in places if value_at(fields, place) is not None)
    return ".".join(next(used, next(iter(places), ()))) or None


_INLINE = re.compile(rb'"(?:%s)"' % "|".join(sorted(HELD)).encode())
"""Keys of files that are in the request as base64."""

_LARGEST = ((2048, 768), (3072, 3072))
"""Pixels of the images that come to the most tokens by each formula, for an image whose size cannot be read."""


class WorstCase(NamedTuple):
    """The most that a request may cost, in attodollars."""

    prompt: int
    """Of the prompt and the fees."""
    token: int
    """Of one output token, in each of the requested answers."""
    output: int
    """Output tokens of one answer."""
    tokens: int = 0
    """Of the prompt and all answers."""
    priced: bool = True
    """Whether a price is known; without one the amounts are 0."""

    @property
    def cost(self) -> int:
        """The whole cost."""
        return self.cost_of(self.output)

    def cost_of(self, output: int) -> int:
        """Return the cost with so many output tokens in each answer."""
        return self.prompt + self.token * output

    def output_for(self, amount: int) -> int | None:
        """Return the highest output limit with a cost of at most `amount`; None if no token fits."""
        return None if self.token == 0 or self.prompt + self.token > amount else (amount - self.prompt) // self.token


UNPRICED = WorstCase(0, 0, 0, priced=False)


def worst_case(
    price: Price | None, format: Format, body: bytes, window: int | None, *models: str | None, most: int | None = None
) -> WorstCase:
    """Return the highest possible cost of a request, and its tokens. `price` is None if none is known.

    `window` is the model's context window in tokens, None if it is not known; `most` is the most output tokens of a
    model without a documented maximum. A token of text has at least one byte,
    so that the request's size limits its prompt. The formulas of the provider, by `models`, limit the media in it; the
    window limits the content that the request only refers to. Each token is priced as the most expensive of its kind.
    """
    fields = parse(body)
    known = UNKNOWN_WINDOW if window is None else window
    prompt = max(len(body), known) if _ELSEWHERE.search(body) else len(body)
    if isinstance(fields, dict) and _INLINE.search(body):
        prompt = max(prompt, len(body) + _media(fields, format, models, known))
    units = price.at(prompt) if price else {}
    output = 0
    if format.output_limits != NO_COMPLETION:
        output = most_output(format, fields) or max_output(*models) or most or known
    answers = max(_at(fields, format.answer_counts), default=1)
    searches = MOST_SEARCHES if _SEARCHES.search(body) else 0
    fee = price.request_fee if price else 0
    return WorstCase(
        _dearest(units, PROMPT) * prompt + _dearest(units, TOOLS) * searches + fee,
        _dearest(units, COMPLETION) * answers,
        output,
        prompt + output * answers,
        price is not None,
    )


def most_of(charges: Iterable[Charge], price: Callable[[str | None], Price | None]) -> WorstCase | None:
    """Return the highest possible cost of parts, each with all that it may be billed by; None if unknown."""
    total, parts = 0, tuple(charges)
    for charge in parts:
        found = price(charge.model)
        if found is None or not found.knows(charge.usage):
            return None
        total += found.least(charge.usage)
    return WorstCase(total, 0, 0) if parts else None


def _media(fields: dict[str, Any], format: Format, models: Sequence[str | None], window: int) -> int:
    """Return the most tokens of the media in a request. Of sounds and films, a token is longer than a byte."""
    family = family_of(*models, format.vendor, model_of(format, fields))
    tokens = 0.0
    for medium in parts_of(fields, prompt_names(format)).media:
        if medium.kind == "image":
            sizes = ((medium.width, medium.height),) if medium.width and medium.height else _LARGEST
            tokens += max(family.image(*size) for size in sizes)
        elif medium.kind == "document":
            # the pages of a packed PDF cannot be counted
            tokens += family.page * medium.pages if medium.pages else window
    return ceil(tokens)


def _dearest(units: Mapping[str, int], buckets: frozenset[str]) -> int:
    return max((units[each] for each in buckets & units.keys()), default=0)
