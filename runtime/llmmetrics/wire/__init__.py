"""Wire formats: what a request asks for and what a body says. Pure: no I/O, no clock.

To add a format, write a module with `FORMATS` and put it into the table below; from outside, `register` it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from llmmetrics.usage import usage_of
from llmmetrics.wire import (
    anthropic,
    bedrock,
    cohere,
    gemini,
    interactions,
    ollama,
    openai,
    rerank,
    vertex,
    watsonx,
)
from llmmetrics.wire.format import NO_COMPLETION, Charge, Format, Reading, count, mapping
from llmmetrics.wire.frames import DONE, parse
from llmmetrics.wire.hosts import add_hosts

__all__ = ["DONE", "FORMATS", "NO_COMPLETION", "Asked", "Charge", "Claim", "Format", "Reading"]
__all__ += ["asked", "claim", "count", "mapping", "register", "usage_of"]

FORMATS: list[Format] = [
    # before OpenAI's, whose path for embeddings ends alike
    *watsonx.FORMATS,
    *openai.FORMATS,
    *anthropic.FORMATS,
    *gemini.FORMATS,
    *cohere.FORMATS,
    *ollama.FORMATS,
    *bedrock.FORMATS,
    *vertex.FORMATS,
    *interactions.FORMATS,
    *rerank.FORMATS,
]
"""Every wire format; the first whose path matches has the call."""

for _format in FORMATS:
    add_hosts(_format.hosts)


def register(format: Format) -> None:
    """Add a format of your own, before the others: a path that it claims is its, and an id that is known is replaced.

    To be called before the first call is metered: what a path means is remembered.
    """
    add_hosts(format.hosts)
    FORMATS[:] = [format, *(each for each in FORMATS if each.id != format.id)]


class Claim(NamedTuple):
    """A path that a format claims, with what the path itself says."""

    format: Format
    model: str | None
    stream: bool


Asked = tuple[str | None, bool]
"""What a request asks for: a model, and whether it wants a stream."""


def claim(method: str, host: str, path: str) -> Claim | None:
    """The format of a request to this path (without its query), or None for what is no call."""
    if method != "POST":
        return None
    for each in FORMATS:
        if found := each.path.search(host + path):
            groups = found.groupdict()
            return Claim(each, groups.get("model"), groups.get("stream") is not None)
    return None


_MODEL_FIRST = b'{"model":"'
_START = len(_MODEL_FIRST)
_STREAM = re.compile(rb'"stream"\s*:\s*true')


def asked(claimed: Claim, body: bytes) -> Asked:
    """The model and whether a stream is asked for; a path that names the model is believed first."""
    if claimed.model is not None:
        # on a deployment path the body still says whether to stream
        return claimed.model, claimed.stream or _STREAM.search(body) is not None
    if body.startswith(_MODEL_FIRST) and b'"stream"' not in body:
        # what httpx makes of a dict that begins with the model; parsing takes several times as long
        first = body[_START : body.find(b'"', _START)]
        if first and b"\\" not in first:
            return first.decode("utf8", "replace"), claimed.format.always_streams
    fields = parse(body)
    if not isinstance(fields, dict):
        return None, claimed.format.always_streams
    # watsonx has its own name for it
    model = fields.get("model") or fields.get("model_id")
    streams = fields.get("stream", claimed.format.always_streams) is True
    return (model if isinstance(model, str) and model else None), streams
