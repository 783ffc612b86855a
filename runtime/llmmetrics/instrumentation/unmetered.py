"""Warns of connections to LLM hosts that no metered request has made: aiohttp, requests.

Every library that resolves names through Python raises the audit event `socket.getaddrinfo`.
"""

from __future__ import annotations

import sys
from typing import Any

from llmmetrics.core.engine import Engine, alive
from llmmetrics.wire.hosts import Origin, provider_of

_meter: Engine | None = None
_hooked = False

CLIENTS = ("aiohttp", "requests")


def watch(meter: Engine | None) -> None:
    """Have this meter warn from now on; None: nobody."""
    global _meter, _hooked  # noqa: PLW0603 - an audit hook is the process', and can never be removed
    _meter = meter
    if meter is not None and not _hooked:
        _hooked = True
        sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    meter = _meter
    if meter is None or event != "socket.getaddrinfo":
        return
    try:
        given = args[0].decode("ascii") if isinstance(args[0], bytes) else args[0]
        host = given.lower() if isinstance(given, str) else ""
        whose = provider_of(Origin("https", host, None)) or meter.backends.on(host)
        # another meter may have the client
        if whose is None or any(each.knows(host) for each in list(alive)):
            return
        used = ", ".join(name for name in CLIENTS if name in sys.modules) or "a library that llmmetrics does not know"
        meter.say(
            f"outside {host}",
            f"a connection to {host} ({whose}) was made past httpx, by {used}: its calls are not metered, and "
            "no budget stops them. Use the SDK's httpx client (`llmmetrics doctor` says which SDKs have one)",
        )
    except Exception as exc:
        # an exception in an audit hook would be the connection's
        meter.swallow("outside", exc)
