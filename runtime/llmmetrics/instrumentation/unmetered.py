"""Counts the connections to LLM hosts that no door is making, and warns once of each host.

A door claims the URL that it sends to, in its context (`send.claimed`); the tasks that a library starts for a
connection have that context, too. A connection is seen by the lookup of its name, and for an address without a name by
the connect. What libraries connect outside Python is not seen: curl_cffi, gRPC.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import connections
from llmmetrics.instrumentation.send import claimed, read_claims
from llmmetrics.settings.backends import normal
from llmmetrics.wire import provider_of
from llmmetrics.wire.hosts import Origin

connecting: set[str] = set()
"""Modules that connect before their door can claim: their frame on the stack stands for the claim."""

_PLUMBING = frozenset(
    {*sys.stdlib_module_names, "llmmetrics", "anyio", "aiohappyeyeballs", "sniffio", "uvloop", "trio"}
)
"""Modules that connect for others, so that none of them is the library to name. `__main__` is the user's own code."""


class _Counter:
    """What a meter counts of the connections. A watcher that raises would break them."""

    def __init__(self, meter: Engine) -> None:
        self._meter = meter

    def looked_up(self, host: Any) -> None:
        """Count the lookup of an LLM host's name, if no door makes it."""
        try:
            text = host.decode("ascii") if isinstance(host, bytes) else host
            name = text.lower() if isinstance(text, str) else ""
            provider = provider_of(Origin("https", name, None)) or self._meter.backends.on(name)
            if provider is not None and not _is_claimed(name, None):
                _count(self._meter, name, provider)
        except Exception as exc:
            self._meter.swallow("outside", exc)

    def connected(self, address: Any) -> None:
        """Count a connection to the address of a configured backend that has no name, if no door makes it."""
        # IPv6 is an address of four; what is no tuple is a local socket
        if not isinstance(address, tuple) or len(address) != 2:
            return
        try:
            host, port = address
            origin = normal(Origin("http", host, port))
            provider = self._meter.backends.on_port(origin.host, port) or provider_of(Origin("http", origin.host, port))
            if provider is not None and not _is_claimed(origin.host, port):
                _count(self._meter, f"{origin.host}:{port}", provider)
        except Exception as exc:
            self._meter.swallow("outside", exc)


def _nothing() -> None:
    """End the watching of no meter."""


_end: Callable[[], None] = _nothing


def watch(meter: Engine | None) -> None:
    """Set the meter that counts; None: nothing is counted."""
    global _end  # noqa: PLW0603 - one meter counts for the whole process
    _end()
    _end = _nothing
    if meter is not None:
        read_claims()
        _end = connections.watch(_Counter(meter))


def _is_claimed(host: str, port: int | None) -> bool:
    """Return whether a door is sending to this host in this context."""
    url = claimed.get()
    if url is not None:
        origin = normal(Origin(url.scheme, url.host.lower(), url.port))
        if origin.host == host and port in (None, origin.listens):
            return True
    return bool(connecting) and any(name in connecting for name in _modules())


def _modules() -> Iterator[str]:
    """Yield the modules on the stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def _count(meter: Engine, host: str, provider: str) -> None:
    meter.families["unmetered_connections"].labels(host).inc()
    library = next((top for name in _modules() if (top := name.partition(".")[0]) and top not in _PLUMBING), None)
    by = f", made by {library}" if library else ""
    meter.say(
        f"outside {host}",
        f"a connection to {host} ({provider}) goes past the meter{by}: the calls on it are not metered, and no budget "
        "stops them. `llmmetrics doctor` says how each installed SDK is metered",
    )
