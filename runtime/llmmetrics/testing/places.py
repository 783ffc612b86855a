"""Which requests and connections go to an LLM, as far as this process knows."""

from __future__ import annotations

from llmmetrics import wire
from llmmetrics.core import engine
from llmmetrics.wire.hosts import Origin, provider_of

_HERE = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104 - names, not binds


def is_llm_host(host: str, port: int | None = None) -> bool:
    """Whether a connection to this host is one to a provider: a known one, or a `BaseUrl` of a meter that is alive.

    This machine is none: what serves there is the user's own.
    """
    name = host.lower().rstrip(".")
    return name not in _HERE and (provider_of(Origin("https", name, port)) is not None or name in _configured())


def is_llm_request(method: str, host: str, port: int | None, path: str) -> bool:
    """Whether a request goes to a provider, or is a call wherever it goes."""
    known = provider_of(Origin("https", host.lower(), port)) is not None
    return known or host.lower() in _configured() or wire.claim(method, host, path) is not None


def _configured() -> set[str]:
    return {each.origin.host for meter in list(engine.alive) for each in meter.backends.all if each.origin}
