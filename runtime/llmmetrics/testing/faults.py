"""The ways in which a provider fails, as a table, and each provider's own words for them.

The words are from the providers' public pages:
https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://ai.google.dev/gemini-api/docs/troubleshooting, https://docs.cohere.com/reference/errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from llmmetrics.testing.messages import Fault

RATE_LIMIT = Fault("rate_limit", "failure", "rate_limit", 429, retry_after="1")
RATE_LIMIT_BARE = Fault("rate_limit_bare", "failure", "rate_limit", 429)
INSUFFICIENT_QUOTA = Fault("insufficient_quota", "failure", "rate_limit", 429)
BAD_KEY = Fault("bad_key", "failure", "auth", 401)
FORBIDDEN = Fault("forbidden", "failure", "auth", 403)
NOT_FOUND = Fault("not_found", "failure", "api_error", 404)
CONTEXT_TOO_LONG = Fault("context_too_long", "failure", "api_error", 400)
CONTENT_FILTERED = Fault("content_filtered", "failure", "api_error", 400)
SERVER_ERROR = Fault("server_error", "failure", "api_error", 500)
BAD_GATEWAY = Fault("bad_gateway", "failure", "api_error", 502)
UNAVAILABLE = Fault("unavailable", "failure", "api_error", 503)
OVERLOADED = Fault("overloaded", "failure", "api_error", 529)
GATEWAY_TIMEOUT = Fault("gateway_timeout", "timeout", "timeout", 504)
CONNECT_TIMEOUT = Fault("connect_timeout", "timeout", "timeout", raises="ConnectTimeout", says="timed out")
READ_TIMEOUT = Fault("read_timeout", "timeout", "timeout", delay=30.0, raises="ReadTimeout", says="timed out")
SLOW_FIRST_BYTE = READ_TIMEOUT
"""What a read timeout is on the wire."""
WRITE_TIMEOUT = Fault("write_timeout", "timeout", "timeout", raises="WriteTimeout", says="timed out")
POOL_TIMEOUT = Fault("pool_timeout", "timeout", "timeout", raises="PoolTimeout")
REFUSED = Fault("refused", "failure", "network", raises="ConnectError", says="[Errno 111] Connection refused")
DNS = Fault("dns", "failure", "network", raises="ConnectError", says="[Errno -2] Name or service not known")
TLS = Fault(
    *("tls", "failure", "network"),
    raises="ConnectError",
    says="[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired",
)
RESET = Fault(
    "reset", "failure", "network", reset=True, raises="ReadError", says="[Errno 104] Connection reset by peer"
)
CUT = Fault("cut", "failure", "network", cut_after=2)
STALL = Fault("stall", "timeout", "timeout", stall_after=2)
MALFORMED = Fault("malformed", "failure", "unknown", malformed=True)
TRUNCATED_JSON = MALFORMED
HTML = Fault(
    *("html", "failure", "unknown"),
    instead=("text/html", b"<!doctype html><html><body><h1>Sign in to the network</h1></body></html>"),
)
EMPTY = Fault("empty", "failure", "unknown", instead=("application/json", b""))
ERROR_IN_200 = Fault("error_in_200", "failure", "api_error", in_band=True)
USAGE_MISSING = Fault("usage_missing", "success", None, changes=(("usage", False),))
USAGE_NEGATIVE = Fault("usage_negative", "success", None, changes=(("prompt_tokens", -1),))

FAULTS: Mapping[str, Fault] = {
    each.name: each
    for each in (
        *(RATE_LIMIT, RATE_LIMIT_BARE, INSUFFICIENT_QUOTA, BAD_KEY, FORBIDDEN, NOT_FOUND, CONTEXT_TOO_LONG),
        *(CONTENT_FILTERED, SERVER_ERROR, BAD_GATEWAY, UNAVAILABLE, OVERLOADED, GATEWAY_TIMEOUT, CONNECT_TIMEOUT),
        *(READ_TIMEOUT, WRITE_TIMEOUT, POOL_TIMEOUT, REFUSED, DNS, TLS, RESET, CUT, STALL, MALFORMED, HTML, EMPTY),
        *(ERROR_IN_200, USAGE_MISSING, USAGE_NEGATIVE),
    )
}
"""Every fault by its name. `dataclasses.replace` varies one."""


class _Words(NamedTuple):
    """How one provider words its errors."""

    codes: Mapping[str, str]
    body: Callable[[int, str, str], Any]
    """HTTP status, code and message to a body."""
    http: Mapping[str, int] = {}
    """Where its HTTP status is another than most providers'."""
    cannot: frozenset[str] = frozenset()
    """The faults that it has no words for: what others refuse is for it no error, or does not happen."""


