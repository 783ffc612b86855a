"""The ways in which a provider fails, as a table; how each provider reports them is in `shapes`."""

from __future__ import annotations

from collections.abc import Mapping

from llmmetrics.reading.error_types import STATUSES, ErrorType, status_of
from llmmetrics.testing.messages.model import Fault
from llmmetrics.testing.messages.provider_errors import ProviderErrors


def _http(name: str, status: int, retry_after: str | None = None) -> Fault:
    """Make a fault that is an HTTP status: the contract's table has its error type."""
    error = STATUSES.get(status, ErrorType.API_ERROR)
    return Fault(name, status_of(error).value, error.value, status, retry_after)


RATE_LIMIT = _http("rate_limit", 429, retry_after="1")
RATE_LIMIT_BARE = _http("rate_limit_bare", 429)
INSUFFICIENT_QUOTA = _http("insufficient_quota", 429)
BAD_KEY = _http("bad_key", 401)
FORBIDDEN = _http("forbidden", 403)
NOT_FOUND = _http("not_found", 404)
CONTEXT_TOO_LONG = _http("context_too_long", 400)
CONTENT_FILTERED = _http("content_filtered", 400)
SERVER_ERROR = _http("server_error", 500)
BAD_GATEWAY = _http("bad_gateway", 502)
UNAVAILABLE = _http("unavailable", 503)
OVERLOADED = _http("overloaded", 529)
GATEWAY_TIMEOUT = _http("gateway_timeout", 504)
CONNECT_TIMEOUT = Fault("connect_timeout", "timeout", "timeout", raises="ConnectTimeout", says="timed out")
READ_TIMEOUT = Fault("read_timeout", "timeout", "timeout", delay=30.0, raises="ReadTimeout", says="timed out")
SLOW_FIRST_BYTE = READ_TIMEOUT
"""A read timeout on the wire."""
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


class CannotExpressError(AssertionError):
    """A provider's format, or a server, cannot express this fault: an error of the test, not of the code."""


def require_expressible(errors: ProviderErrors, fault: Fault, *, over_websocket: bool = False) -> None:
    """Check that a provider can report a fault. Raises `CannotExpressError`."""
    if over_websocket and not fault.over_websocket:
        known = (name for name, each in FAULTS.items() if each.over_websocket and name not in errors.cannot)
        raise CannotExpressError(
            f"the fault {fault.name!r} cannot be shown over a WebSocket, whose messages are whole and whose clients "
            f"have no timeout: ask over HTTP, or use one of {', '.join(known)}"
        )
    if fault.name in errors.cannot:
        raise CannotExpressError(
            f"the fault {fault.name!r} does not exist in {errors.name}'s format: exclude it for this provider, "
            f'as in @pytest.mark.llm_faults(exclude=["{fault.name}"])'
        )
