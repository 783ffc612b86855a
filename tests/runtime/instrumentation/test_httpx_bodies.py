"""Bodies and streams pass through the httpx transports unchanged, and are read."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import brotli
import httpx
import httpx2
import pytest
import zstandard

from llmmetrics import Meter
from llmmetrics.testing import observe
from llmmetrics.wire.framing.body_buffer import TAIL

FAMILIES = pytest.mark.parametrize("lib", [httpx, httpx2], ids=["httpx", "httpx2"])

URL = "https://api.openai.com/v1/chat/completions"

BODY = {
    "model": "m-1",
    "choices": [{"message": {"content": "hi"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}


@pytest.fixture
def meter(registry):
    return Meter(registry=registry)


def streaming(lib, chunks, headers=(), status=200):
    """An inner transport whose answer is streamed in these chunks."""

    class Body(lib.SyncByteStream):
        def __iter__(self):
            yield from chunks

    class Inner(lib.BaseTransport):
        def handle_request(self, request):
            return lib.Response(status, headers=list(headers), stream=Body())

    return Inner()


def call(lib, meter, chunks, headers=()):
    records = []
    with observe(records.append):
        response = lib.Client(transport=meter.transport(streaming(lib, chunks, headers))).post(URL, json={"model": "m"})
    (record,) = records
    return response, record


# encodings

ENCODE = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress, "zstd": zstandard.compress}


@FAMILIES
@pytest.mark.parametrize("encoding", ENCODE)
@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_encoded_answers_are_read_and_passed_on_as_they_are(meter, lib, encoding, size):
    encoded = ENCODE[encoding](json.dumps(BODY).encode())
    chunks = [encoded[start : start + size] for start in range(0, len(encoded), size)]
    records = []
    client = lib.Client(transport=meter.transport(streaming(lib, chunks, [("content-encoding", encoding)])))
    with observe(records.append), client.stream("POST", URL, json={"model": "m"}) as response:
        assert b"".join(response.iter_raw()) == encoded
    (record,) = records
    assert (record.usage.prompt, record.usage.completion, record.usage_known) == (10, 5, True)


@FAMILIES
def test_an_unknown_encoding_is_counted_and_passes(meter, lib, count):
    response, record = call(lib, meter, [b"\x01\x02" * TAIL] * 3, [("content-encoding", "snappy")])
    assert len(response.content) == 6 * TAIL
    assert (record.status, record.usage_known) == ("success", False)
    assert count("llmmetrics_unread_calls_total", reason="encoding") == 1
    assert count("llmmetrics_calls_without_usage_total", reason="encoding") == 1


@FAMILIES
def test_an_encoding_that_the_bytes_are_not_in(meter, lib, count):
    records = []
    client = lib.Client(transport=meter.transport(streaming(lib, [b"plain"], [("content-encoding", "gzip")])))
    with observe(records.append), client.stream("POST", URL, json={"model": "m"}) as response:
        assert b"".join(response.iter_raw()) == b"plain"
    assert records[0].status == "success"
    assert count("llmmetrics_unread_calls_total", reason="encoding") == 1


# size


@FAMILIES
@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_an_answer_of_100_mb_leaves_no_trace_in_memory(meter, lib, encoding):
    piece = b"x" * 65536
    start, end = (
        b'{"model": "m-1", "choices": [{"message": {"content": "',
        b'"}}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}',
    )

    def plain():
        yield start
        for _ in range(1600):
            yield piece
        yield end

    def packed():
        packer = zlib.compressobj(wbits=31)
        for chunk in plain():
            if out := packer.compress(chunk):
                yield out
        yield packer.flush()

    records = []
    inner = streaming(lib, packed() if encoding else plain(), [("content-encoding", encoding)] if encoding else [])
    client = lib.Client(transport=meter.transport(inner))
    with observe(records.append), client.stream("POST", URL, json={"model": "m"}) as response:
        tracemalloc.start()
        for _ in response.iter_raw():
            pass
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert records[0].usage.total == 15
    assert records[0].status == "success"
    assert peak < 12 * TAIL


@FAMILIES
def test_a_stream_of_many_events_is_read_at_its_end(meter, lib):
    def events():
        for n in range(20_000):
            yield b'data: {"model": "m-1", "usage": null, "choices": [{"delta": {"content": "%d"}}]}\n\n' % n
        yield b'data: {"model": "m-1", "choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 20000}}\n\n'
        yield b"data: [DONE]\n\n"

    _, record = call(lib, meter, events())
    assert (record.usage.completion, record.usage_known) == (20_000, True)


@FAMILIES
def test_a_stream_of_one_line_has_a_first_chunk(meter, lib, count):
    line = b'{"model": "m-1", "done": true, "prompt_eval_count": 1, "eval_count": 2, "response": "hi"}\n'
    client = lib.Client(transport=meter.transport(streaming(lib, [line])))
    client.post("http://localhost:11434/api/generate", json={"model": "m"})
    assert count("llm_time_to_first_chunk_seconds_count") == 1
    assert count("llm_tokens_total", token_type="total") == 3


@FAMILIES
def test_a_stream_that_stops_in_mid_event(meter, lib, count):
    events = [
        b'data: {"model": "m-1", "choices": [{"delta": {"content": "abcdefgh"}}]}\n\n',
        b'data: {"model": "m-1", "cho',
    ]
    _, record = call(lib, meter, events)
    assert (record.status, record.usage_known, record.usage.completion) == ("success", False, 3)
    assert count("llmmetrics_calls_without_usage_total", reason="absent") == 1


@FAMILIES
def test_anthropics_counts_come_from_both_ends_of_a_long_stream(meter, lib):
    start = {
        "type": "message_start",
        "message": {
            "model": "claude-x",
            "usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1},
        },
    }
    middle = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "0123456789"}}\n\n'
    end = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 99}}
    events = [f"event: message_start\ndata: {json.dumps(start)}\n\n".encode(), *[middle] * 3000]
    events += [
        f"event: message_delta\ndata: {json.dumps(end)}\n\n".encode(),
        b'event: message_stop\ndata: {"type": "message_stop"}\n\n',
    ]
    records = []
    client = lib.Client(transport=meter.transport(streaming(lib, events)))
    with observe(records.append):
        client.post("https://api.anthropic.com/v1/messages", json={"model": "c", "stream": True})
    used = records[0].usage
    assert (used.prompt, used.cache_read, used.completion) == (10, 3, 99)
    assert records[0].model_responded == "claude-x"


@FAMILIES
def test_a_cut_stream_keeps_the_counts_it_has_seen(meter, lib):
    start = {
        "type": "message_start",
        "message": {"model": "claude-x", "usage": {"input_tokens": 70, "output_tokens": 1}},
    }
    middle = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "0123456789ab"}}\n\n'

    def cut():
        yield f"event: message_start\ndata: {json.dumps(start)}\n\n".encode()
        yield middle
        raise lib.ReadError("cut")

    records = []
    client = lib.Client(transport=meter.transport(streaming(lib, cut())))
    with observe(records.append), pytest.raises(lib.ReadError):
        client.post("https://api.anthropic.com/v1/messages", json={"model": "c", "stream": True})
    assert (records[0].usage.prompt, records[0].usage.completion, records[0].usage_known) == (70, 8, False)
    assert (records[0].status, records[0].error_type) == ("failure", "network")
