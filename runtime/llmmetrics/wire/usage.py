"""Token counts of one call, in disjoint buckets with a price each."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

PROMPT = frozenset(
    {
        *("input", "input_audio", "input_image", "input_video"),
        *("cache_read", "cache_read_audio", "cache_read_image", "cache_read_video"),
        *("cache_write", "cache_write_1h"),
    }
)
"""The buckets of `prompt`. `input` is text that no cache served, and everything with the same price."""

CACHED = frozenset(name for name in PROMPT if name.startswith("cache_read"))

COMPLETION = frozenset(["output", "reasoning", "output_audio", "output_image", "output_video"])
"""The buckets of `completion`. `output` is visible text."""

TOOLS = frozenset(["web_search", "file_search", "tool_use"])
"""Uses of tools inside a call. `tool_use` is any tool without a count of its own here."""

PIECES: Mapping[str, int] = {
    **dict.fromkeys(TOOLS, 1000),
    "image": 1000,
    "page": 1000,
    "annotated_page": 1000,
    "character": 10**6,
    "audio_ms": 60 * 60 * 1000,
    "video_second": 1,
}
"""Counts of priced things that are not tokens, each with the number that its price is for: an hour of `audio_ms`."""

FEES = frozenset(PIECES)

UNCOUNTED = "uncounted"
"""A call that is billed, and whose answer says nothing to count. It never has a price."""


class Usage(NamedTuple):
    """The token counts of one call.

    `prompt` is all input (fresh, read from a cache, written to a cache), `completion` all output
    (with reasoning). `buckets` holds the same tokens in disjoint parts, without empty ones.
    `cache_read` is the provider's own number, which at some hosts is larger than the prompt.
    """

    prompt: int
    completion: int
    cache_read: int
    buckets: Mapping[str, int]

    @property
    def total(self) -> int:
        return self.prompt + self.completion

    @property
    def cache_write(self) -> int:
        return sum(n for name, n in self.buckets.items() if name.startswith("cache_write"))

    @property
    def reasoning(self) -> int:
        return self.buckets.get("reasoning", 0)


def usage_of(buckets: Mapping[str, int], *, cache_read: int = 0) -> Usage:
    """Make a `Usage` from buckets. Raises `KeyError` for an unknown bucket.

    `cache_read` is the provider's own number, if it is larger than the buckets can hold.
    """
    prompt = completion = cached = 0
    kept = {name: n for name, n in buckets.items() if n}
    for name, n in kept.items():
        if name in PROMPT:
            prompt += n
            if name in CACHED:
                cached += n
        elif name in COMPLETION:
            completion += n
        elif name not in FEES and name != UNCOUNTED:
            raise KeyError(name)
    return Usage(prompt, completion, max(cached, cache_read), kept)


def add(parts: Iterable[Usage]) -> Usage:
    """Add the usage of several passes of one call."""
    buckets: dict[str, int] = {}
    for part in parts:
        for name, n in part.buckets.items():
            buckets[name] = buckets.get(name, 0) + n
    return usage_of(buckets)
