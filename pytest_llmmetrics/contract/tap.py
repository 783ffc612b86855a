"""Patches the transports of httpx and httpx2, below every meter, so that a `Wire` sees each LLM request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from llmmetrics.testing.harness import is_llm_request
from pytest_llmmetrics.contract.wire import SentRequest, Wire

_FAMILIES = ("httpx", "httpx2")


def _is_llm(request: Any) -> bool:
    url = request.url
    return is_llm_request(request.method, url.host, url.port, url.path)


def _facts(request: Any) -> tuple[Any, str, Any]:
    return request.headers, request.url.query.decode("latin1"), request.extensions.get("timeout", {})


class _TappedBody:
    """An answer's body: records whether it was closed."""

    def __init__(self, inner: Any, attempt: SentRequest, wire: Wire) -> None:
        self._inner, self._attempt, self._wire = inner, attempt, wire
        attempt.unclosed = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._inner:
                yield chunk
                self._wire.interrupt("body")
        except GeneratorExit:
            raise
        except BaseException as exc:
            # httpcore's pool closes it too
            self._attempt.unclosed = False
            self._wire.patience.sleep(self._wire.patience_for(self._attempt, exc))
            raise

    def close(self) -> None:
        self._attempt.unclosed = False
        self._inner.close()


class _AsyncBody(_TappedBody):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
                if self._wire.holds("body"):
                    await self._wire.stay_away()
        except GeneratorExit:
            raise
        except BaseException as exc:
            self._attempt.unclosed = False
            await self._wire.wait_for(self._attempt, exc)
            raise

    async def aclose(self) -> None:
        self._attempt.unclosed = False
        await self._inner.aclose()


@contextmanager
def watched(wire: Wire) -> Iterator[None]:
    """Show a `Wire` every LLM request of this process through httpx and httpx2, sync and async."""
    replaced: list[tuple[Any, str, Any]] = []
    for family in _FAMILIES:
        library = import_module(family)
        body = type("Body", (_TappedBody, library.SyncByteStream), {})
        async_body = type("AsyncBody", (_AsyncBody, library.AsyncByteStream), {})
        for owner, name, replacement in (
            (library.HTTPTransport, "handle_request", _sync(wire, library.HTTPTransport.handle_request, body)),
            (
                library.AsyncHTTPTransport,
                "handle_async_request",
                _async(wire, library.AsyncHTTPTransport.handle_async_request, async_body),
            ),
        ):
            replaced.append((owner, name, getattr(owner, name)))
            setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, before in replaced:
            setattr(owner, name, before)


def _sync(wire: Wire, original: Callable[[Any, Any], Any], body: type[Any]) -> Callable[[Any, Any], Any]:
    def handle_request(self: Any, request: Any) -> Any:
        if not _is_llm(request):
            return original(self, request)
        attempt = wire.begin(*_facts(request))
        wire.interrupt("headers")
        try:
            response = original(self, request)
        except Exception as exc:
            wire.patience.sleep(wire.patience_for(attempt, exc))
            raise
        response.stream = body(response.stream, attempt, wire)
        return response

    return handle_request


def _async(wire: Wire, original: Callable[[Any, Any], Any], body: type[Any]) -> Callable[[Any, Any], Any]:
    async def handle_async_request(self: Any, request: Any) -> Any:
        if not _is_llm(request):
            return await original(self, request)
        attempt = wire.begin(*_facts(request))
        if wire.holds("headers"):
            await wire.stay_away()
        try:
            response = await original(self, request)
        except Exception as exc:
            await wire.wait_for(attempt, exc)
            raise
        response.stream = body(response.stream, attempt, wire)
        return response

    return handle_async_request
