"""Reads requests of HTTP/1.1 and writes replies, as a server does. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from llmmetrics.testing import Reply, Request


class Passed(NamedTuple):
    """The decision to send a request to the network. `see` gets every piece of the answer's bytes."""

    see: Callable[[bytes], object]


class Onlooker(Protocol):
    """Sees how a reply is given, and may hold it back."""

    def sends(self, part: str) -> bool:
        """See that the `headers` or the `body` come next; return whether they ever arrive."""

    def waits(self, seconds: float | None) -> None:
        """Spend the client's own timeout, in blocking code; None: it has none."""

    async def awaits(self, seconds: float | None) -> None:
        """Spend the client's own timeout, in async code."""

    def closed(self, *, early: bool = False) -> None:
        """See that the client has closed the answer, or read it to its end; `early`: while nothing came."""


class Watched(NamedTuple):
    """A reply with its onlooker."""

    reply: Reply
    onlooker: Onlooker


class Blocking(NamedTuple):
    """A reply that takes as long as an endpoint does: async code makes it in a thread."""

    make: Callable[[], Reply]


class _NoOnlooker:
    def sends(self, _: str) -> bool:
        return True

    def waits(self, _: float | None) -> None:
        """Do nothing: a timeout comes at once."""

    async def awaits(self, _: float | None) -> None:
        """Do nothing."""

    def closed(self, *, early: bool = False) -> None:
        """Do nothing."""


_NONE = _NoOnlooker()


def unwatched(answer: Reply | Watched) -> tuple[Reply, Onlooker]:
    """Return a reply and its onlooker."""
    return (answer.reply, answer.onlooker) if isinstance(answer, Watched) else (answer, _NONE)


Answer = Callable[[Request], Reply | Watched | Passed | Blocking]
"""Answers a request, or lets it pass. An exception reaches the caller of the library."""

SOCKET_OF_AIOHTTP = (
    "a WebSocket of aiohttp has no stand-in: open it with `websockets`, or to a server of the test's own on this "
    "machine"
)


def is_handshake(request: Request) -> bool:
    """Tell whether a request opens a WebSocket, as those of aiohttp do."""
    return request.headers.get("upgrade", "").lower() == "websocket"


WHILE_READING = ("ReadTimeout", "WriteTimeout")
"""The timeouts of a request whose connection is open."""

_BLANK = b"\r\n\r\n"

Takes = Callable[[str, int | None], bool]
"""Tells whether the connections to this host and port are answered."""


def request_of(raw: bytes | bytearray, scheme: str, host: str) -> Request | None:
    """Read a request; None if it is not complete. It is cheap to ask this after each write."""
    end = raw.find(_BLANK)
    if end < 0:
        return None
    first, headers = _head_of(bytes(raw[:end]))
    begin = end + len(_BLANK)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(raw, begin) if raw.endswith(_BLANK) else None
    else:
        body = bytes(raw[begin:]) if len(raw) - begin >= int(headers.get("content-length", 0)) else None
    if body is None:
        return None
    method, target, _ = first.split(" ", 2)
    if not target.startswith("/"):
        # the form for a proxy: http://host/path
        scheme, _, rest_of = target.partition("://")
        target = "/" + rest_of.partition("/")[2]
    path, _, query = target.partition("?")
    return Request(method, path, query, headers, body, headers.get("host", host), scheme)


def expects(raw: bytes | bytearray) -> bool:
    """Tell whether a request waits for `100 Continue` before it sends its body."""
    end = raw.find(_BLANK)
    if end < 0 or end + len(_BLANK) < len(raw) or request_of(raw, "", "") is not None:
        return False
    return _head_of(bytes(raw[:end]))[1].get("expect", "").lower() == "100-continue"


def _head_of(head: bytes) -> tuple[str, dict[str, str]]:
    first, *lines = head.decode("latin1").split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _unchunked(raw: bytes | bytearray, begin: int) -> bytes | None:
    parts: list[bytes] = []
    while (end := raw.find(b"\r\n", begin)) >= 0:
        length = int(raw[begin:end].partition(b";")[0], 16)
        if length == 0:
            return b"".join(parts)
        begin = end + 2
        if len(raw) < begin + length + 2:
            return None
        parts.append(bytes(raw[begin : begin + length]))
        begin += length + 2
    return None


def pieces_of(reply: Reply) -> Iterator[bytes]:
    """Yield the reply's bytes up to the point where the fault ends it."""
    yield _head(reply)
    for chunk in reply.passing:
        yield b"%x\r\n%b\r\n" % (len(chunk), chunk) if reply.stream else chunk
    if reply.stream and reply.cut_after is None and reply.stall_after is None:
        yield b"0\r\n\r\n"


def _head(reply: Reply) -> bytes:
    frame = "transfer-encoding: chunked" if reply.stream else f"content-length: {sum(map(len, reply.chunks))}"
    lines = [f"HTTP/1.1 {reply.status} Simulated", *(f"{name}: {value}" for name, value in reply.headers)]
    return "\r\n".join([*lines, frame, "connection: close", "", ""]).encode("latin1")


def is_dns(reply: Reply) -> bool:
    """Tell whether the reply is a name that does not resolve."""
    return "Name or service" in reply.says


def is_tls(reply: Reply) -> bool:
    """Tell whether the reply is a certificate that is not accepted."""
    return reply.raises == "ConnectError" and "CERTIFICATE" in reply.says.upper()
