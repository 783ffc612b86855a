"""AWS event streams, byte by byte as their specification has them."""

from __future__ import annotations

from struct import pack
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.provider_answers import aws, event

from llmmetrics.wire.framing.body_buffer import keep
from llmmetrics.wire.framing.eventstream import is_damaged, is_eventstream, message, split
from llmmetrics.wire.framing.frames import first_events, is_stream, last_events

EMPTY = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")


def made(headers, payload=b"{}"):
    start = pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = start + pack(">I", crc32(start)) + headers + payload
    return whole + pack(">I", crc32(whole))


def header(name, kind, value):
    return bytes([len(name)]) + name + bytes([kind]) + value


def backward(body):
    return list(last_events(keep(body))[0])


def test_the_smallest_message():
    assert is_eventstream(EMPTY)
    assert is_stream(EMPTY)
    assert split(EMPTY * 2) == ([EMPTY, EMPTY], b"")
    assert message(EMPTY) == ({}, b"")


@pytest.mark.parametrize("start", [b"", b"\0" * 12, EMPTY[:11], b"{}", b"data: {}\n\n", EMPTY[:8] + b"\1\2\3\4"])
def test_what_is_none(start):
    assert not is_eventstream(start)
    assert split(start)[0] == []


def test_strings_are_found_among_headers_of_every_type():
    values = {0: b"", 1: b"", 2: b"x", 3: b"xx", 4: b"x" * 4, 5: b"x" * 8, 6: b"\0\3abc", 8: b"x" * 8, 9: b"x" * 16}
    others = b"".join(header(b"h%d" % kind, kind, value) for kind, value in values.items())
    whole = made(others + header(b":event-type", 7, b"\0\5chunk"), b"payload")
    assert message(whole) == ({":event-type": "chunk"}, b"payload")


@given(headers=st.binary(max_size=60))
def test_headers_that_are_none_raise_nothing(headers):
    assert message(made(headers)).payload == b"{}"
    assert split(made(headers))[0] == [made(headers)]


@given(before=st.binary(max_size=40), count=st.integers(0, 3), cut=st.integers(0, 30))
def test_messages_are_found_behind_anything_and_the_torn_last_is_left(before, count, cut):
    whole = event("metadata", {"n": 1})
    found, torn = split(before + whole * count + whole[:cut])
    assert found == [whole] * count
    if count:
        assert torn == before


def test_a_damaged_message_is_left_out_and_the_next_is_found():
    whole = event("metadata", {"n": 1})
    for at in range(len(whole)):
        broken = bytearray(whole)
        broken[at] ^= 0x41
        assert split(whole + bytes(broken) + whole)[0][:1] == [whole]
        # a length that was damaged hides no later message
        assert split(whole + bytes(broken) + whole)[0][-1] == whole
        assert len(split(whole + bytes(broken) + whole)[0]) == 2
        assert is_damaged(whole + bytes(broken) + whole)


@given(start=st.integers(0, 400), end=st.integers(0, 400))
def test_what_is_kept_of_a_sound_stream_is_not_damaged(start, end):
    sound = b"".join(event("contentBlockDelta", {"delta": {"text": "x" * n}}) for n in range(4))
    assert not is_damaged(sound[start:end])


def test_documents_are_named_after_their_events_last_first():
    body = event("messageStart", {"role": "assistant"}) + event("metadata", {"usage": {}}) + event("odd", [1])
    assert backward(body) == [{"odd": {}}, {"metadata": {"usage": {}}}, {"messageStart": {"role": "assistant"}}]
    assert first_events(keep(body), 1) == [{"messageStart": {"role": "assistant"}}]


@pytest.mark.parametrize("blob", ["not base64", "bm8gSlNPTg==", "WzFd", "é"])
def test_a_chunk_that_holds_no_document_is_none(blob):
    assert backward(event("chunk", {"bytes": blob})) == []


def test_exceptions_and_errors_are_errors():
    failed = aws({"message": "m"}, message_type="exception", exception_type="modelTimeoutException")
    assert backward(failed) == [{"error": {"message": "m", "type": "ModelTimeoutException"}}]
    failed = aws({}, message_type="error", error_code="InternalFailure", error_message="m")
    assert backward(failed) == [{"error": {"type": "InternalFailure", "message": "m"}}]
