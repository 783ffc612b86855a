"""The doors for httpx and httpx2: transports that pass everything through and tell a `Call` what they see.

One implementation serves both families, sync and async: the family's module is a parameter. Neither is
imported before a transport of it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Self

from llmmetrics.call import Call
from llmmetrics.errors import ConfigError
from llmmetrics.outcome import End
from llmmetrics.wire.tape import TAIL

if TYPE_CHECKING:
    from llmmetrics.engine import Engine

Family = Literal["httpx", "httpx2"]

FAMILIES: tuple[Family, ...] = ("httpx2", "httpx")


def _is(thing: object, family: str, name: str) -> bool:
    """Whether a thing is of this class of a family. By identity: openai renames the modules of some."""
    return isinstance(thing, getattr(sys.modules.get(family), name, ()))


def _family(thing: object, *names: str) -> Family | None:
    return next((family for family in FAMILIES for name in names if _is(thing, family, name)), None)


def family_of(transport: object, base: str) -> Family:
    """The family of a transport that derives from `BaseTransport` or `AsyncBaseTransport`, as `base` says."""
    if family := _family(transport, base):
        return family
    name = f"{type(transport).__module__}.{type(transport).__qualname__}"
    if _family(transport, "AsyncBaseTransport", "BaseTransport"):
        sort, door = ("async", "async_transport") if base == "BaseTransport" else ("sync", "transport")
        raise ConfigError(f"{name} is {sort}: hand it to meter.{door}() instead")
    if _family(transport, "Client", "AsyncClient"):
        raise ConfigError(f"{name} is a client, not a transport: make it with Client(transport=meter.transport())")
    raise ConfigError(f"{name} is no transport of httpx or httpx2: derive it from httpx.{base} or httpx2.{base}")


def metered(meter: Engine, inner: Any, backend: str | None, family: Family, *, asynchronous: bool) -> Any:
    """A transport around `inner`, or around a new one of this family."""
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


def follow(call: Call, response: Any, stream: type[Any]) -> None:
    """Follow the answer to its end: through its stream, or at once where a mock has read it already.

    A response that is not what its library says is let go, uncounted.
    """
    try:
        status = response.status_code
        if 300 <= status < 400:
            call.discard()
            return
        call.http_status = status
        if response.is_closed:
            call.tape.feed(response.content)
            call.finish(End.EXHAUSTED)
            return
        call.tape.headers = response.headers
        response.stream = stream(response.stream, call)
    except Exception as exc:
        call.discard()
        call.meter.swallow("follow", exc)


class _Stream:
    """A body that is followed on its way to the caller."""

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call

    def __iter__(self) -> Iterator[bytes]:
        call, tape = self._call, self._call.tape
        append, size, streamed = tape.chunks.append, 0, call.streamed
        try:
            for chunk in self._inner:
                if streamed and not size:
                    call.first_chunk()
                append(chunk)
                size += len(chunk)
                if size > TAIL:
                    size = tape.trim(size)
                yield chunk
        except GeneratorExit:
            # closing the iterator is not closing the answer: close() or the collector will tell
            raise
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        call.finish(End.EXHAUSTED)

    def close(self) -> None:
        self._call.finish(End.CLOSED)
        self._inner.close()


class _AsyncStream:
    """The same for an async body."""

    def __init__(self, inner: Any, call: Call) -> None:
        self._inner = inner
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        call, tape = self._call, self._call.tape
        append, size, streamed = tape.chunks.append, 0, call.streamed
        try:
            async for chunk in self._inner:
                if streamed and not size:
                    call.first_chunk()
                append(chunk)
                size += len(chunk)
                if size > TAIL:
                    size = tape.trim(size)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        call.finish(End.EXHAUSTED)

    async def aclose(self) -> None:
        self._call.finish(End.CLOSED)
        await self._inner.aclose()


class _Metered:
    """What both transports are made of."""

    family: Any
    """The module: httpx or httpx2."""
    stream: type[Any]

    def __init__(self, meter: Engine, inner: Any, backend: str | None) -> None:
        self._meter = meter
        self._inner = inner
        self._backend = backend

    def _begin(self, request: Any) -> Call | None:
        if not isinstance(request, self.family.Request):
            made, used = self.family.__name__, _family(request, "Request")
            raise ConfigError(
                f"this transport was made for {made} and is used by a client of {used}: "
                f'pass family="{used}" to meter.transport() or meter.async_transport()'
            )
        url = request.url
        try:
            body = request.content
        except Exception:
            # a body that is streamed up cannot be read twice: its model is unknown
            body = b""
        return self._meter.begin((request.method, url.scheme, url.host, url.port, url.raw_path, self._backend), body)


class _Transport(_Metered):
    """Meters what goes through the transport inside it."""

    def handle_request(self, request: Any) -> Any:
        call = self._begin(request)
        if call is None:
            return self._inner.handle_request(request)
        try:
            response = self._inner.handle_request(request)
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        follow(call, response, self.stream)
        return response

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._inner.__exit__(*exc_info)


class _AsyncTransport(_Metered):
    """Meters what goes through the async transport inside it."""

    async def handle_async_request(self, request: Any) -> Any:
        call = self._begin(request)
        if call is None:
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException as exc:
            call.finish(End.RAISED, exc)
            raise
        follow(call, response, self.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._inner.__aexit__(*exc_info)


@cache
def _classes(library: Any) -> tuple[type[Any], type[Any]]:
    """The sync and the async transport of one family: a client insists on its own family's base classes."""
    stream = type("MeteredStream", (_Stream, library.SyncByteStream), {})
    async_stream = type("AsyncMeteredStream", (_AsyncStream, library.AsyncByteStream), {})
    return (
        type("MeteredTransport", (_Transport, library.BaseTransport), {"family": library, "stream": stream}),
        type(
            "AsyncMeteredTransport",
            (_AsyncTransport, library.AsyncBaseTransport),
            {"family": library, "stream": async_stream},
        ),
    )
