"""Middleware that tags the calls of each request of a web application: for ASGI and for WSGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from llmmetrics.core.tags import TagScope
from llmmetrics.errors import ConfigError

Source = str | Callable[[Any], str | None]
"""Where a tag's value is: the name of a request header, or a function of the ASGI scope or the WSGI environment."""

AsgiScope = MutableMapping[str, Any]
AsgiApplication = Callable[[AsgiScope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]
WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def _values(sources: Mapping[str, Source], request: Any, header: Callable[[Any, str], str | None]) -> dict[str, str]:
    """Return the tags of a request. A source without a value gives no tag."""
    found = {key: header(request, it) if isinstance(it, str) else it(request) for key, it in sources.items()}
    return {key: value for key, value in found.items() if value}


def _checked(sources: Mapping[str, Source]) -> Mapping[str, Source]:
    for key, source in sources.items():
        if not (isinstance(source, str) or callable(source)):
            raise ConfigError(f"{key}={source!r:.80}: pass the name of a request header, or a function of the request")
    return sources


class AsgiTags:
    """Tags the calls of each request: `AsgiTags(app, tenant="x-tenant-id", feature=lambda scope: scope["path"])`.

    A source is the name of a header, or a function of the ASGI scope that returns the value, or None for no tag.
    A header is what the client sends: use a function, if clients must not choose whose budget they spend.
    """

    def __init__(self, app: AsgiApplication, /, **sources: Source) -> None:
        self._app = app
        self._sources = _checked(sources)

    async def __call__(self, scope: AsgiScope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with TagScope(_values(self._sources, scope, _asgi_header)):
            await self._app(scope, receive, send)


class WsgiTags:
    """Tags the calls of each request, as `AsgiTags` does; a function gets the WSGI environment."""

    def __init__(self, app: WsgiApplication, /, **sources: Source) -> None:
        self._app = app
        self._sources = _checked(sources)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        tags = TagScope(_values(self._sources, environ, _wsgi_header))
        with tags:
            return _TaggedBody(self._app(environ, start_response), tags)


class _TaggedBody:
    """A WSGI answer whose parts are made under the request's tags."""

    def __init__(self, body: Iterable[bytes], tags: TagScope) -> None:
        self._body = body
        self._tags = tags

    def __iter__(self) -> Iterator[bytes]:
        parts = iter(self._body)
        while True:
            with self._tags.active():
                part = next(parts, None)
            if part is None:
                return
            yield part

    def close(self) -> None:
        if close := getattr(self._body, "close", None):
            with self._tags.active():
                close()


def _asgi_header(scope: AsgiScope, name: str) -> str | None:
    wanted = name.lower().encode("latin1")
    return next((value.decode("latin1") for key, value in scope["headers"] if key.lower() == wanted), None)


def _wsgi_header(environ: Mapping[str, Any], name: str) -> str | None:
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return None if value is None else str(value)
