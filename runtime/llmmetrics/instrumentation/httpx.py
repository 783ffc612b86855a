"""The transports for httpx and httpx2: they pass everything through and meter it.

One implementation serves both families, sync and async: the family's module is a parameter. A family is
imported only when a transport of it is requested.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Literal, Self

from llmmetrics.core.engine import Engine
from llmmetrics.errors import ConfigError
from llmmetrics.instrumentation.send import FAMILIES, asend, library_of, send, streams

Family = Literal["httpx", "httpx2"]


def _family(thing: object, *names: str) -> Family | None:
    library = library_of(thing, *names)
    return None if library is None else library.__name__


def family_of(transport: object, base: str) -> Family:
    """Return the family of a transport; `base` is the required base class. Raises `ConfigError` for other objects."""
    if family := _family(transport, base):
        return family
    name = f"{type(transport).__module__}.{type(transport).__qualname__}"
    if _family(transport, "AsyncBaseTransport", "BaseTransport"):
        sort, door = ("async", "async_transport") if base == "BaseTransport" else ("sync", "transport")
        raise ConfigError(f"{name} is {sort}: pass it to meter.{door}() instead")
    if _family(transport, "Client", "AsyncClient"):
        raise ConfigError(f"{name} is a client, not a transport: create it with Client(transport=meter.transport())")
    raise ConfigError(f"{name} is not a transport of httpx or httpx2: derive it from httpx.{base} or httpx2.{base}")


def metered(meter: Engine, inner: Any, backend: str | None, family: Family, *, asynchronous: bool) -> Any:
    """Make a metered transport around `inner`, or around a new one of this family. Raises `ConfigError`."""
    base = "AsyncBaseTransport" if asynchronous else "BaseTransport"
    if inner is not None:
        family = family_of(inner, base)
    elif family not in FAMILIES:
        raise ConfigError(f"family={family!r} is unknown: use 'httpx2' or 'httpx'")
    try:
        library = import_module(family)
    except ImportError:
        raise ConfigError(f"{family} is not installed: pip install {family}") from None
    if backend is not None:
        meter.require_backend(backend)
    sync_class, async_class = _classes(library)
    made, plain = (async_class, library.AsyncHTTPTransport) if asynchronous else (sync_class, library.HTTPTransport)
    return made(meter, plain() if inner is None else inner, backend)


class Metered:
    """The common part of both transports."""

    family: Any
    """The module: httpx or httpx2."""
    request: type[Any]
    """Its class of requests, and those that follow its bodies."""
    stream: type[Any]

    def __init__(self, meter: Engine, inner: Any, backend: str | None) -> None:
        self.meter = meter
        self.backend = backend
        self._inner = inner
        # each request asks for them, and finds them faster here than in the class
        self.request, self.stream = self.request, self.stream

    def _foreign(self, request: Any) -> ConfigError:
        family, used = self.family.__name__, _family(request, "Request")
        return self._misused(
            f"this transport is for {family}, and a client of {used} uses it: "
            f'pass family="{used}" to meter.transport() or meter.async_transport()'
        )

    def _misused(self, message: str) -> ConfigError:
        # an SDK takes an error of a transport for one of the network: it tries again, and hides what it says
        self.meter.say(message, message)
        return ConfigError(message)


class _Transport(Metered):
    """Meters the requests of a sync transport."""

    def handle_request(self, request: Any) -> Any:
        if not isinstance(request, self.request):
            raise self._foreign(request)
        return send(self.meter, self.backend, request, self.stream, self._inner.handle_request)

    async def handle_async_request(self, _request: Any) -> Any:
        raise self._misused("an async client uses this sync transport: make it with meter.async_transport()")

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._inner.__exit__(*exc_info)


class _AsyncTransport(Metered):
    """Meters the requests of an async transport."""

    async def handle_async_request(self, request: Any) -> Any:
        if not isinstance(request, self.request):
            raise self._foreign(request)
        return await asend(self.meter, self.backend, request, self.stream, self._inner.handle_async_request)

    def handle_request(self, _request: Any) -> Any:
        raise self._misused("a sync client uses this async transport: make it with meter.transport()")

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._inner.__aexit__(*exc_info)


@cache
def _classes(library: Any) -> tuple[type[Any], type[Any]]:
    """Make the sync and the async class of one family: a client needs its own family's base classes."""
    stream, async_stream = streams(library)
    own = {"family": library, "request": library.Request}
    return (
        type("MeteredTransport", (_Transport, library.BaseTransport), {**own, "stream": stream}),
        type("AsyncMeteredTransport", (_AsyncTransport, library.AsyncBaseTransport), {**own, "stream": async_stream}),
    )
