"""Every format fed anything at all: nothing raises, nothing grows, and how bytes are split changes nothing."""

from __future__ import annotations

import random
import tracemalloc
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SOAK
from support.provider_answers import event
from support.strategies import FORMATS, FRAMINGS, bodies

from llmmetrics import wire
from llmmetrics.reading import outcome
from llmmetrics.reading.exchange import see
from llmmetrics.wire.estimation import estimate
from llmmetrics.wire.framing.body_buffer import TAIL, BodyBuffer, keep
from llmmetrics.wire.framing.eventstream import split


def everything(format, body, headers=None):
    """Whatever is asked of a body, asked of this one."""
    kept = keep(body)
    seen = see(format, kept, headers)
    estimate.completion_tokens(kept, format)
    for end in outcome.End:
        buffer = BodyBuffer()
        buffer.feed(body)
        found = outcome.outcome_of(format, 200, buffer, b"{}", end, None)
        if found.usage is not None:
            assert all(n >= 0 for n in found.usage.buckets.values())
    return seen


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
@settings(max_examples=300 if SOAK else 20)
@given(body=bodies, noise=st.binary(max_size=64))
def test_no_body_raises(format, body, noise):
    everything(format, body)
    everything(format, noise + body)
    everything(format, body + noise)


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
@given(
    values=st.lists(st.text(max_size=8) | st.sampled_from(["5", "-1", "1e3", "9" * 40, "٣"]), min_size=4, max_size=4)
)
def test_no_header_raises(format, values):
    kinds = ("input", "output", "cache-read-input", "cache-write-input")
    headers = {f"x-amzn-bedrock-{kind}-token-count": value for kind, value in zip(kinds, values, strict=True)}
    everything(format, b"{}", headers)


def reading(body, format, sizes):
    buffer = BodyBuffer()
    at = 0
    for size in sizes:
        buffer.feed(body[at : at + size])
        at += size
    buffer.feed(body[at:])
    return see(format, buffer.body())


@given(body=bodies, sizes=st.lists(st.integers(0, 50), max_size=20), name=st.sampled_from(sorted(FORMATS)))
def test_how_bytes_are_split_changes_nothing(body, sizes, name):
    assert reading(body, FORMATS[name], sizes) == reading(body, FORMATS[name], ())


def test_recorded_bodies_truncated_reordered_and_repeated_raise_nothing(corpus):
    """At every offset of some, at a few of each; events in any order, and twice."""
    chance = random.Random(4)
    rows = [row for row in corpus if row["kind"] in ("inference", "embedding", "rerank") and row["status"] < 400]
    for row in rows if SOAK else chance.sample(rows, len(rows) // 10):
        parts = urlsplit(row["url"])
        format = wire.claim("POST", parts.hostname, unquote(parts.path)).format
        body = row["response_body"]
        whole = see(format, keep(body))
        offsets = range(len(body)) if len(body) < 600 else chance.sample(range(len(body)), 20)
        for offset in offsets:
            everything(format, body[:offset])
            assert reading(body, format, (offset,)) == whole
        if row["stream"]:
            events = split(body)[0] or body.split(b"\n\n")
            separator = b"" if split(body)[0] else b"\n\n"
            everything(format, separator.join(chance.sample(events, len(events))))
            # usage is cumulative: what is said twice is not used twice
            twice = see(format, keep(separator.join(each for one in events for each in (one, one))))
            assert twice.reading.usage == whole.reading.usage, row["id"]


@pytest.mark.parametrize("framing", ["sse", "lines", "aws"])
def test_a_stream_is_held_in_little_memory(framing):
    """64 KiB and one event, whatever the stream's length; an event of its own length is read from its end."""
    piece = FRAMINGS[framing]([{"text": "x" * 2000}])
    buffer = BodyBuffer()
    tracemalloc.start()
    for _ in range(5000):
        # a chunk is a new object every time, as it is on a socket
        buffer.feed(bytes(bytearray(piece)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3 * TAIL
    assert buffer.body().total == 5000 * len(piece)


@pytest.mark.parametrize("framing", ["sse", "lines"])
def test_one_event_larger_than_what_is_kept_is_read_from_its_end(framing):
    last = {"response": {"output": "x" * 4 * TAIL, "model": "m", "usage": {"input_tokens": 3, "output_tokens": 4}}}
    body = FRAMINGS[framing]([{"n": 1}, last])
    buffer = BodyBuffer()
    for at in range(0, len(body), 1000):
        buffer.feed(body[at : at + 1000])
    kept = buffer.body()
    assert len(kept.head) + len(kept.tail) <= TAIL + 8 * 1024
    usage = see(FORMATS["openai.responses"], kept).reading.usage
    assert usage is not None
    assert (usage.prompt, usage.completion) == (3, 4)


def test_an_aws_stream_cut_at_its_start_is_found_again():
    """Of a long stream the tail begins in the middle of a message; a damaged one is left out."""
    metadata = event("metadata", {"usage": {"inputTokens": 3, "outputTokens": 4}})
    filler = [event("contentBlockDelta", {"delta": {"text": "\0" * 50}}) for _ in range(2 * TAIL // 100)]
    format = FORMATS["bedrock.converse"]
    assert see(format, keep(b"".join(filler) + metadata)).reading.usage[:2] == (3, 4)
    broken = bytearray(metadata)
    broken[-8] ^= 1
    assert see(format, keep(b"".join(filler[:3]) + broken)).reading.usage is None
    assert see(format, keep(bytes(broken) + metadata)).reading.usage[:2] == (3, 4)
