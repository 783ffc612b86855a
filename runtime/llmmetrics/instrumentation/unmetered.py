"""Warns of connections to LLM hosts that bypass the meter: aiohttp, requests.

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
    """Set the meter that warns; None: no warnings."""
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
        name = args[0].decode("ascii") if isinstance(args[0], bytes) else args[0]
        host = name.lower() if isinstance(name, str) else ""
        provider = provider_of(Origin("https", host, None)) or meter.backends.on(host)
        # the client may belong to another meter
        if provider is None or any(each.knows(host) for each in list(alive)):
            return
        used = ", ".join(client for client in CLIENTS if client in sys.modules) or "an unknown library"
        meter.say(
            f"outside {host}",
            f"a connection to {host} ({provider}) did not go through httpx but through {used}: its calls are not "
            "metered, and no budget stops them. Use the SDK's httpx client (see `llmmetrics doctor`)",
        )
    except Exception as exc:
        # an exception in an audit hook would break the connection
        meter.swallow("outside", exc)
