"""A call's status and error type, by the contract's tables.

By HTTP status and the code in the body first, by exception second, by message text never.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The values of the label `status`."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class ErrorType(StrEnum):
    """The values of the label `error_type`."""

    API_ERROR = "api_error"
    TIMEOUT = "timeout"
    RATE_LIMIT = "rate_limit"
    AUTH = "auth"
    NETWORK = "network"
    UNKNOWN = "unknown"


STATUSES: dict[int, ErrorType] = {
    429: ErrorType.RATE_LIMIT,
    402: ErrorType.RATE_LIMIT,
    401: ErrorType.AUTH,
    403: ErrorType.AUTH,
    408: ErrorType.TIMEOUT,
    504: ErrorType.TIMEOUT,
}
"""HTTP statuses; any other from 400 on is an `api_error`."""

_STATUSES = {str(status): error for status, error in STATUSES.items()}

CODES: dict[str, ErrorType] = {
    "rate_limit_exceeded": ErrorType.RATE_LIMIT,
    "rate_limit_error": ErrorType.RATE_LIMIT,
    "insufficient_quota": ErrorType.RATE_LIMIT,
    "billing_error": ErrorType.RATE_LIMIT,
    "RESOURCE_EXHAUSTED": ErrorType.RATE_LIMIT,
    "ThrottlingException": ErrorType.RATE_LIMIT,
    "invalid_api_key": ErrorType.AUTH,
    "authentication_error": ErrorType.AUTH,
    "permission_error": ErrorType.AUTH,
    "API_KEY_INVALID": ErrorType.AUTH,
    "UNAUTHENTICATED": ErrorType.AUTH,
    "PERMISSION_DENIED": ErrorType.AUTH,
    "DEADLINE_EXCEEDED": ErrorType.TIMEOUT,
    "timeout_error": ErrorType.TIMEOUT,
    # Bedrock, in a stream, which has no status 408
    "ModelTimeoutException": ErrorType.TIMEOUT,
    # https://docs.x.ai/docs/key-information/debugging: a bad key is a 400 with the code of a bad argument
    "Incorrect API key provided": ErrorType.AUTH,
}
"""Codes in an error object; they take precedence over the HTTP status."""

_CODE_FIELDS = ("code", "type", "status", "reason", "error_type", "__type")

_FAMILIES = (
    *("httpx2", "httpx", "httpcore2", "httpcore", "botocore.exceptions", "urllib3.exceptions"),
    *("aiohttp", "websockets.exceptions", "vcr.errors", "cassetter"),
)

EXCEPTIONS: dict[str, ErrorType] = {
    # before its base class: urllib3 derives it from a timeout
    "NewConnectionError": ErrorType.NETWORK,
    "TimeoutException": ErrorType.TIMEOUT,
    "ConnectTimeoutError": ErrorType.TIMEOUT,
    "ReadTimeoutError": ErrorType.TIMEOUT,
    "ServerTimeoutError": ErrorType.TIMEOUT,
    "NetworkError": ErrorType.NETWORK,
    "ProtocolError": ErrorType.NETWORK,
    "ProxyError": ErrorType.NETWORK,
    "SSLError": ErrorType.NETWORK,
    "ConnectionError": ErrorType.NETWORK,
    "ConnectionClosedError": ErrorType.NETWORK,
    "IncompleteReadError": ErrorType.NETWORK,
    "ClientConnectionError": ErrorType.NETWORK,
    "ClientPayloadError": ErrorType.NETWORK,
    "ConnectionClosed": ErrorType.NETWORK,
    "InvalidHandshake": ErrorType.NETWORK,
}
"""The HTTP libraries' classes by name, so that no library is imported. The first match applies."""

_UNSENT = (
    *("ConnectTimeout", "PoolTimeout", "ConnectError", "ProxyError", "UnsupportedProtocol"),
    *("ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError", "SSLError"),
    *("NewConnectionError", "ClientConnectorError", "ConnectionTimeoutError"),
    # recorders of tests, which have no answer for a request
    *("CannotOverwriteExistingCassetteException", "UnhandledHTTPRequestError", "NoMatchError"),
)


def codes(error: Any, depth: int = 3) -> Iterator[str | int]:
    """Yield the codes in an error object of any provider, outermost first."""
    if isinstance(error, list):
        for each in error[:8]:
            yield from codes(each, depth - 1)
    elif isinstance(error, dict):
        for name in _CODE_FIELDS:
            value = error.get(name)
            if isinstance(value, str | int):
                yield value
        if isinstance(words := error.get("error"), str):
            # a string instead of an object: compare its beginning with the known texts
            yield words.partition(".")[0].partition(":")[0]
        if depth:
            for name in ("error", "details"):
                yield from codes(error.get(name), depth - 1)


def error_in(status: int | None, error: Any) -> ErrorType | None:
    """Return the error type of an answer, from its HTTP status and the error object in its body."""
    found = list(codes(error))
    for code in found:
        if isinstance(code, str) and (known := CODES.get(code)):
            return known
    if status is not None and status >= 400:
        return STATUSES.get(status, ErrorType.API_ERROR)
    if not error:
        return None
    # gateways put the provider's HTTP status into an error inside a 200
    statuses = (_STATUSES.get(str(code)) for code in found)
    return next(filter(None, statuses), ErrorType.API_ERROR)


def _is(exception: BaseException, name: str) -> bool:
    """Return whether an exception is of this class in any loaded HTTP library."""
    return any(isinstance(exception, getattr(sys.modules.get(family), name, ())) for family in _FAMILIES)


def _original(exception: BaseException) -> BaseException:
    """Return what aiohttp raised below httpx: httpx-aiohttp calls every lost connection a timeout of connecting."""
    cause = exception.__cause__
    if cause is None or _is_aiohttp(exception) or not _is_aiohttp(cause):
        return exception
    return cause


def _is_aiohttp(exception: BaseException) -> bool:
    return type(exception).__module__.startswith("aiohttp.")


def error_of(exception: BaseException) -> ErrorType:
    """Return the error type of a call that ended with an exception."""
    exception = _original(exception)
    for name, kind in EXCEPTIONS.items():
        if _is(exception, name):
            return kind
    if isinstance(exception, TimeoutError):
        return ErrorType.TIMEOUT
    return ErrorType.NETWORK if isinstance(exception, OSError) else ErrorType.UNKNOWN


def never_sent(exception: BaseException) -> bool:
    """Return whether the request failed before any byte reached the provider."""
    exception = _original(exception)
    return any(_is(exception, name) for name in _UNSENT)


def is_pool_timeout(exception: BaseException | None) -> bool:
    """Return whether the caller's own connection pool was full: not the backend's fault."""
    return exception is not None and _is(exception, "PoolTimeout")


def status_of(error: ErrorType | None) -> Status:
    """Return the status of a failed call that was not cancelled."""
    if error is None:
        return Status.SUCCESS
    return Status.TIMEOUT if error is ErrorType.TIMEOUT else Status.FAILURE
