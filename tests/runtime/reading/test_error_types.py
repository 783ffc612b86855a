"""Status and error type, row by row of the contract's tables."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import httpx2
import pytest

from llmmetrics.reading.error_types import (
    ErrorType,
    Status,
    error_in,
    error_of,
    is_pool_timeout,
    never_sent,
    status_of,
)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, "rate_limit"),
        (402, "rate_limit"),
        (401, "auth"),
        (403, "auth"),
        (408, "timeout"),
        (504, "timeout"),
        (400, "api_error"),
        (404, "api_error"),
        (500, "api_error"),
        (503, "api_error"),
        (529, "api_error"),
        (200, None),
        (None, None),
    ],
)
def test_http_status(status, expected):
    assert error_in(status, None) == expected


def openai(code):
    return {"error": {"message": "rate_limit_exceeded timeout", "type": "invalid_request_error", "code": code}}


def anthropic(code):
    return {"type": "error", "error": {"type": code, "message": "timeout"}}


def gemini(code):
    return {"error": {"code": 400, "message": "API_KEY_INVALID", "status": code}}


@pytest.mark.parametrize("status", [None, 400, 500])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (openai("rate_limit_exceeded"), "rate_limit"),
        (openai("insufficient_quota"), "rate_limit"),
        (openai("invalid_api_key"), "auth"),
        (openai("model_not_found"), "api_error"),
        (anthropic("rate_limit_error"), "rate_limit"),
        (anthropic("billing_error"), "rate_limit"),
        (anthropic("authentication_error"), "auth"),
        (anthropic("permission_error"), "auth"),
        (anthropic("timeout_error"), "timeout"),
        (anthropic("overloaded_error"), "api_error"),
        (gemini("RESOURCE_EXHAUSTED"), "rate_limit"),
        (gemini("UNAUTHENTICATED"), "auth"),
        (gemini("PERMISSION_DENIED"), "auth"),
        (gemini("DEADLINE_EXCEEDED"), "timeout"),
        (gemini("INVALID_ARGUMENT"), "api_error"),
        ([gemini("RESOURCE_EXHAUSTED")], "rate_limit"),
        ({"__type": "ThrottlingException", "message": "slow down"}, "rate_limit"),
        ({"error": "plain words"}, "api_error"),
        ("plain words", "api_error"),
    ],
)
def test_a_code_in_the_body_wins_over_the_status(body, expected, status):
    assert error_in(status, body) == expected


def test_a_bad_xai_key_is_a_400_whose_code_says_nothing():
    def xai(words):
        return {"code": "invalid-argument", "error": words}

    assert error_in(400, xai("Incorrect API key provided. You can obtain an API key from the console.")) == "auth"
    assert error_in(400, xai("Incorrect API key provided: xa***ey. You can obtain one from the console.")) == "auth"
    assert error_in(400, xai("Your prompt says: Incorrect API key provided.")) == "api_error"
    assert error_in(400, {"error": {"message": "Incorrect API key provided.", "code": None}}) == "api_error"


def test_a_bad_gemini_key_is_a_400():
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    assert error_in(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": details}}) == "auth"


def test_an_http_status_inside_a_200():
    assert error_in(None, {"code": 429, "message": "upstream"}) == "rate_limit"
    assert error_in(None, {"code": 502, "message": "upstream"}) == "api_error"


def test_text_never_decides():
    assert error_in(400, {"error": {"message": "rate_limit_exceeded: invalid_api_key, timeout"}}) == "api_error"


FAMILY_EXCEPTIONS = [
    ("ConnectTimeout", "timeout"),
    ("ReadTimeout", "timeout"),
    ("WriteTimeout", "timeout"),
    ("PoolTimeout", "timeout"),
    ("ConnectError", "network"),
    ("ReadError", "network"),
    ("WriteError", "network"),
    ("CloseError", "network"),
    ("RemoteProtocolError", "network"),
    ("LocalProtocolError", "network"),
    ("ProxyError", "network"),
    ("DecodingError", "unknown"),
]


@pytest.mark.parametrize("family", [httpx, httpx2])
@pytest.mark.parametrize(("name", "expected"), FAMILY_EXCEPTIONS)
def test_exceptions_of_both_families(family, name, expected):
    assert error_of(getattr(family, name)("timeout")) == expected


BOTO_EXCEPTIONS = [
    ("botocore.exceptions", "ConnectTimeoutError", "timeout", True),
    ("botocore.exceptions", "ReadTimeoutError", "timeout", False),
    ("botocore.exceptions", "EndpointConnectionError", "network", True),
    ("botocore.exceptions", "ProxyConnectionError", "network", True),
    ("botocore.exceptions", "SSLError", "network", True),
    ("botocore.exceptions", "ConnectionClosedError", "network", False),
    ("botocore.exceptions", "IncompleteReadError", "network", False),
    ("botocore.exceptions", "HTTPClientError", "unknown", False),
    # what reading a body raises
    ("urllib3.exceptions", "ReadTimeoutError", "timeout", False),
    ("urllib3.exceptions", "ProtocolError", "network", False),
]


@pytest.mark.parametrize(("module", "name", "expected", "unsent"), BOTO_EXCEPTIONS)
def test_exceptions_of_botocore(module, name, expected, unsent):
    kind = getattr(pytest.importorskip(module), name)
    exception = kind.__new__(kind)
    assert error_of(exception) == expected
    assert never_sent(exception) == unsent


@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (TimeoutError(), "timeout"),
        (ConnectionResetError(), "network"),
        (ssl.SSLError(), "network"),
        (ValueError("timeout"), "unknown"),
        (type("ReadTimeout", (Exception,), {})(), "unknown"),
    ],
)
def test_other_exceptions(exception, expected):
    assert error_of(exception) == expected


@pytest.mark.parametrize("family", [httpx, httpx2])
def test_what_was_never_sent(family):
    assert never_sent(family.ConnectError("x"))
    assert never_sent(family.PoolTimeout("x"))
    assert not never_sent(family.ReadTimeout("x"))
    assert not never_sent(asyncio.CancelledError())
    assert is_pool_timeout(family.PoolTimeout("x"))
    assert not is_pool_timeout(family.ConnectTimeout("x"))


def test_status():
    assert status_of(None) is Status.SUCCESS
    assert status_of(ErrorType.TIMEOUT) is Status.TIMEOUT
    assert {status_of(each) for each in ErrorType if each is not ErrorType.TIMEOUT} == {Status.FAILURE}
