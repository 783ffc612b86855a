"""Meters an existing client in place: its proxies, pool limits, TLS settings and timeouts stay.

An SDK's client holds its HTTP client in some attribute: this module searches for it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeVar

from llmmetrics.core.engine import Engine
from llmmetrics.errors import ConfigError
from llmmetrics.instrumentation import botocore
from llmmetrics.instrumentation.httpx import Metered, metered
from llmmetrics.instrumentation.send import FAMILIES

T = TypeVar("T")

_DEPTH = 5
_MOST = 10_000
"""Maximum number of objects to search."""

_LEAVES = (
    *(str, bytes, bytearray, int, float, complex, type(None)),
    *(type, ModuleType, FunctionType, MethodType, BuiltinFunctionType),
)


def wrap(meter: Engine, client: T, backend: str | None) -> T:
    """Meter every client of a library that has a door in `client`; return `client`. Raises `ConfigError`."""
    if backend is not None:
        meter.require_backend(backend)
    found = list(_clients(client))
    if not found:
        raise ConfigError(_nothing_in(client))
    # the clients of other libraries than httpx may be used again after close()
    if all(hasattr(each, "_transport") and each.is_closed for each in found):
        raise ConfigError(f"{_name(client)} is closed and cannot be used again: wrap it before its first use")
    for each in found:
        _wrap_one(meter, each, backend)
    return client


def _clients(root: object) -> Iterator[Any]:
    """Find the clients among an object's attributes, breadth first."""
    kinds = tuple(
        getattr(library, name)
        for library in map(sys.modules.get, FAMILIES)
        if library is not None
        for name in ("Client", "AsyncClient")
    )
    seen = {id(root)}
    queue = deque([(root, 0)])
    while queue and len(seen) < _MOST:
        thing, depth = queue.popleft()
        found, whole = _look_at(thing, kinds)
        if found is not None:
            yield found
        if depth < _DEPTH and not whole:
            for each in _held(thing):
                if id(each) not in seen and not isinstance(each, _LEAVES):
                    seen.add(id(each))
                    queue.append((each, depth + 1))


def _look_at(thing: Any, kinds: tuple[type[Any], ...]) -> tuple[Any, bool]:
    """Return the client that an object is, or None; and whether to look no further in the object."""
    if isinstance(thing, kinds):
        return thing, True
    from llmmetrics.instrumentation import aiohttp, urllib3

    if service := botocore.service_of(thing):
        if botocore.is_metered(thing):
            return thing, True
        session = _session_of(thing)
        return session if service == botocore.SERVICE and aiohttp.is_session(session) else None, True
    if urllib3.is_client(thing) or aiohttp.is_session(thing):
        # google-genai's client holds one of httpx too
        return thing, not hasattr(thing, "_use_aiohttp")
    return None, False


def _session_of(client: Any) -> Any:
    """Return what an aiobotocore client sends with."""
    return getattr(vars(client).get("_endpoint"), "http_session", None)


def _held(thing: object) -> Iterator[object]:
    """List the objects that an object holds. Properties are not called: they might open a connection."""
    if isinstance(thing, Mapping):
        # urllib3 has a mapping that cannot be listed
        with suppress(Exception):
            yield from list(thing.values())
    elif isinstance(thing, list | tuple):
        yield from thing
    yield from list(getattr(thing, "__dict__", {}).values())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            member: Any = kind.__dict__.get(slot)
            try:
                yield member.__get__(thing)
            except (AttributeError, TypeError):
                continue


def _wrap_one(meter: Engine, client: Any, backend: str | None) -> None:
    if botocore.is_metered(client):
        endpoint = client._endpoint  # noqa: SLF001
        inner = endpoint.http_session
        metering = isinstance(inner, botocore.Session)
        endpoint.http_session = _same(inner, meter, backend) if metering else botocore.Session(meter, inner, backend)
        return
    from llmmetrics.instrumentation import aiohttp, urllib3

    for library in (urllib3.is_client, urllib3.wrap), (aiohttp.is_session, aiohttp.wrap):
        is_its, wrap_it = library
        if is_its(client):
            wrap_it(client, meter, backend)
            return
    asynchronous = hasattr(client, "aclose")
    # google-genai's async client creates an inner client for every event loop, and sends nothing itself
    if make := getattr(client, "_inner_client_cls", None):
        if not getattr(make, "metered", False):

            def inner(**options: Any) -> Any:
                made = make(**options)
                _wrap_one(meter, made, backend)
                return made

            inner.metered = True  # type: ignore[attr-defined]
            client._inner_client_cls = inner  # noqa: SLF001
        for each in list(client._loop_clients.values()):  # noqa: SLF001
            _wrap_one(meter, each, backend)
    client._transport = _around(meter, client._transport, backend, asynchronous=asynchronous)  # noqa: SLF001
    for pattern, transport in client._mounts.items():  # noqa: SLF001
        # None: this pattern uses the client's own transport
        if transport is not None:
            client._mounts[pattern] = _around(meter, transport, backend, asynchronous=asynchronous)  # noqa: SLF001


def _around(meter: Engine, inner: Any, backend: str | None, *, asynchronous: bool) -> Any:
    if not isinstance(inner, Metered):
        return metered(meter, inner, backend, "httpx2", asynchronous=asynchronous)
    return _same(inner, meter, backend)


def _same(inner: Any, meter: Engine, backend: str | None) -> Any:
    """Return the existing metered transport if it fits the request. Raises `ConfigError` if it does not."""
    if inner.meter.registry is not meter.registry:
        raise ConfigError(
            "a meter with another registry already counts the calls of this client: use one meter, or wrap a new client"
        )
    if backend is not None and inner.backend != backend:
        raise ConfigError(
            f"this client is already metered as backend={inner.backend!r}: wrap a new client for backend={backend!r}"
        )
    return inner


def _name(thing: object) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    return f"{kind.__module__}.{kind.__qualname__}"


_OUTSIDE = {"grpc": "it goes through gRPC"}


def _nothing_in(client: object) -> str:
    """Explain why an object cannot be wrapped: what it is, what it holds, what to do."""
    if isinstance(client, ModuleType):
        return f"{client.__name__} is a module: create a client and wrap that, or use llmmetrics.instrument(meter)"
    if isinstance(client, type):
        return f"{_name(client)} is a class: wrap an instance of it, or use llmmetrics.instrument(meter)"
    if service := botocore.service_of(client):
        why_not = f"is a client of AWS's {service}, which makes no LLM calls"
        if service == botocore.SERVICE:
            why_not = "sends through a library that llmmetrics does not know"
        return f"{_name(client)} {why_not}: wrap the result of boto3.client({botocore.SERVICE!r})"
    held = sorted({_name(each) for each in _held(client) if not isinstance(each, _LEAVES)})
    reason = next(
        (why for name in [_name(client), *held] for root, why in _OUTSIDE.items() if name.startswith(root)), None
    )
    if reason:
        return f"{_name(client)} holds no HTTP client: {reason}, which llmmetrics does not meter"
    if _name(client).startswith(("boto3.", "botocore.")):
        return f"{_name(client)} is not a client: wrap the result of boto3.client({botocore.SERVICE!r})"
    inside = ", ".join(held[:8]) or "nothing"
    return (
        f"{_name(client)} holds no HTTP client that llmmetrics knows (it holds {inside}): pass the SDK's client, "
        "or one of httpx, requests or aiohttp. If the SDK creates its client later, or keeps it in a global, use "
        "llmmetrics.instrument(meter). If the SDK is old, upgrade it"
    )
