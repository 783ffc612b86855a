"""The target of a request, as the meters see it: provider, API, model, streaming or not."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from llmmetrics import wire
from llmmetrics.testing.places import is_here
from llmmetrics.wire.hosts import Origin


class Target(NamedTuple):
    """The target of a request. `api` is the wire format's id; None if it is not an LLM call."""

    host: str
    """With its port, unless it is the scheme's default."""
    path: str
    provider: str | None
    """The provider of the host; None if it is unknown."""
    api: str | None
    vendor: str | None
    """The vendor of the format, on any host."""
    model: str | None
    stream: bool
    fetches: bool = False
    """Whether it fetches an answer that comes later."""
    is_here: bool = False
    """Whether it goes to this machine."""


def target_of(method: str, url: str, body: bytes = b"") -> Target:
    """Find the target of a request with this body."""
    parts = urlsplit(url)
    name, path = (parts.hostname or "").lower(), unquote(parts.path)
    host = f"{name}:{parts.port}" if parts.port else name
    provider = wire.provider_of(Origin(parts.scheme, name, parts.port))
    claimed, here = wire.claim(method, name, path, provider), is_here(name)
    if claimed is None:
        fetches = wire.fetch(method, name, path, wire.ANY) is not None
        return Target(host, path, provider, None, None, None, stream=False, fetches=fetches, is_here=here)
    model, stream = wire.asked(claimed, body)
    return Target(host, path, provider, claimed.format.id, claimed.format.vendor, model, stream, is_here=here)
