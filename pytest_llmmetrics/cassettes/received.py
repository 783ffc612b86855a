"""What a server has sent for one request that is recorded: the bytes, as they came, and the answer that they hold."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any


@dataclass
class Received:
    """The bytes of an answer, with the request that it is for: vcrpy's, which is scrubbed."""

    request: Any
    raw: bytearray = field(default_factory=bytearray)

    @property
    def is_cut(self) -> bool:
        """Whether an answer has begun, and has not come to its end."""
        return bool(self.raw) and self.response is None

    @property
    def response(self) -> dict[str, Any] | None:
        """The answer in vcrpy's form; None if it has not come to its end."""
        held: Any = _Held(bytes(self.raw))
        answer = HTTPResponse(held, method=self.request.method)
        try:
            answer.begin()
            body = answer.read()
        except IncompleteRead as exc:
            # readers of OpenAI's streams stop at this event, before the last bytes of the transfer encoding
            if not exc.partial.rstrip().endswith(b"[DONE]"):
                return None
            body = exc.partial
        except (HTTPException, OSError, ValueError):
            return None
        headers: dict[str, list[str]] = {}
        for name, value in answer.getheaders():
            headers.setdefault(name, []).append(value)
        return {
            "status": {"code": answer.status, "message": answer.reason},
            "headers": headers,
            "body": {"string": body},
        }


class _Held:
    """What `HTTPResponse` needs of a socket."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._raw)
