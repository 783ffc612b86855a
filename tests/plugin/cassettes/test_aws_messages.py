"""Event streams of AWS in cassettes: split, scrubbed inside their base64, and joined with valid checksums."""

from __future__ import annotations

import base64
import json

import pytest

from pytest_llmmetrics.cassettes import drift, scrub, streams
from pytest_llmmetrics.cassettes.aws_messages import CONTENT_TYPE, AwsMessage, messages_of
from pytest_llmmetrics.cassettes.secrets import scan

UUID = "123e4567-e89b-42d3-a456-426614174000"
INNER = {"type": "message_start", "note": f"for {UUID}"}
PAYLOADS = [
    json.dumps({"bytes": base64.b64encode(json.dumps(INNER).encode()).decode(), "p": "abcdef"}).encode(),
    json.dumps({"contentBlockIndex": 0, "delta": {"text": "hi"}}).encode(),
]
BODY = b"".join(bytes(AwsMessage(b"\x0b:event-type\x07\x00\x05chunk", each)) for each in PAYLOADS)


def test_messages_are_split_and_joined():
    messages = messages_of(BODY)
    assert [each.payload for each in messages] == PAYLOADS
    assert b"".join(map(bytes, messages)) == BODY
    assert streams.split(CONTENT_TYPE, BODY) == list(map(bytes, messages))


@pytest.mark.parametrize("body", [b'{"a": 1}', BODY[:-1], BODY[:20], BODY[:8] + b"\0\0\0\0" + BODY[12:]])
def test_what_is_no_event_stream_or_is_cut(body):
    assert messages_of(body) is None


def test_what_may_be_a_key_is_scrubbed_inside_the_base64():
    cleaned = scrub.response_body(BODY, CONTENT_TYPE)
    raw = cleaned.encode() if isinstance(cleaned, str) else cleaned
    first, second = messages_of(raw)
    inner = json.loads(base64.b64decode(json.loads(first.payload)["bytes"]))
    assert inner == {**INNER, "note": "for [scrubbed]"}
    assert json.loads(second.payload)["delta"] == {"text": "hi"}


def test_a_key_inside_the_base64_is_found():
    inner = base64.b64encode(json.dumps({"note": "sk-" + "a1B2c3D4" * 4}).encode()).decode()
    body = bytes(AwsMessage(b"", json.dumps({"bytes": inner}).encode()))
    (found, *_) = scan({"body": {"string": body}}, "")
    assert "looks like" in str(found)


def test_drift_is_told_by_the_types_inside():
    now = bytes(AwsMessage(b"", PAYLOADS[1].replace(b'"hi"', b"3")))
    was = bytes(AwsMessage(b"", PAYLOADS[1]))
    assert list(map(str, drift.compare(drift.shape(was), drift.shape(now)))) == ["$.delta.text: was string, is number"]
