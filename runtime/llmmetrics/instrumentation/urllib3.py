"""Meters urllib3, and what sends through it: requests, and SDKs that use one of them.

It cuts in where a connection pool makes one attempt: below its retries and redirects, and those of requests, so that
each attempt is seen; above the connection, which vcrpy replaces. What `responses` or requests-mock answers never comes
here: nothing is sent, and nothing is counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache, wraps
from io import BytesIO
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import send as sending
from llmmetrics.instrumentation.adapter import AdaptedRequest, Address, address_of, body_of, lower
from llmmetrics.reading.endings import End

_METHOD = "_make_request"


def patches(module: Any, meter_now: Callable[[], Engine | None]) -> Iterator[tuple[type[Any], str, Any]]:
    """Yield the methods to replace, with the new ones."""

    def choose(pool: Any) -> tuple[Engine | None, str | None]:
        # a pool of a wrapped client meters itself, and may know the backend
        return None if hasattr(pool, "llm_meter") else meter_now(), None

    if _is_known():
        pools = module.HTTPConnectionPool
        yield pools, _METHOD, _metered(getattr(pools, _METHOD), choose)


def _response_class() -> Any:
    from urllib3.response import HTTPResponse

    return HTTPResponse


def _is_open(made: Any) -> bool:
    """Return whether this is urllib3's own answer, which reads from a connection."""
    return hasattr(made, "_raw_read")


def _is_known() -> bool:
    """Return whether this is urllib3 2: version 1 makes its answers elsewhere."""
    return hasattr(_response_class(), "_raw_read")


