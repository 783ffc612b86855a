"""Failures, streams and bodies of boto3's Bedrock calls."""

from __future__ import annotations

import gc
import io
import socket
from contextlib import suppress

import pytest
from botocore.exceptions import BotoCoreError, EventStreamError
from support.bedrock import ASKS, STREAMS, ask, body, drain, once

import llmmetrics
from llmmetrics import Meter
from llmmetrics.testing import Answer, faults, reply

# what botocore leaves open after a failure is its own business
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

ANSWER = Answer("one two three four five six seven eight", prompt_tokens=100, completion_tokens=50)

each_operation = pytest.mark.parametrize("operation", ASKS)

each_stream = pytest.mark.parametrize("operation", STREAMS)


@pytest.fixture
def meter(registry, provider):
    provider.default = ANSWER
    own = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    backends = [
        {"Name": "bedrock", "Type": "GenericOpenAI", "BaseUrl": provider.url, **own},
        {"Name": "other", "Type": "GenericOpenAI", "BaseUrl": "http://other.example", **own},
    ]
    return Meter.from_settings({"Backends": backends}, registry=registry)


@pytest.fixture
def instrumented(meter):
    llmmetrics.instrument(meter)
    yield meter
    llmmetrics.uninstrument()


@pytest.fixture
def bedrock(instrumented, provider):
    """A client whose first failure is final."""
    made = once(provider.url)
    yield made
    made.close()


# how a call ends

FAILURES = {
    "rate_limit": (faults.RATE_LIMIT_BARE, "failure", "rate_limit"),
    "auth": (faults.FORBIDDEN, "failure", "auth"),
    "server": (faults.SERVER_ERROR, "failure", "api_error"),
    "model_timeout": (faults.GATEWAY_TIMEOUT, "timeout", "timeout"),
    "reset": (faults.RESET, "failure", "network"),
    "silence": (faults.READ_TIMEOUT, "timeout", "timeout"),
    "cut": (faults.CUT, "failure", "network"),
    "stall": (faults.STALL, "timeout", "timeout"),
    "error_in_200": (faults.ERROR_IN_200, "failure", "api_error"),
    "malformed": (faults.MALFORMED, "failure", "unknown"),
}


@pytest.mark.parametrize("failure", FAILURES)
@each_operation
def test_a_failure(operation, failure, instrumented, provider, counted, count):
    fault, status, error = FAILURES[failure]
    provider.script(fault)
    slow = failure in ("silence", "stall")
    made = once(provider.url, read_timeout=0.2 if slow else 5)
    # what botocore makes of it is its own business
    with suppress(Exception):
        drain(ask(made, operation))
    gc.collect()
    assert counted() == {status: 1}
    assert count("llm_errors_total", error_type=error) == count("llm_errors_total") == 1


@each_operation
def test_a_port_that_nobody_listens_on(operation, instrumented, counted, count):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BotoCoreError):
            ask(once(url), operation)
    assert counted() == {"failure": 1}
    assert count("llm_errors_total", error_type="network") == 1
    # nothing was sent
    assert count("llm_tokens_total") == 0


@each_stream
def test_a_stream_closed_early(operation, bedrock, counted, count):
    stream = body(ask(bedrock, operation))
    assert next(iter(stream))
    stream.close()
    assert counted() == {"cancelled": 1}
    assert count("llm_errors_total") == 0
    assert count("llmmetrics_calls_without_usage_total", reason="cancelled") == 1


@each_stream
def test_a_stream_that_nobody_holds(operation, bedrock, counted):
    for _ in body(ask(bedrock, operation)):
        break
    gc.collect()
    assert counted() == {"cancelled": 1}


def test_a_stream_closed_after_its_last_event(bedrock, counted, count):
    stream = ask(bedrock, "converse_stream")["stream"]
    assert any("metadata" in event for event in stream)
    stream.close()
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="completion") == 50


def test_an_error_in_a_stream_reaches_the_caller(bedrock, provider, counted):
    provider.script(faults.ERROR_IN_200)
    with pytest.raises(EventStreamError):
        list(ask(bedrock, "converse_stream")["stream"])
    gc.collect()
    assert counted() == {"failure": 1}


def test_ctrl_c(bedrock, counted, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask(bedrock, "converse")
    assert counted() == {"cancelled": 1}


# a body of its own, read as one reads a file

READS = {
    "read": lambda body: body.read(),
    "pieces": lambda body: b"".join(body.iter_chunks(7)),
    "lines": lambda body: b"".join(body.iter_lines()),
    "readlines": lambda body: b"".join(body.readlines()),
    "readlines(None)": lambda body: b"".join(body.__enter__().readlines(None)),
    "for": b"".join,
    "into": lambda body: io.BufferedReader(body, 16).read(),
    "exactly": lambda body: body.read(int(body._content_length)),
    "with": lambda body: body.__enter__().read(),
    "readline": lambda body: b"".join(iter(body.__enter__().readline, b"")),
    "read1": lambda body: b"".join(iter(lambda: body.__enter__().read1(5), b"")),
    "raw": lambda body: b"".join(body.__enter__()),
    "next": lambda body: b"".join(iter(lambda: next(body.__enter__(), b""), b"")),
    "text": lambda body: io.TextIOWrapper(body).read().encode(),
}


@pytest.mark.parametrize("how", READS)
def test_every_way_to_read_a_body(how, bedrock, provider, counted, count):
    answer = ask(bedrock, "invoke_model")
    sent = b"".join(reply(provider.requests[0], ANSWER).chunks)
    # the call is over when its last byte is read, not when the body is closed
    assert READS[how](answer["body"]) == sent
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total") == 150


def test_a_body_that_is_closed_unread(bedrock, counted):
    ask(bedrock, "invoke_model")["body"].close()
    assert counted() == {"cancelled": 1}


def test_what_an_answer_s_body_can_do_besides(bedrock, counted):
    answer = ask(bedrock, "invoke_model")["body"]
    answer.set_socket_timeout(3)
    assert answer.readable()
    assert answer.tell() == 0
    answer.read()
    assert answer.tell() > 0
