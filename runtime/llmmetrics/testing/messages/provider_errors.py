"""Each provider's error texts and codes.

The texts are from the providers' public pages:
https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors,
https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors,
https://docs.cohere.com/reference/errors, https://docs.voyageai.com/docs/error-codes,
https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html with
https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html, https://docs.x.ai/docs/key-information/debugging, https://cloud.ibm.com/apidocs/watsonx-ai#error-handling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from llmmetrics.testing.messages.model import Fault

Headers = tuple[tuple[str, str], ...]


class Refusal(NamedTuple):
    """A fault as one provider reports it."""

    http: int
    code: str
    message: str
    body: Any
    headers: Headers


class Words(NamedTuple):
    """One provider's form of errors."""

    codes: Mapping[str, str]
    body: Callable[[int, str, str], Any]
    """Makes a body from HTTP status, code and message."""
    http: Mapping[str, int] = {}
    """HTTP statuses that differ from most providers'."""
    cannot: frozenset[str] = frozenset()
    """Faults that this provider cannot express."""
    plain: str = ""
    """The code of other faults."""
    headers: Callable[[str], Headers] = lambda _: ()
    """Makes the headers of a code."""


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


def _google(http: int, code: str, message: str) -> Any:
    status, _, reason = code.partition("/")
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    return {"error": {"code": http, "message": message, "status": status, "details": [info] if reason else []}}


def _xai(_http: int, code: str, message: str) -> Any:
    # a bad key is a bad argument: only the message differs
    kind, _, said = code.partition("/")
    return {"code": kind, "error": f"{said}: {message}" if said else message}


def _watsonx(http: int, code: str, message: str) -> Any:
    return {"errors": [{"code": code, "message": message}], "trace": "simulated", "status_code": http}


def _exception(code: str) -> Headers:
    return (("x-amzn-errortype", f"{code}:http://internal.amazon.com/coral/com.amazon.bedrock/"),)


_GOOGLE = {
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
}
# Google and Bedrock report blocked content in a 200
_BLOCKS = frozenset(["content_filtered"])

WORDS: Mapping[str, Words] = {
    "openai": Words(
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
        plain="server_error",
    ),
    "anthropic": Words(
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
        plain="api_error",
    ),
    "gemini": Words(_GOOGLE, _google, {"bad_key": 400, "overloaded": 503}, _BLOCKS, "INTERNAL"),
    "vertex": Words(
        {**_GOOGLE, "bad_key": "UNAUTHENTICATED/CREDENTIALS_MISSING"},
        _google,
        {"overloaded": 503},
        _BLOCKS,
        "INTERNAL",
    ),
    "bedrock": Words(
        {
            # https://docs.aws.amazon.com/bedrock/latest/userguide/quotas.html: a day's tokens are a rate too
            **dict.fromkeys(("rate_limit", "rate_limit_bare", "insufficient_quota"), "ThrottlingException"),
            "bad_key": "UnrecognizedClientException",
            "forbidden": "AccessDeniedException",
            "not_found": "ResourceNotFoundException",
            "context_too_long": "ValidationException",
            **dict.fromkeys(("unavailable", "overloaded"), "ServiceUnavailableException"),
            "gateway_timeout": "ModelTimeoutException",
        },
        lambda _http, _code, message: {"message": message},
        {"bad_key": 403, "overloaded": 503, "gateway_timeout": 408},
        _BLOCKS,
        "InternalServerException",
        _exception,
    ),
    "cohere": Words(
        {}, lambda _http, _code, message: {"id": "simulated", "message": message}, {"content_filtered": 498}
    ),
    "voyage": Words({}, lambda _http, _code, message: {"detail": message}, cannot=_BLOCKS | {"overloaded"}),
    "xai": Words(
        {
            **dict.fromkeys(
                ("rate_limit", "rate_limit_bare", "insufficient_quota"), "Some resource has been exhausted"
            ),
            "bad_key": "Client specified an invalid argument/Incorrect API key provided",
            "forbidden": "The caller does not have permission to execute the specified operation",
            "not_found": "Some requested entity was not found",
            "context_too_long": "Client specified an invalid argument",
        },
        _xai,
        {"bad_key": 400, "overloaded": 503},
        _BLOCKS,
        "The service is currently unavailable",
    ),
    "watsonx": Words(
        {
            "rate_limit": "rate_limit_reached_requests",
            "rate_limit_bare": "rate_limit_reached_requests",
            "insufficient_quota": "token_quota_reached",
            "bad_key": "authentication_token_not_valid",
            "forbidden": "authorization_rejected",
            "not_found": "model_not_supported",
            "context_too_long": "invalid_input_argument",
        },
        _watsonx,
        {"overloaded": 503},
        _BLOCKS,
        "downstream_request_failed",
    ),
    "ollama": Words(
        {}, lambda _http, _code, message: {"error": message}, cannot=frozenset(["content_filtered", "overloaded"])
    ),
}
"""Each wire family's form of errors; a fault without its own code is the provider's general error."""


def refusal(vendor: str, fault: Fault) -> Refusal:
    """Make a provider's report of a fault. An error inside a 200 has the text of a 500."""
    words = WORDS[vendor]
    http = words.http.get(fault.name, 500 if fault.in_band else fault.http)
    code = words.codes.get(fault.name, words.plain)
    message = f"Simulated fault: {fault.name.replace('_', ' ')}."
    after = (("retry-after", fault.retry_after),) if fault.retry_after else ()
    return Refusal(http, code, message, words.body(http, code, message), (*words.headers(code), *after))
