"""Meters botocore, and so boto3: every attempt of its Bedrock clients.

It cuts in where an endpoint passes a signed request to its HTTP session: below the retries, so that each attempt is
seen with its exception, and above urllib3. If botocore's Stubber or a handler of `before-send` answers, nothing is
sent and nothing is counted. This module imports botocore only after a client of it exists.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from io import BytesIO
from typing import Any

from llmmetrics.core.call import Call
from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import send as sending
from llmmetrics.instrumentation.adapter import AdaptedRequest, address_of, body_of, lower
from llmmetrics.instrumentation.botocore_body import Around, Followed

MODULE = "botocore.endpoint"
"""The class through which every client's requests go."""

SERVICE = "bedrock-runtime"
"""The AWS service that makes LLM calls, by its name and by the prefix of its endpoints."""


def service_of(thing: object) -> str | None:
    """Return the service of a botocore client; None for any other object."""
    kind = getattr(sys.modules.get("botocore.client"), "BaseClient", None)
    if kind is None or not isinstance(thing, kind):
        return None
    # look into __dict__ only: a client turns an unknown attribute into an event
    return str(vars(thing)["meta"].service_model.service_name)


def is_metered(thing: object) -> bool:
    """Return whether this is a client that makes LLM calls through botocore.

    aiobotocore's clients derive from botocore's, and send through aiohttp.
    """
    if service_of(thing) != SERVICE:
        return False
    return not iscoroutinefunction(getattr(vars(thing).get("_endpoint"), "_send", None))


def takes(endpoint: Any) -> bool:
    """Return whether a botocore endpoint sends LLM calls that its session does not meter yet."""
    return getattr(endpoint, "_endpoint_prefix", None) == SERVICE and not isinstance(endpoint.http_session, Session)


class Session(Around):
    """Wraps a client's HTTP session, and meters its requests."""

    def __init__(self, meter: Engine, inner: Any, backend: str | None) -> None:
        super().__init__(inner)
        self.meter = meter
        self.backend = backend

    def send(self, request: Any) -> Any:
        return send(self.meter, self.backend, request, self._inner.send)


def send(meter: Engine, backend: str | None, request: Any, onward: Callable[[Any], Any]) -> Any:
    """Meter one attempt of botocore; `onward` sends its request."""
    try:
        known = _AwsRequest(request)
    except Exception as exc:
        meter.swallow("botocore", exc)
        return onward(request)
    return sending.send(
        meter, backend, known, _followed, lambda _: _BotocoreAnswer(onward(request), read=not request.stream_output)
    ).made


class _AwsRequest(AdaptedRequest):
    """botocore's request, with the attributes that `send` needs."""

    def __init__(self, made: Any) -> None:
        super().__init__(made.method, address_of(made.url), lower(made.headers.items()))
        self.made = made
        # stored on the request itself, so that another door of botocore sees it too
        self.extensions = vars(made)

    def body(self) -> bytes:
        return body_of(self.made.body)

    def Response(self, status: int, *, headers: Mapping[str, str], json: Any, request: _AwsRequest) -> _BotocoreAnswer:  # noqa: N802 - as of httpx
        """Make an answer that no server has sent."""
        return _made(request.made.url, status, headers, json)


class _BotocoreAnswer:
    """botocore's answer, with the attributes that `send` needs."""

    is_closed = False

    def __init__(self, made: Any, *, read: bool) -> None:
        self.made = made
        self.read = read
        """Whether botocore has already read the body."""

    @property
    def status_code(self) -> int:
        return int(self.made.status_code)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.made.headers  # type: ignore[no-any-return]

    @property
    def stream(self) -> _BotocoreAnswer:
        return self

    @stream.setter
    def stream(self, raw: Any) -> None:
        self.made.raw = raw


def _made(url: str, status: int, headers: Mapping[str, str], body: Any) -> _BotocoreAnswer:
    from botocore.awsrequest import AWSResponse
    from urllib3 import HTTPResponse

    raw = HTTPResponse(BytesIO(json.dumps(body).encode()), preload_content=False)
    return _BotocoreAnswer(AWSResponse(url, status, {"content-type": "application/json", **headers}, raw), read=False)


def _followed(answer: _BotocoreAnswer, call: Call) -> Any:
    """Follow the body of an answer to its end: while the caller reads it, or at once if it was already read."""
    made = answer.made
    body = Followed(made.raw, call, made.headers.get("content-length"))
    if not answer.read:
        return body
    body.passed(made.content)
    body.ended()
    return made.raw
