"""Upper bound of a request's cost, which mode `strict` reserves before sending."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from llmmetrics.pricing.price import Price
from llmmetrics.usage import COMPLETION, FEES, PROMPT
from llmmetrics.wire.estimation.estimate import family_of
from llmmetrics.wire.estimation.media import HELD
from llmmetrics.wire.estimation.prompt import parts_of
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


_INLINE = re.compile(rb'"(?:%s)"' % "|".join(sorted(HELD)).encode())
"""What names a file that is in the request as base64."""

_LARGEST = ((2048, 768), (3072, 3072))
"""Pixels of the images that come to the most tokens by each formula, for an image whose size cannot be read."""


class WorstCase(NamedTuple):
    """The most that a request may cost, in attodollars."""

    prompt: int
    """Its prompt and its fees."""
    token: int
    """A token of output, in each of the answers that it asks for."""
    output: int
    """Tokens of output an answer."""

    @property
    def cost(self) -> int:
        """All of it."""
        return self.prompt + self.token * self.output

    def output_for(self, amount: int) -> int | None:
        """Return the most tokens of output with which it costs no more than `amount`; None if not even one fits."""
        return None if self.token == 0 or self.prompt + self.token > amount else (amount - self.prompt) // self.token


def worst_case(price: Price, body: bytes, window: int | None, *names: str | None) -> WorstCase:
    """Bound what a request may cost. `window` is the model's context window in tokens, None if it is not known.

    No token of text is shorter than a byte, so that the request's size bounds its prompt. Media inside it are bounded
    by their providers' formulas, which `names`, of models and makers, choose; what it refers to elsewhere is bounded by
    the window. Every token is priced as the dearest of its kind.
    """
    fields = parse(body)
    known = UNKNOWN_WINDOW if window is None else window
    prompt = max(len(body), known) if _ELSEWHERE.search(body) else len(body)
    if isinstance(fields, dict) and _INLINE.search(body):
        prompt = max(prompt, len(body) + _media(fields, names, known))
    units = price.at(prompt)
    answers = max(_at(fields, _ANSWERS), default=1)
    searches = MOST_SEARCHES if _SEARCHES.search(body) else 0
    return WorstCase(
        _dearest(units, PROMPT) * prompt + _dearest(units, FEES) * searches + price.request_fee,
        _dearest(units, COMPLETION) * answers,
        most_output(fields) or known,
    )


def _media(fields: dict[str, Any], names: Sequence[str | None], window: int) -> int:
    """Return the most tokens of the media in a request. Of sounds and films, a token is longer than a byte."""
    model = fields.get("model")
    family = family_of(*names, model if isinstance(model, str) else None)
    tokens = 0.0
    for medium in parts_of(fields).media:
        if medium.kind == "image":
            sizes = ((medium.width, medium.height),) if medium.width and medium.height else _LARGEST
            tokens += max(family.image(*size) for size in sizes)
        elif medium.kind == "document":
            # the pages of a packed PDF cannot be counted
            tokens += family.page * medium.pages if medium.pages else window
    return ceil(tokens)


def _dearest(units: Mapping[str, int], buckets: frozenset[str]) -> int:
    return max((units[each] for each in buckets & units.keys()), default=0)
