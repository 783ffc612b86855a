"""Bodies that are encoded, damaged, oversized or in pieces: nothing raises, and no more is held than may be."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
import zlib
from urllib.parse import unquote, urlsplit

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from support import SOAK
from support.provider_answers import event
from support.strategies import FORMATS, WORDS, bodies, documents

from llmmetrics import wire
from llmmetrics.reading import outcome
from llmmetrics.reading.exchange import see
from llmmetrics.wire.estimation import estimate
from llmmetrics.wire.framing.body_buffer import TAIL, BodyBuffer, keep
from llmmetrics.wire.framing.encodings import UnknownEncodingError, decoder_of

ENCODE = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": zstandard.ZstdCompressor().compress,
}
SAID = ("status", "error", "usage", "known", "reason", "unread", "model", "charges", "wire_cost")
NAMES = st.sampled_from(sorted(FORMATS))


def fed(encoded, cuts, encoding):
    """Fill a buffer with the bytes, split at these places, with these headers."""
    buffer = BodyBuffer()
    buffer.headers = {"content-encoding": encoding}
    for start, end in zip([0, *cuts], [*cuts, len(encoded)], strict=True):
        buffer.feed(encoded[start:end])
    return buffer


def outcomes(format, encoded, cuts, encoding):
    """What a call came to, however it ended; none of it raises."""
    found = []
    for end in outcome.End:
        got = outcome.outcome_of(format, 200, fed(encoded, cuts, encoding), b"{}", end, None)
        found.append(tuple(getattr(got, name) for name in SAID))
    return found


@pytest.mark.parametrize("encoding", ENCODE)
@given(body=bodies, cuts=st.sets(st.integers(0, 400), max_size=8), name=NAMES)
def test_an_encoding_changes_nothing_however_it_is_split(encoding, body, cuts, name):
    encoded = ENCODE[encoding](body)
    places = sorted(cut for cut in cuts if cut <= len(encoded))
    assert outcomes(FORMATS[name], encoded, places, encoding) == outcomes(FORMATS[name], body, [], "identity")


@pytest.mark.parametrize("encoding", ENCODE)
@given(body=bodies, flips=st.lists(st.tuples(st.integers(0, 10**4), st.integers(1, 255)), max_size=4), name=NAMES)
def test_damaged_bytes_raise_nothing(encoding, body, flips, name):
    encoded = bytearray(ENCODE[encoding](body))
    for place, flip in flips:
        encoded[place % len(encoded)] ^= flip
    encoded = bytes(encoded)
    for cut in (0, len(encoded) // 2):
        for got in outcomes(FORMATS[name], encoded[: cut or None], [], encoding):
            assert got[SAID.index("unread")] in (None, "encoding", "malformed", "usage")


@pytest.mark.parametrize("encoding", ENCODE)
def test_a_cut_at_every_byte_of_an_encoded_stream(encoding):
    events = [{"choices": [{"delta": {"content": str(n)}}]} for n in range(9)]
    body = b"".join(b"data: %b\n\n" % json.dumps(each).encode() for each in events)
    body += b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 9}}\n\ndata: [DONE]\n\n'
    encoded = ENCODE[encoding](body)
    format = FORMATS["openai.chat"]
    whole = see(format, keep(body))
    for cut in range(len(encoded) + 1):
        assert see(format, fed(encoded, [cut], encoding).body()) == whole
        came = fed(encoded[:cut], [], encoding).body()
        assert body.startswith(came.tail)
    assert see(format, fed(encoded, range(1, len(encoded)), encoding).body()) == whole


@given(body=documents, name=NAMES)
def test_no_request_raises(body, name):
    written = json.dumps(body).encode()
    for request in (written, written[:-3], b"\xff" + written):
        assert 0 <= estimate.prompt_tokens(request, FORMATS[name]) < 10**7


ASKED = ["messages", "contents", "input", "tools", "functions", "system", "query", "documents", "url", "data", "images"]
MEDIA = [
    "data:image/png;base64,iVBORw0KGgo=",
    "/9j/4AAQ",
    "UklGRgAAAABXRUJQVlA4WA==",
    "JVBERi0xLjQ=",
    "http://a",
    "\ud800",
]
asked = st.recursive(
    st.none() | st.integers() | st.floats() | st.sampled_from(MEDIA) | st.text(max_size=20) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(ASKED + WORDS), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=2000 if SOAK else 200)
@given(fields=st.dictionaries(st.sampled_from(ASKED), asked, max_size=5), name=NAMES)
def test_no_request_of_the_shapes_that_are_read_raises(fields, name):
    assert estimate.prompt_tokens(json.dumps(fields).encode(), FORMATS[name]) >= 0


def test_recorded_bodies_in_every_encoding(corpus):
    """A few of them, and all when soaking: split anywhere they are the same, damaged they raise nothing."""
    chance = random.Random(5)
    rows = [row for row in corpus if row["kind"] in ("inference", "embedding", "rerank") and row["response_body"]]
    for row in rows if SOAK else chance.sample(rows, len(rows) // 20):
        format = wire.claim("POST", urlsplit(row["url"]).hostname, wire_path(row)).format
        body = row["response_body"]
        for encoding, encode in ENCODE.items():
            encoded = encode(body)
            places = sorted(chance.choices(range(len(encoded)), k=5))
            assert fed(encoded, places, encoding).body() == keep(body), row["id"]
            outcomes(format, encoded[: places[2]], [], encoding)
            damaged = bytearray(encoded)
            damaged[places[3]] ^= 1 + chance.randrange(255)
            outcomes(format, bytes(damaged), [], encoding)
        assert estimate.prompt_tokens(row["request_body"][: chance.randrange(2000)], format) >= 0


def wire_path(row):
    return unquote(urlsplit(row["url"]).path)


@pytest.fixture(scope="module")
def filler():
    return b"x" * (100 * 2**20)


@pytest.mark.parametrize("framing", ["json", "sse", "lines", "aws"])
@pytest.mark.parametrize("name", ["openai.chat", "anthropic.messages", "gemini.generate", "bedrock.converse"])
def test_an_event_of_100_mb(filler, framing, name):
    """In one chunk: its ends are read, and no more than they are held."""
    start = {"json": b'{"a": "', "sse": b'data: {"a": "', "lines": b'{"n": 1}\n{"a": "', "aws": event("a", {})}[framing]
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "input_tokens": 3, "output_tokens": 4}
    usage |= {"inputTokens": 3, "outputTokens": 4}
    counts = {"promptTokenCount": 3, "candidatesTokenCount": 4}
    end = b'", "usage": %b, "usageMetadata": %b}\n\n' % (json.dumps(usage).encode(), json.dumps(counts).encode())
    if framing == "aws":
        # a message that is longer than any may be, and whole ones after it
        end = event("metadata", {"usage": usage}) + event("chunk", {"usageMetadata": counts})
    whole = start + filler + end
    buffer = BodyBuffer()
    tracemalloc.start()
    buffer.feed(whole)
    got = outcome.outcome_of(FORMATS[name], 200, buffer, b"{}", outcome.End.EXHAUSTED, None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # what is kept, once more as text, and once more without its line ends
    assert most < 16 * TAIL
    if (framing == "aws") == (name == "bedrock.converse"):
        assert (got.known, got.usage.prompt, got.usage.completion) == (True, 3, 4)


@pytest.mark.parametrize("encoding", ENCODE)
def test_an_encoding_that_is_none(encoding):
    for body in (b"", b"\0", b"plain text", bytes(range(256)) * 1000):
        try:
            list(decoder_of(encoding).decode(body))
        except UnknownEncodingError:
            continue
