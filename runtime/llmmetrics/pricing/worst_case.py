"""Upper bound of a request's cost, which mode `strict` reserves before sending."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmmetrics.pricing.price import Price
from llmmetrics.usage import COMPLETION, FEES, PROMPT
from llmmetrics.wire.frames import parse

UNKNOWN_WINDOW = 200_000
"""Context window in tokens, if the catalogue has none."""

MOST_SEARCHES = 10
"""Searches of one call, if its request has no limit."""

# every name of the output limit: https://platform.openai.com/docs/api-reference,
# https://docs.anthropic.com/en/api, https://ai.google.dev/api, https://docs.cohere.com/reference,
# https://github.com/ollama/ollama/blob/main/docs/api.md, https://docs.aws.amazon.com/bedrock/latest/APIReference
_OUTPUT: Sequence[tuple[str, ...]] = (
    *(("max_tokens",), ("max_completion_tokens",), ("max_output_tokens",), ("max_tokens_to_sample",)),
    *(("generationConfig", "maxOutputTokens"), ("generation_config", "max_output_tokens")),
    *(("options", "num_predict"), ("inferenceConfig", "maxTokens"), ("parameters", "maxOutputTokens")),
    *(("max_gen_len",), ("textGenerationConfig", "maxTokenCount")),
)
_ANSWERS: Sequence[tuple[str, ...]] = (
    *(("n",), ("best_of",), ("num_generations",), ("generationConfig", "candidateCount")),
)
_ELSEWHERE = re.compile(
    rb'"(?:image_url|file_id|file_uri|fileUri|file_url|previous_response_id|conversation|cachedContent|prompt_id'
    rb'|video_url|document_url|container)"'
)
"""Keys that refer to content outside the request, so that the request's size is no bound."""

_SEARCHES = re.compile(rb"web_search|file_search|google_?search|google_?maps", re.IGNORECASE)
"""What names a tool that is billed by piece."""


def _at(fields: Any, paths: Sequence[tuple[str, ...]]) -> Iterator[int]:
    """Yield the positive counts at these paths of a request."""
    for path in paths:
        value = fields
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, int) and value > 0:
            yield value


def most_output(fields: Any) -> int | None:
    """Return the output limit of a request's body, in tokens; None if it has none."""
    return max(_at(fields, _OUTPUT), default=None)


def worst_case(price: Price, body: bytes, window: int | None) -> int:
    """Compute the upper bound, in attodollars. `window` is the context window in tokens; None if it is unknown.

    A token has at least one byte, so the request's size is an upper bound of the prompt; for content outside the
    request the window is. Every token has the highest price of its kind.
    """
    fields = parse(body)
    known = UNKNOWN_WINDOW if window is None else window
    prompt = max(len(body), known) if _ELSEWHERE.search(body) else len(body)
    units = price.at(prompt)
    output = (most_output(fields) or known) * max(_at(fields, _ANSWERS), default=1)
    searches = MOST_SEARCHES if _SEARCHES.search(body) else 0
    tokens = _dearest(units, PROMPT) * prompt + _dearest(units, COMPLETION) * output
    return tokens + _dearest(units, FEES) * searches + price.request_fee


def _dearest(units: Mapping[str, int], buckets: frozenset[str]) -> int:
    return max((units[each] for each in buckets & units.keys()), default=0)
