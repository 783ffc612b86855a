"""What a request is aimed at, as the meters see it: whose API, which model, streaming or not."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from llmmetrics import wire
from llmmetrics.wire.hosts import Origin, provider_of


class Target(NamedTuple):
    """Where a request goes. `api` is the wire format's id, None for what is no call."""

    host: str
    """With its port, where that is not the scheme's own."""
    path: str
    provider: str | None
    """Whose host it is; None for one that nobody here knows."""
    api: str | None
    vendor: str | None
    """Whose format it is, on whatever host."""
    model: str | None
    stream: bool


def target_of(method: str, url: str, body: bytes = b"") -> Target:
    """What a request with this body is aimed at."""
    parts = urlsplit(url)
    name, path = (parts.hostname or "").lower(), unquote(parts.path)
    host = f"{name}:{parts.port}" if parts.port else name
    provider = provider_of(Origin(parts.scheme, name, parts.port))
    claimed = wire.claim(method, name, path)
    if claimed is None:
        return Target(host, path, provider, None, None, None, stream=False)
    model, stream = wire.asked(claimed, body)
    return Target(host, path, provider, claimed.format.id, claimed.format.vendor, model, stream)
