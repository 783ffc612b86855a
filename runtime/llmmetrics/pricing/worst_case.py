"""The most that a request may cost: what mode `strict` reserves before it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmmetrics.pricing.price import Price
from llmmetrics.usage import COMPLETION, FEES, PROMPT
from llmmetrics.wire.frames import parse

UNKNOWN_WINDOW = 200_000
"""Tokens that a model takes and gives, where the catalogue does not say."""

MOST_SEARCHES = 10
"""Searches of one call whose request does not bound them."""

# every spelling of the bound on the output: https://platform.openai.com/docs/api-reference,
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
"""What names content that is not in the request, so that its size says nothing."""

_SEARCHES = re.compile(rb"web_search|file_search|google_?search|google_?maps", re.IGNORECASE)
"""What names a tool that is billed by piece."""


def _at(fields: Any, paths: Sequence[tuple[str, ...]]) -> Iterator[int]:
    """The counts at these places of a request."""
    for path in paths:
        value = fields
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, int) and value > 0:
            yield value


def most_output(fields: Any) -> int | None:
    """The bound on the output, in tokens, that a request's body asks for; None where it asks for none."""
    return max(_at(fields, _OUTPUT), default=None)


def worst_case(price: Price, body: bytes, window: int | None) -> int:
    """Attodollars. `window` is the model's context window in tokens, None where nobody knows it.

    No token is shorter than a byte, so that the request's size bounds its prompt; what it refers to elsewhere
    is bounded by the window. Every token is priced as the dearest of its kind.
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
