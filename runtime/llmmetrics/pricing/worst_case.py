"""The most that a request may cost: what mode `strict` reserves before it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmmetrics.pricing.price import Price
from llmmetrics.usage import COMPLETION, FEES, PROMPT
from llmmetrics.wire.format import NO_COMPLETION, Format, Place, value_at
from llmmetrics.wire.frames import parse

UNKNOWN_WINDOW = 200_000
"""Tokens that a model takes and gives, where the catalogue does not say."""

MOST_SEARCHES = 10
"""Searches of one call whose request does not bound them."""

_ELSEWHERE = re.compile(
    rb'"(?:image_url|file_id|file_uri|fileUri|file_url|previous_response_id|conversation|cachedContent|prompt_id'
    rb'|video_url|document_url|container)"'
)
"""What names content that is not in the request, so that its size says nothing."""

_SEARCHES = re.compile(rb"web_search|file_search|google_?search|google_?maps", re.IGNORECASE)
"""What names a tool that is billed by piece."""


def _at(fields: Any, places: Sequence[Place]) -> Iterator[int]:
    """The counts at these places of a request."""
    for place in places:
        value = value_at(fields, place)
        if isinstance(value, int) and value > 0:
            yield value


def most_output(format: Format, fields: Any) -> int | None:
    """Return the limit of the completion, in tokens, that a request's JSON object sets; None if it sets none."""
    return max(_at(fields, format.output_limits or ()), default=None)


def worst_case(price: Price, format: Format, body: bytes, window: int | None) -> int:
    """Return the highest possible cost of a request, in attodollars.

    `window` is the model's context window in tokens, None if it is not known. A token has at least one byte, so that
    the request's size limits its prompt; the window limits the content that the request only refers to. Each token
    is priced as the most expensive of its kind.
    """
    fields = parse(body)
    known = UNKNOWN_WINDOW if window is None else window
    prompt = max(len(body), known) if _ELSEWHERE.search(body) else len(body)
    units = price.at(prompt)
    output = 0
    if format.output_limits != NO_COMPLETION:
        output = (most_output(format, fields) or known) * max(_at(fields, format.answer_counts), default=1)
    searches = MOST_SEARCHES if _SEARCHES.search(body) else 0
    tokens = _dearest(units, PROMPT) * prompt + _dearest(units, COMPLETION) * output
    return tokens + _dearest(units, FEES) * searches + price.request_fee


def _dearest(units: Mapping[str, int], buckets: frozenset[str]) -> int:
    return max((units[each] for each in buckets & units.keys()), default=0)
