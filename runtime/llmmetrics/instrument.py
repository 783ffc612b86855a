"""Meters every httpx and httpx2 client of the process, those that exist and those to come.

The point where it cuts in is `_send_single_request`: it sees each attempt once, whatever transport, mock or
recorder is below it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from llmmetrics import outside
from llmmetrics.errors import ConfigError
from llmmetrics.passage import FAMILIES, asend, send, streams
from llmmetrics.transports import Metered

if TYPE_CHECKING:
    from llmmetrics.engine import Engine

_METHOD = "_send_single_request"

_meter: Engine | None = None
_replaced: list[tuple[type[Any], Any, Any]] = []
"""A class, the method that it had, and the one that it got."""
_lock = Lock()


def instrument(meter: Engine) -> None:
    """Meter every httpx and httpx2 client of this process, existing and future, sync and async.

    A client that has a metered transport keeps it: each call counts once, for the backend that its transport
    names. Doing it again with the same meter changes nothing; with another one it raises `ConfigError`.
    What leaves through aiohttp, gRPC, botocore or requests is not metered; a connection of theirs to a known
    LLM host is warned of, once a host.
    """
    global _meter  # noqa: PLW0603 - the process is what is instrumented
    with _lock:
        if _meter is not None and _meter is not meter:
            raise ConfigError(
                "this process is instrumented with another meter already: keep to one meter, "
                "or call llmmetrics.uninstrument() first"
            )
        if _meter is None:
            for family in FAMILIES:
                _patch(family)
        _meter = meter
        outside.watch(meter)


def uninstrument() -> None:
    """Undo `instrument`. Calls in flight are still counted."""
    global _meter  # noqa: PLW0603
    with _lock:
        _meter = None
        outside.watch(None)
        for owner, before, after in _replaced:
            # whoever has put a method of theirs over ours keeps it, and ours below it lets everything through
            if getattr(owner, _METHOD) is after:
                setattr(owner, _METHOD, before)
        _replaced.clear()


def _patch(family: str) -> None:
    try:
        library = import_module(family)
    except ImportError:
        return
    stream, async_stream = streams(library)
    for owner, made in (
        (library.Client, _sync(library.Client._send_single_request, stream)),  # noqa: SLF001
        (library.AsyncClient, _async(library.AsyncClient._send_single_request, async_stream)),  # noqa: SLF001
    ):
        _replaced.append((owner, getattr(owner, _METHOD), made))
        setattr(owner, _METHOD, made)


def _has_its_own(client: Any, request: Any) -> bool:
    """Whether this request will go through a metered transport, which knows its backend better."""
    return isinstance(client._transport_for_url(request.url), Metered)  # noqa: SLF001


def _sync(original: Callable[[Any, Any], Any], stream: type[Any]) -> Callable[[Any, Any], Any]:
    @wraps(original)
    def _send_single_request(self: Any, request: Any) -> Any:
        meter = _meter
        if meter is None or _has_its_own(self, request):
            return original(self, request)
        return send(meter, None, request, stream, lambda request: original(self, request))

    return _send_single_request


def _async(original: Callable[[Any, Any], Any], stream: type[Any]) -> Callable[[Any, Any], Any]:
    @wraps(original)
    async def _send_single_request(self: Any, request: Any) -> Any:
        meter = _meter
        if meter is None or _has_its_own(self, request):
            return await original(self, request)
        return await asend(meter, None, request, stream, lambda request: original(self, request))

    return _send_single_request