def _metered(original: Callable[..., Any], chosen: Callable[[Any], tuple[Engine | None, str | None]]) -> Any:
    @wraps(original)
    def _make_request(self: Any, conn: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        meter, backend = chosen(self)
        if meter is None or args:
            return original(self, conn, method, url, *args, **options)
        try:
            request = _PoolRequest(self, method, url, options)
        except Exception as exc:
            meter.swallow("urllib3", exc)
            return original(self, conn, method, url, **options)
        if request.passes():
            return original(self, conn, method, url, **options)
        # an answer that is cut while urllib3 makes it would show nothing of what passed
        open_answer = {**options, "preload_content": False}
        onward = lambda _: _PoolAnswer(original(self, conn, method, url, **open_answer))  # noqa: E731
        made = sending.send(meter, backend, request, _followed, onward).made
        if options.get("preload_content", True) and _is_open(made):
            made._body = made.read(decode_content=options.get("decode_content", True))  # noqa: SLF001
        return made

    return _make_request


class _PoolRequest(AdaptedRequest):
    """One attempt of a pool."""

    def __init__(self, pool: Any, method: str, url: str, options: Mapping[str, Any]) -> None:
        # with a plain proxy, the path is the whole URL, and the pool is the proxy's
        whole = url if "://" in url[:8] else f"{pool.scheme}://{_bracketed(pool.host)}:{pool.port or ''}{url}"
        headers = lower((options.get("headers") or pool.headers or {}).items())
        super().__init__(method, address_of(whole), headers)
        self._pool = pool
        self._options = options

    def body(self) -> bytes:
        return body_of(self._options.get("body"))

    def Response(self, status: int, *, headers: Mapping[str, str], json: Any, request: _PoolRequest) -> _PoolAnswer:  # noqa: N802 - as of httpx
        """Make an answer that no server has sent."""
        del request
        return _PoolAnswer(_made(self._pool, self.url, status, headers, json, self._options))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _made(pool: Any, url: Address, status: int, headers: Mapping[str, str], body: Any, options: Any) -> Any:
    made = _response_class()(
        BytesIO(json.dumps(body).encode()),
        {"content-type": "application/json", **headers},
        status,
        preload_content=False,
        decode_content=options.get("decode_content", True),
        reason="Payment Required",
        request_url=url.raw_path.decode("latin1"),
    )
    made.retries, made._pool, made._connection = options.get("retries"), pool, options.get("response_conn")  # noqa: SLF001
    return made


class _PoolAnswer:
    """urllib3's answer, with the attributes that `send` reads."""

    def __init__(self, made: Any) -> None:
        self.made = made
        self.status_code = int(made.status)
        self.headers = made.headers

    @property
    def is_closed(self) -> bool:
        """Whether all of the body is there, as in a recorder's answer."""
        return not _is_open(self.made)

    @property
    def content(self) -> bytes:
        return bytes(self.made.data)

    @property
    def stream(self) -> Any:
        return self.made

    @stream.setter
    def stream(self, followed: Any) -> None:
        """Ignore the body: the answer itself follows it."""


def _followed(made: Any, call: Call) -> Any:
    kind: Any = type(made)
    made.__class__ = _following(kind)
    made.llm_call = call
    return made


class _Following:
    """An answer that reports what is read of its body: `_raw_read` and `_handle_chunk` are where bytes come in."""

    llm_call: Call
    llm_reading = False
    length_remaining: int | None

    def _raw_read(self, amt: int | None = None, **options: Any) -> bytes:
        try:
            data: bytes = super()._raw_read(amt, **options)  # type: ignore[misc]
        except BaseException as exc:
            self.llm_call.finish(End.RAISED, exc)
            raise
        self._passed(data)
        whole = amt is None and not options.get("read1")
        if whole or (not data and amt != 0) or self.length_remaining == 0:
            self.llm_call.finish(End.EXHAUSTED)
        return data

    def _handle_chunk(self, amt: int | None) -> bytes:
        chunk: bytes = super()._handle_chunk(amt)  # type: ignore[misc]
        self._passed(chunk)
        return chunk

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
        chunks = super().read_chunked(amt, decode_content)  # type: ignore[misc]
        while True:
            # urllib3 closes an answer that is cut before it says so
            self.llm_reading = True
            try:
                chunk = next(chunks)
            except StopIteration:
                break
            except BaseException as exc:
                self.llm_call.finish(End.RAISED, exc)
                raise
            finally:
                self.llm_reading = False
            # closing the iterator does not close the answer: close() or the garbage collector ends the call
            yield chunk
        self.llm_call.finish(End.EXHAUSTED)

    def close(self) -> None:
        if not self.llm_reading:
            self.llm_call.finish(End.CLOSED)
        super().close()  # type: ignore[misc]

    def _passed(self, data: bytes | None) -> None:
        if data:
            call = self.llm_call
            try:
                call.received(data)
            except Exception as exc:
                call.meter.swallow("follow", exc)


@cache
def _following(kind: type[Any]) -> type[Any]:
    return type(f"Metered{kind.__name__}", (_Following, kind), {})


def is_client(thing: object) -> bool:
    """Return whether this is a client that this module can wrap: a session of requests, a manager of pools."""
    return any(
        isinstance(thing, getattr(sys.modules.get(module), name, ()))
        for module, name in (("requests", "Session"), ("urllib3", "PoolManager"))
    )


def wrap(client: Any, meter: Engine, backend: str | None) -> None:
    """Meter a session of requests or a manager of pools, in place."""
    for adapter in getattr(client, "adapters", {}).values():
        _wrap_adapter(adapter, meter, backend)
    if hasattr(client, "pool_classes_by_scheme"):
        _wrap_manager(client, meter, backend)


def _wrap_adapter(adapter: Any, meter: Engine, backend: str | None) -> None:
    # an adapter of another kind, such as one of a mock, has no pools
    if not hasattr(adapter, "poolmanager"):
        return
    _wrap_manager(adapter.poolmanager, meter, backend)
    make = adapter.proxy_manager_for

    @wraps(make)
    def proxy_manager_for(*args: Any, **options: Any) -> Any:
        return _wrap_manager(make(*args, **options), meter, backend)

    if not hasattr(make, "__wrapped__"):
        adapter.proxy_manager_for = proxy_manager_for


def _wrap_manager(manager: Any, meter: Engine, backend: str | None) -> Any:
    kinds = manager.pool_classes_by_scheme
    if not any(hasattr(kind, "llm_meter") for kind in kinds.values()):
        manager.pool_classes_by_scheme = {name: _metered_pool(kind, meter, backend) for name, kind in kinds.items()}
        # the pools that are there have the classes of before
        manager.clear()
    return manager


def _metered_pool(kind: type[Any], meter: Engine, backend: str | None) -> type[Any]:
    made = _metered(getattr(kind, _METHOD), lambda _: (meter, backend))
    return type(kind.__name__, (kind,), {_METHOD: made, "llm_meter": meter})
