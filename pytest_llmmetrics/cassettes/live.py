"""Asks an endpoint again for what a cassette has answered: `--llm-record=verify`, for urllib3 and aiohttp.

It uses the standard library, below every door: the call is metered once, when it is replayed.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import NamedTuple

from llmmetrics.testing import Request

_OWN = frozenset({"connection", "content-length", "transfer-encoding", "accept-encoding", "expect"})
_SECONDS = 60.0


class LiveAnswer(NamedTuple):
    """An endpoint's whole answer, without its encoding."""

    status_code: int
    content_type: str
    content: bytes


def ask(request: Request) -> LiveAnswer:
    """Send a request. Raises `OSError` if there is no answer."""
    kind = HTTPSConnection if request.scheme == "https" else HTTPConnection
    connection = kind(request.host, timeout=_SECONDS)
    headers = {name: value for name, value in request.headers.items() if name not in _OWN}
    target = f"{request.path}?{request.query}" if request.query else request.path
    try:
        connection.request(request.method, target, request.body, {**headers, "accept-encoding": "identity"})
        answer = connection.getresponse()
        return LiveAnswer(answer.status, answer.getheader("content-type", ""), answer.read())
    except HTTPException as exc:
        raise ConnectionError(str(exc)) from exc
    finally:
        connection.close()