_OPENAI_TYPES = {
    "rate_limit_exceeded": "requests",
    "insufficient_quota": "insufficient_quota",
    "unsupported_country_region_territory": "request_forbidden",
    "server_error": "server_error",
}


def _openai(_: int, code: str, message: str) -> Any:
    kind = _OPENAI_TYPES.get(code, "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic(_: int, code: str, message: str) -> Any:
    return {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_simulated"}


def _gemini(http: int, code: str, message: str) -> Any:
    status, _, reason = code.partition("/")
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    return {"error": {"code": http, "message": message, "status": status, "details": [info] if reason else []}}


WORDS: Mapping[str, _Words] = {
    "openai": _Words(
        {
            "rate_limit": "rate_limit_exceeded",
            "rate_limit_bare": "rate_limit_exceeded",
            "insufficient_quota": "insufficient_quota",
            "bad_key": "invalid_api_key",
            "forbidden": "unsupported_country_region_territory",
            "not_found": "model_not_found",
            "context_too_long": "context_length_exceeded",
            "content_filtered": "content_filter",
        },
        _openai,
    ),
    "anthropic": _Words(
        {
            "rate_limit": "rate_limit_error",
            "rate_limit_bare": "rate_limit_error",
            "insufficient_quota": "billing_error",
            "bad_key": "authentication_error",
            "forbidden": "permission_error",
            "not_found": "not_found_error",
            "context_too_long": "invalid_request_error",
            "content_filtered": "invalid_request_error",
            "gateway_timeout": "timeout_error",
            "overloaded": "overloaded_error",
        },
        _anthropic,
        {"insufficient_quota": 402},
    ),
    "gemini": _Words(
        {
            "rate_limit": "RESOURCE_EXHAUSTED",
            "rate_limit_bare": "RESOURCE_EXHAUSTED",
            "insufficient_quota": "RESOURCE_EXHAUSTED",
            "bad_key": "INVALID_ARGUMENT/API_KEY_INVALID",
            "forbidden": "PERMISSION_DENIED",
            "not_found": "NOT_FOUND",
            "context_too_long": "INVALID_ARGUMENT",
            "gateway_timeout": "DEADLINE_EXCEEDED",
            "unavailable": "UNAVAILABLE",
            "overloaded": "UNAVAILABLE",
        },
        _gemini,
        {"bad_key": 400, "overloaded": 503},
        # what it blocks is a 200 without candidates
        frozenset(["content_filtered"]),
    ),
    "cohere": _Words(
        {}, lambda _http, _code, message: {"id": "simulated", "message": message}, {"content_filtered": 498}
    ),
    "ollama": _Words(
        {}, lambda _http, _code, message: {"error": message}, cannot=frozenset(["content_filtered", "overloaded"])
    ),
}
"""Each wire family's words; a fault without a code of its own is the provider's plain error."""

_PLAIN = {"openai": "server_error", "anthropic": "api_error", "gemini": "INTERNAL"}


def error_body(vendor: str, fault: Fault) -> tuple[int, Any]:
    """The HTTP status and the body in which this provider reports this fault.

    An error inside a 200 is worded as the 500 that it would have been.
    """
    words = WORDS[vendor]
    http = words.http.get(fault.name, 500 if fault.in_band else fault.http)
    code = words.codes.get(fault.name, _PLAIN.get(vendor, ""))
    return http, words.body(http, code, f"Simulated fault: {fault.name.replace('_', ' ')}.")


class CannotExpressError(AssertionError):
    """A fault that a provider's format, or a server, has no way to show: an error of the test, not of the code."""


def require_expressible(vendor: str, fault: Fault) -> None:
    """Raises `CannotExpressError` for a fault that this wire family has no words for."""
    if fault.name in WORDS[vendor].cannot:
        raise CannotExpressError(
            f"the fault {fault.name!r} does not exist in {vendor}'s format: leave it out for this provider, "
            f'as in @pytest.mark.llm_faults(exclude=["{fault.name}"])'
        )
