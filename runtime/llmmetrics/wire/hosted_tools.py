"""What tools that ran inside a call of OpenAI's shape used: searches and other pieces, and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmmetrics.wire.format import count, mapping
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.usage import Usage, usage_of

# https://docs.litellm.ai/docs/completion/web_search, https://docs.x.ai/docs/guides/tools/overview and
# https://docs.perplexity.ai/api-reference/chat-completions-post
_FEES: dict[tuple[str, ...], str] = {
    ("server_tool_use", "web_search_requests"): "web_search",
    ("prompt_tokens_details", "web_search_requests"): "web_search",
    ("num_search_queries",): "web_search",
    ("num_sources_used",): "tool_use",
    ("server_side_tool_usage_details", "web_search_calls"): "web_search",
    ("server_side_tool_usage_details", "x_search_calls"): "tool_use",
    ("server_side_tool_usage_details", "code_interpreter_calls"): "tool_use",
    ("server_side_tool_usage_details", "file_search_calls"): "file_search",
    ("server_side_tool_usage_details", "document_search_calls"): "file_search",
    # tokens, which are in neither count and have a price of their own
    ("citation_tokens",): "tool_use",
}
"""Where a usage counts what is billed by piece, and the bucket of it. What is free is not here."""

_DETAILS = "prompt_tokens_details"
_FEE_FIELDS = frozenset(path[0] for path in _FEES) - {_DETAILS}


def has_fees(usage: Doc) -> bool:
    """Whether a usage may count any: nearly every one has details of its prompt, and few a search in them."""
    return not _FEE_FIELDS.isdisjoint(usage) or "web_search_requests" in (usage.get(_DETAILS) or ())


# https://platform.openai.com/docs/api-reference/responses/object
_TOOLS = {"web_search": "web_search", "file_search": "file_search"}
"""The buckets of the hosted tools that `tool_usage` counts requests of; any other is a `tool_use`."""


IMAGES = "image_gen"
"""The tool whose tokens `image_tokens` reads."""


def usage_fees(usage: Doc) -> dict[str, int]:
    """Count what a usage says is billed by piece, by bucket."""
    fees: dict[str, int] = {}
    for path, bucket in _FEES.items():
        value: Any = usage
        for name in path:
            value = mapping(value).get(name)
        fees[bucket] = fees.get(bucket, 0) + count(value)
    return fees


def tool_fees(tools: Doc) -> dict[str, int]:
    """Count the requests of a `tool_usage`, by bucket. A use that is counted in another way is one: it has no price."""
    fees: dict[str, int] = {}
    for name, used in tools.items():
        fields = mapping(used)
        if "num_requests" in fields or name == IMAGES:
            bucket, n = _TOOLS.get(name, "tool_use"), count(fields.get("num_requests"))
        else:
            bucket, n = "tool_use", int(any(isinstance(each, int | float) and each > 0 for each in fields.values()))
        fees[bucket] = fees.get(bucket, 0) + n
    return fees


def plus(usage: Usage, fees: Mapping[str, int]) -> Usage:
    """Add fees to a usage."""
    if not any(fees.values()):
        return usage
    more = {bucket: usage.buckets.get(bucket, 0) + n for bucket, n in fees.items() if n}
    return usage._replace(buckets={**usage.buckets, **more})


def image_tokens(used: Doc) -> Usage:
    """Read the tokens of the images that a response generated: they are another model's than its own."""
    prompt, output = count(used.get("input_tokens")), count(used.get("output_tokens"))
    images = min(count(mapping(used.get("input_tokens_details")).get("image_tokens")), prompt)
    words = min(count(mapping(used.get("output_tokens_details")).get("text_tokens")), output)
    cached = min(count(used.get("cached_tokens")), prompt)
    cached_images = min(count(mapping(used.get("cached_tokens_details")).get("cached_image_tokens")), cached, images)
    fresh_images = min(images - cached_images, prompt - cached)
    return usage_of(
        {
            "input": prompt - cached - fresh_images,
            "input_image": fresh_images,
            "cache_read": cached - cached_images,
            "cache_read_image": cached_images,
            "output": words,
            "output_image": output - words,
        }
    )
