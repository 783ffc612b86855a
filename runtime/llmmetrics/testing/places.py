"""Decides whether a request or a connection goes to an LLM, as far as this process knows."""

from __future__ import annotations

from ipaddress import ip_address

from llmmetrics import wire
from llmmetrics.core import engine
from llmmetrics.reading.sockets import socket_of
from llmmetrics.wire.hosts import Origin


def is_here(host: str) -> bool:
    """Return whether a host, without a port, is this machine."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
    return address.is_loopback or address.is_unspecified


def is_llm_host(host: str, port: int | None = None) -> bool:
    """Return whether a host is a provider: a known one, or in a `BaseUrl` of an open meter.

    This machine is not: the user's own programs serve here.
    """
    name = host.lower().rstrip(".")
    return not is_here(name) and (wire.provider_of(Origin("https", name, port)) is not None or name in _configured())


def is_llm_request(method: str, host: str, port: int | None, path: str) -> bool:
    """Return whether a request goes to a provider, or is an LLM call to any host, or fetches the answer of one."""
    if wire.provider_of(Origin("https", host.lower(), port)) is not None or host.lower() in _configured():
        return True
    return wire.claim(method, host, path) is not None or wire.fetch(method, host, path, wire.ANY) is not None


def is_llm_socket(host: str, path: str) -> bool:
    """Return whether a WebSocket to this host and path carries LLM calls."""
    return socket_of(host, path) is not None


def _configured() -> set[str]:
    return {each.origin.host for meter in list(engine.alive) for each in meter.backends.all if each.origin}
