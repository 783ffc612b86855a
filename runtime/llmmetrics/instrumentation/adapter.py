"""What the doors of other libraries than httpx share: a request in the form that `send` reads, and the claim.

The outermost door meters a request. A door below it passes it on: urllib3 below botocore, aiohttp below httpx.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from llmmetrics import wire
from llmmetrics.instrumentation.send import claimed, read_claims

# the doors of the other libraries come with this module
read_claims()

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Address(NamedTuple):
    """The URL of a request, with the attributes of httpx's URL."""

    scheme: str
    host: str
    port: int | None
    """None for the scheme's own port."""
    raw_path: bytes
    """With the query."""


def address_of(url: str) -> Address:
    """Return the address in the text of a URL. Raises `ValueError` for a port that is no number."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = None if parts.port == _PORTS.get(parts.scheme) else parts.port
    return Address(parts.scheme, parts.hostname or "", port, path.encode())


def body_of(body: Any) -> bytes:
    """Return the bytes of a request's body; nothing of a body that can be read only once."""
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else b""


def lower(headers: Iterable[tuple[Any, Any]]) -> dict[str, str]:
    """Return headers by their names in lower case."""
    return {_text(name).lower(): _text(value) for name, value in headers}


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


class AdaptedRequest:
    """A request of another library, with the attributes that `send` reads."""

    _content: bytes | None = None
    """What httpx's requests have; here, `content` makes the body."""
    injectable = False
    """`InjectStreamUsage` needs a request that can be made again, which only httpx's can."""

    def __init__(self, method: str, url: Address, headers: Mapping[str, str]) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.extensions: dict[str, Any] = {}

    @property
    def content(self) -> bytes:
        return self.body() if _is_call(self.method, self.url.host, self.url.raw_path) else b""

    def body(self) -> bytes:
        """Return the bytes of the body. It is called for LLM calls only: making them may take long."""
        raise NotImplementedError

    def passes(self) -> bool:
        """Return whether a door passes this request on and does not meter it.

        A door above is sending it, which has claimed a URL of the same host and port; or an SDK of AWS sends it to
        another service than an LLM's.
        """
        url, outer = self.url, claimed.get()
        if outer is not None and outer.host.lower() == url.host.lower() and outer.port == url.port:
            return True
        return "amz-sdk-invocation-id" in self.headers and not _is_call(self.method, url.host, url.raw_path)


@lru_cache(maxsize=4096)
def _is_call(method: str, host: str, raw_path: bytes) -> bool:
    return wire.claim(method, host, unquote(raw_path.partition(b"?")[0].decode("latin1")), wire.ANY) is not None
