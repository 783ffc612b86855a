"""The route of a request: its format, provider and backends, from the place where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from llmmetrics import wire
from llmmetrics.reading.endpoints import billing_of
from llmmetrics.reading.exchange import provider_name
from llmmetrics.settings.backends import Backends, Configured
from llmmetrics.wire import ANY, SOCKET, Claim, FetchClaim, Format
from llmmetrics.wire.hosts import LOCAL, Origin

Place = tuple[str, str, str, int | None, bytes, str | None]
"""Where a request goes: method, scheme, host, port, raw path with its query, and the transport's own backend."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the address of a request says about it. `claim` is None if it is not an LLM call."""

    claim: Claim | None
    origin: Origin
    url: str
    """Without its query, which may hold a key."""
    provider: str
    backends: tuple[Configured, ...]
    """The backends whose BaseUrl matches."""
    seller: str | None
    """The provider's id in the price catalogue, if the URL is not enough."""
    local: bool
    """Whether it runs on the user's machines, so that no catalogue has a price."""
    only: str | None
    """The `backend` label, if it does not depend on the model."""
    fetch: FetchClaim | None = None
    """What it fetches, if it is not an LLM call."""
    upload: Format | None = None
    """The format whose batches read the files that are uploaded there."""
    unknown: bool = False
    """Whether it is a POST of which no table says whether it is billed."""

    def label(self, model: str | None) -> str:
        """Choose the `backend` label: the backend that has this model, else the first backend, else the provider."""
        if not self.backends:
            return self.provider
        for each in self.backends:
            if model in each.models:
                return each.name
        return self.backends[0].name


def _conversation(host: str, path: str) -> Claim | None:
    # most processes have none
    from llmmetrics.reading import sockets

    return sockets.claim(host, path)


def route_of(place: Place, backends: Backends) -> Route:
    """Find the route of a request to this place. Raises `ConfigError` if the backend is not configured."""
    method, scheme, host, port, raw_path, backend = place
    origin = Origin(scheme, host, port)
    path = unquote(raw_path.partition(b"?")[0].decode("latin1"))
    found = backends.named(backend) if backend else backends.at(origin, path)
    # who configures a backend of no known provider says that it is one all the same
    whose = (found[0].provider or ANY) if found else wire.provider_of(origin)
    claim = _conversation(host, path) if method == SOCKET else wire.claim(method, host, path, whose)
    fetch = None if claim else wire.fetch(method, host, path, whose)
    upload = None if claim else wire.upload(method, host, path, whose)
    provider = provider_name(origin, claim.format if claim else fetch.format if fetch else upload)
    if not found:
        local = provider in LOCAL
        return Route(claim, origin, f"{origin}{path}", provider, (), None, local, provider, fetch, upload)
    first = found[0]
    return Route(
        claim,
        origin,
        f"{origin}{path}",
        first.provider or provider,
        found,
        first.seller,
        first.local,
        first.name if len(found) == 1 else None,
        fetch,
        upload,
        method == "POST" and fetch is None and billing_of(host, path, whose) is None,
    )
