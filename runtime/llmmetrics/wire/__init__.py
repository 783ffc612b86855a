"""Wire formats: what a request asks for and what a body carries. Pure: no I/O, no clock.

To add a format, write a module with `FORMATS`, add its name to the table below, and add a row to
`llmmetrics.testing.shapes`; tests/runtime/wire/test_a_new_format.py names what a row lacks. From outside, call
`register`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

from llmmetrics.wire.format import NO_COMPLETION, Billing, Charge, Format, PromptNames, Reading, count, mapping
from llmmetrics.wire.framing import multipart
from llmmetrics.wire.framing.frames import DONE, Doc, parse
from llmmetrics.wire.framing.usual_request import Asked
from llmmetrics.wire.hosts import Origin, known_provider
from llmmetrics.wire.table import FormatTable
from llmmetrics.wire.usage import usage_of

__all__ = ["ANY", "DONE", "FORMATS", "NO_COMPLETION", "SOCKET", "Asked", "Billing", "Charge", "Claim", "FetchClaim"]
__all__ += ["Format", "PromptNames", "Reading", "asked", "asked_fields", "claim", "count", "fetch", "mapping"]
__all__ += ["model_of", "prompt_names", "provider_of", "register", "upload", "usage_of"]

FORMATS = FormatTable(
    # most calls are in OpenAI's: they need no other module
    "openai",
    "anthropic",
    "gemini",
    "cohere",
    "ollama",
    "bedrock",
    "vertex",
    "watsonx",
    "interactions",
    "batches",
    "billed",
    "jobs",
)
"""All wire formats, by their modules; the first whose path matches reads the call."""


def _imports_for_bundlers() -> None:
    """Never called: PyInstaller takes along the modules that an import statement names."""
    from llmmetrics.wire import (  # noqa: F401
        anthropic,
        batches,
        bedrock,
        billed,
        cohere,
        gemini,
        interactions,
        jobs,
        ollama,
        openai,
        vertex,
        watsonx,
    )


def provider_of(origin: Origin) -> str | None:
    """Return the provider's id, or None for an unknown host."""
    while (provider := known_provider(origin)) is None and FORMATS.more():
        pass
    # another thread may have imported the rest since the last look
    return provider or known_provider(origin)


def register(format: Format) -> None:
    """Add a format of your own before the others; it replaces a format of the same id.

    Call it before the first call is metered: the format of a path is cached.
    """
    FORMATS.register(format)


def prompt_names(format: Format | None) -> PromptNames:
    """Return the fields of a format's prompt; the fields of all formats, if it does not name them."""
    if format is not None and format.prompt_names is not None:
        return format.prompt_names
    rows = (each.prompt_names for each in FORMATS if each.prompt_names is not None)
    return PromptNames(*(tuple(dict.fromkeys(chain(*names))) for names in zip(*rows, strict=True)))


@dataclass(frozen=True, slots=True)
class Claim:
    """The format of a path, with the model and stream that the path names."""

    format: Format
    model: str | None
    stream: bool
    plain: bool = False
    """Whether the body alone tells what is asked for, in fields of the usual names."""


ANY = "*"
"""The provider of a backend that may speak the formats of any."""

SOCKET = "WEBSOCKET"
"""Stands for the method in the place of a conversation, so that no request has the same place."""


def claim(method: str, host: str, path: str, provider: str | None = None) -> Claim | None:
    """Return the format of a request to this path (without its query), or None if it is not a call.

    `provider` is the id of the host's provider, None for an unknown host: some formats are claimed at theirs alone.
    """
    if method != "POST":
        return None
    for each in FORMATS:
        if not _speaks(each, provider):
            continue
        if match := each.path.search(host + path):
            groups = match.groupdict()
            model = groups.get("model")
            plain = each.batch is None and model is None and "model" in each.model_names and not each.always_streams
            return Claim(each, model, groups.get("stream") is not None, plain)
    return None


def _speaks(format: Format, provider: str | None) -> bool:
    """Return whether a format is claimed at a provider."""
    return not format.providers or provider == ANY or provider in format.providers


class FetchClaim(NamedTuple):
    """The format of an answer that is fetched, and the id that the path names."""

    format: Format
    id: str
    """The id of the answer, or of a file with results. Empty: the body lists several answers."""
    results: bool
    """Whether the body is a file of results, a line for each request of a batch."""


def fetch(method: str, host: str, path: str, provider: str | None = None) -> FetchClaim | None:
    """Return what a request to this path (without its query) fetches or cancels, or None. `provider` as for `claim`."""
    if method not in ("GET", "POST"):
        return None
    place = host + path
    for each in FORMATS:
        if not _speaks(each, provider):
            continue
        if each.fetched is not None and (match := each.fetched.search(place)):
            if method == "POST" and "cancel" not in path:
                continue
            return FetchClaim(each, match["id"], results=False)
        if each.batch and each.batch.results and method == "GET" and (match := each.batch.results.search(place)):
            return FetchClaim(each, match["id"], results=True)
        if each.listed is not None and method == "GET" and each.listed.search(place):
            return FetchClaim(each, "", results=False)
    return None


def upload(method: str, host: str, path: str, provider: str | None = None) -> Format | None:
    """Return the format whose batches read the files that are uploaded to this path, or None."""
    rows = (each for each in FORMATS if method == "POST" and each.batch and each.batch.uploads)
    rows = (each for each in rows if _speaks(each, provider))
    return next((each for each in rows if each.batch.uploads.search(host + path)), None)  # type: ignore[union-attr]


def model_of(format: Format, fields: Mapping[str, Any]) -> str | None:
    """Return the model that the fields of a request name."""
    return next((name for name in map(fields.get, format.model_names) if isinstance(name, str) and name), None)


_STREAM = re.compile(rb'"stream"\s*:\s*true')


def _batch_model(claimed: Claim, body: bytes) -> str | None:
    """Return the model of a batch: the path's or the body's, else the one that all of its requests ask for."""
    fields = parse(body)
    if claimed.model is not None or not isinstance(fields, dict) or claimed.format.batch is None:
        return claimed.model
    if named := model_of(claimed.format, fields):
        return named
    models = {each.body.get("model") for each in claimed.format.batch.requests(fields, None)}
    model = models.pop() if len(models) == 1 else None
    return model if isinstance(model, str) else None


def asked(claimed: Claim, body: bytes) -> Asked:
    """Return the requested model and whether a stream is asked for. The path goes before the body."""
    format, model = claimed.format, claimed.model
    if format.batch is not None:
        return _batch_model(claimed, body), False
    if model is not None:
        # on a deployment path the field `stream` is in the body
        return model, claimed.stream or _STREAM.search(body) is not None
    fields = asked_fields(body)
    return model_of(format, fields), fields.get("stream", format.always_streams) in (True, "true")


def asked_fields(body: bytes) -> Doc:
    """Return the fields of a request: of a JSON object, or of a form's first parts. Empty for anything else."""
    fields = multipart.fields(body) if body.startswith(b"--") else parse(body)
    return fields if isinstance(fields, dict) else {}
