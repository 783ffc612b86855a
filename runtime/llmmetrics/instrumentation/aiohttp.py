"""Meters aiohttp, and what sends through it: google-genai's async calls, aiobotocore, aioboto3.

It cuts in at a session's methods, above vcrpy and aioresponses, which replace what is below. A session follows
redirects inside of one request: the request counts once, for the address that it asked for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import wraps
from http import HTTPStatus
from inspect import signature
from types import SimpleNamespace
from typing import Any

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import send as sending
from llmmetrics.instrumentation.adapter import AdaptedRequest, address_of, body_of, lower
from llmmetrics.instrumentation.aiohttp_body import AiohttpAnswer, followed
from llmmetrics.wire.framing.multipart import written

_VERBS = ("get", "options", "head", "post", "put", "patch", "delete")

Choose = Callable[[Any], tuple[Engine | None, str | None]]
"""The meter of a session, and the backend of all its calls."""


def patches(module: Any, meter_now: Callable[[], Engine | None]) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""
    session = module.ClientSession

    def choose(asking: Any) -> tuple[Engine | None, str | None]:
        # a session that was wrapped meters itself, and may know the backend
        return None if _is_wrapped(asking) else meter_now(), None

    for verb in _VERBS:
        yield session, verb, _verb(getattr(session, verb), verb.upper(), choose, module)
    yield session, "request", _request(session.request, choose, module)
    # `aiohttp.request` calls it
    yield session, "_request", _inner(session._request, choose)  # noqa: SLF001


def _verb(original: Callable[..., Any], method: str, choose: Choose, module: Any) -> Callable[..., Any]:
    @wraps(original)
    def ask(self: Any, url: Any, **options: Any) -> Any:
        meter, backend = choose(self)
        if meter is None:
            return original(self, url, **options)
        onward = lambda **changed: original(self, url, **changed)  # noqa: E731
        return module._RequestContextManager(_send(meter, backend, self, method, url, options, onward))  # noqa: SLF001

    return ask


def _request(original: Callable[..., Any], choose: Choose, module: Any) -> Callable[..., Any]:
    @wraps(original)
    def request(self: Any, method: str, url: Any, **options: Any) -> Any:
        meter, backend = choose(self)
        if meter is None:
            return original(self, method, url, **options)
        onward = lambda **changed: original(self, method, url, **changed)  # noqa: E731
        return module._RequestContextManager(_send(meter, backend, self, method, url, options, onward))  # noqa: SLF001

    return request


def _inner(original: Callable[..., Any], choose: Choose) -> Callable[..., Any]:
    @wraps(original)
    async def _request(self: Any, method: str, url: Any, **options: Any) -> Any:
        meter, backend = choose(self)
        if meter is None:
            return await original(self, method, url, **options)
        onward = lambda **changed: original(self, method, url, **changed)  # noqa: E731
        return await _send(meter, backend, self, method, url, options, onward)

    return _request


async def _send(
    meter: Engine,
    backend: str | None,
    session: Any,
    method: str,
    url: Any,
    options: dict[str, Any],
    onward: Callable[..., Awaitable[Any]],
) -> Any:
    """Meter one request of a session."""
    try:
        request = _AiohttpRequest(session, method, url, options)
    except Exception as exc:
        # a wrong URL is the caller's error, and aiohttp says so
        if type(exc).__module__.partition(".")[0] != "aiohttp":
            meter.swallow("aiohttp", exc)
        return await onward(**options)
    if request.passes():
        return await onward(**options)
    # with the session's own check, an answer of 400 or more would be an exception without its answer
    check = options.get("raise_for_status")
    check = session._raise_for_status if check is None else check  # noqa: SLF001
    if check:
        options = {**options, "raise_for_status": False}

    async def sent(_: Any) -> AiohttpAnswer:
        return AiohttpAnswer(await onward(**options), request.method)

    made = (await sending.asend(meter, backend, request, followed, sent)).made
    if callable(check):
        await check(made)
    elif check:
        made.raise_for_status()
    return made


class _AiohttpRequest(AdaptedRequest):
    """A request of a session, before it is sent."""

    def __init__(self, session: Any, method: str, url: Any, options: Mapping[str, Any]) -> None:
        whole = session._build_url(url)  # noqa: SLF001
        self.whole = whole.extend_query(options["params"]) if options.get("params") else whole
        headers = lower([*session.headers.items(), *dict(options.get("headers") or {}).items()])
        super().__init__(method.upper(), address_of(str(self.whole)), headers)
        self._session = session
        self._options = options

    def body(self) -> bytes:
        options, session = self._options, self._session
        if options.get("json") is not None:
            return body_of((getattr(session, "_json_serialize_bytes", None) or session.json_serialize)(options["json"]))
        data = options.get("data")
        if parts := list(_parts(data)):
            return written(parts)
        # a payload of bytes holds them
        return body_of(getattr(data, "_value", data))

    def Response(  # noqa: N802 - as of httpx
        self, status: int, *, headers: Mapping[str, str], json: Any, request: _AiohttpRequest
    ) -> AiohttpAnswer:
        """Make an answer that no server has sent."""
        made = _made(self._session, request, status, headers, json)
        return AiohttpAnswer(made, self.method)


def _parts(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of a form that aiohttp makes when it sends it."""
    if isinstance(data, Mapping):
        yield from data.items()
    elif isinstance(fields := getattr(data, "_fields", None), list):
        for options, _, value in fields:
            yield options["name"], None if "filename" in options else value


def _made(session: Any, request: _AiohttpRequest, status: int, headers: Mapping[str, str], body: Any) -> Any:
    import asyncio

    from aiohttp import ClientResponse, RequestInfo, StreamReader
    from multidict import CIMultiDict, CIMultiDictProxy

    loop = asyncio.get_running_loop()
    sent = CIMultiDictProxy(CIMultiDict(request.headers))
    options = {
        "writer": None,
        "continue100": None,
        "timer": None,
        "request_info": RequestInfo(request.whole, request.method, sent, request.whole),
        "traces": [],
        "loop": loop,
        "session": session,
        # since aiohttp 3.14
        "stream_writer": SimpleNamespace(output_size=0),
    }
    known = signature(ClientResponse.__init__).parameters
    made: Any = ClientResponse(
        request.method, request.whole, **{name: value for name, value in options.items() if name in known}
    )
    named = {"content-type": "application/json", **headers}
    made.status, made.reason = status, HTTPStatus(status).phrase
    made._headers = CIMultiDictProxy(CIMultiDict(named))  # noqa: SLF001
    made._raw_headers = tuple((name.encode(), value.encode()) for name, value in named.items())  # noqa: SLF001
    no_connection: Any = SimpleNamespace(
        _reading_paused=False, connected=False, pause_reading=_nothing, resume_reading=_nothing
    )
    made.content = StreamReader(no_connection, 2**16, loop=loop)
    made.content.feed_data(json.dumps(body).encode())
    made.content.feed_eof()
    return made


def _nothing(*_: Any, **__: Any) -> None:
    """Do what a connection without a network does."""


def is_session(thing: object) -> bool:
    """Return whether this is a session of aiohttp, or an SDK's object that makes some."""
    return isinstance(thing, getattr(sys.modules.get("aiohttp"), "ClientSession", ())) or _maker(thing) is not None


def _maker(thing: object) -> str | None:
    kind = type(thing)
    if kind.__module__ == "aiobotocore.httpsession":
        return "_get_session" if hasattr(kind, "_get_session") else None
    uses: Any = getattr(kind, "_use_aiohttp", None)
    return "_get_aiohttp_session" if uses and hasattr(kind, "_get_aiohttp_session") and uses(thing) else None


def wrap(client: Any, meter: Engine, backend: str | None) -> None:
    """Meter a session in place, or all sessions that an SDK's object makes."""
    name = _maker(client)
    if name is None:
        _wrap_session(client, meter, backend)
        return
    make = getattr(client, name)
    if hasattr(make, "__wrapped__"):
        return

    @wraps(make)
    async def get_session(*args: Any) -> Any:
        session = await make(*args)
        _wrap_session(session, meter, backend)
        return session

    setattr(client, name, get_session)


def _wrap_session(session: Any, meter: Engine, backend: str | None) -> None:
    if _is_wrapped(session):
        return

    @wraps(type(session)._request)  # noqa: SLF001
    async def original(self: Any, *args: Any, **options: Any) -> Any:
        # looked up at each request: a mock may have replaced it
        return await type(self)._request(self, *args, **options)  # noqa: SLF001

    # aiohttp in debug mode warns of an attribute that is set
    vars(session)["_request"] = _inner(original, lambda _: (meter, backend)).__get__(session)


def _is_wrapped(session: Any) -> bool:
    return "_request" in vars(session)
