"""A body buffer keeps bounded content, which depends only on the bytes."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmmetrics.wire.framing import body_buffer
from llmmetrics.wire.framing.body_buffer import HEAD, HELD, TAIL, BodyBuffer, keep
from llmmetrics.wire.framing.encodings import PIECE, UnknownEncodingError, decoder_of

RAW_DEFLATE = zlib.compressobj(wbits=-15)
ENCODE = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


def noise(n: int) -> bytes:
    return random.Random(n).randbytes(n)


def fed(data: bytes, size: int, encoding: str | None = None) -> BodyBuffer:
    buffer = BodyBuffer(decoder_of(encoding))
    for start in range(0, len(data), size):
        buffer.feed(data[start : start + size])
    return buffer


@given(st.integers(0, 3 * TAIL), st.lists(st.integers(1, 2 * TAIL), min_size=1, max_size=20))
def test_any_split_keeps_the_same(length, sizes):
    data = noise(length)
    buffer, start, turn = BodyBuffer(), 0, 0
    while start < length:
        size = sizes[turn % len(sizes)]
        buffer.feed(data[start : start + size])
        start, turn = start + size, turn + 1
    assert buffer.body() == keep(data)


@pytest.mark.parametrize("length", [0, 1, TAIL, TAIL + 1, HELD, HELD + 1, HELD + HEAD, 5 * TAIL])
def test_keeps_the_head_and_the_tail(length):
    data = noise(length)
    body = keep(data)
    assert body.total == length
    assert body.whole == (length <= HELD)
    assert body.tail == (data if body.whole else data[-TAIL:])
    assert body.head == (b"" if body.whole else data[:HEAD])


def test_holds_no_more_than_the_tail_and_one_chunk():
    buffer, chunk = BodyBuffer(), b"x" * 1000
    for _ in range(10_000):
        buffer.feed(chunk)
        assert sum(map(len, buffer.chunks)) < HELD + len(chunk)


@pytest.mark.parametrize("encoding", ENCODE)
@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_encodings_are_undone(encoding, size):
    data = b'{"usage": {"prompt_tokens": 1}}' * 400
    assert fed(ENCODE[encoding](data), size, encoding).body() == keep(data)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_long_encoded_body_is_decoded_on_the_way(encoding):
    data = noise(3 * TAIL)
    buffer = fed(ENCODE[encoding](data), 4096, encoding)
    assert sum(map(len, buffer.chunks)) <= HELD + 4096
    assert buffer.body() == keep(data)


def test_deflate_without_a_header():
    data = RAW_DEFLATE.compress(b"hello" * 50) + RAW_DEFLATE.flush()
    assert fed(data, 9, "deflate").body() == keep(b"hello" * 50)


def test_deflate_without_a_header_that_comes_a_byte_at_a_time():
    raw = zlib.compressobj(wbits=-15)
    data = raw.compress(b"hello" * 50) + raw.flush()
    assert fed(data, 1, "deflate").body() == keep(b"hello" * 50)
    assert fed(data[:1], 1, "deflate").body() == keep(b"")


def test_frames_of_zstd_may_follow_each_other():
    one, two = (zstandard.compress(part) for part in (b"hello " * 50, b"world" * 50))
    for size in (1, 7, 10**6):
        assert fed(one + two, size, "zstd").body() == keep(b"hello " * 50 + b"world" * 50)


def test_zstd_that_asks_for_more_memory_than_it_may_is_not_decoded():
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = compressor.compress(bytes(1000)) + compressor.flush()
    with pytest.raises(UnknownEncodingError):
        fed(data, 100, "zstd").body()


COMPRESSORS = {
    "gzip": (lambda: zlib.compressobj(wbits=31), "compress", "flush"),
    "deflate": (zlib.compressobj, "compress", "flush"),
    "br": (brotli.Compressor, "process", "finish"),
    "zstd": (lambda: zstandard.ZstdCompressor().compressobj(), "compress", "flush"),
}


def compressed(encoding: str, megabytes: int) -> bytes:
    """So many megabytes of the same byte, without ever holding them."""
    make, feed, end = COMPRESSORS[encoding]
    compressor = make()
    return b"".join(getattr(compressor, feed)(b" " * 2**20) for _ in range(megabytes)) + getattr(compressor, end)()


MEMORY = {"gzip": 2**20, "deflate": 2**20, "br": 2**20, "zstd": 24 * 2**20}
"""zstandard gives all that comes of a block, up to 8 MiB at a time here; it may remember as much."""


@pytest.mark.parametrize("encoding", MEMORY)
def test_a_bomb_is_never_whole_in_memory(encoding):
    bomb = compressed(encoding, 100)
    assert len(bomb) < 200_000
    tracemalloc.start()
    buffer = BodyBuffer(decoder_of(encoding))
    buffer.feed(bomb)
    body = buffer.body()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert body.total == 100 * 2**20
    assert most < MEMORY[encoding]


def test_a_bomb_in_a_bomb():
    inner = compressed("gzip", 100)
    pieces = decoder_of("gzip, br").decode(brotli.compress(inner))
    assert max(map(len, pieces)) <= PIECE


@pytest.mark.parametrize("before", [b"", b"x" * 1000, b"x" * 2 * TAIL], ids=["alone", "after little", "after much"])
def test_of_a_chunk_of_100_mb_no_more_is_held_than_of_small_ones(before):
    large = bytearray(100 * 2**20)
    large[:5], large[-5:] = b"start", b"<end>"
    buffer = BodyBuffer()
    buffer.feed(before)
    tracemalloc.start()
    chunk = bytes(large)
    buffer.feed(chunk)
    del chunk
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * TAIL
    body = buffer.body()
    assert body == keep(before + large)
    assert body.tail.endswith(b"<end>")
    buffer.feed(b"more")
    assert buffer.body() == keep(before + large + b"more")


@pytest.mark.parametrize("encoding", ["aws-chunked", "gzip, snappy"])
def test_an_unknown_encoding_is_named(encoding):
    with pytest.raises(UnknownEncodingError, match=encoding.split(", ")[-1]):
        decoder_of(encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("length", [20, 3 * TAIL])
def test_bytes_that_are_not_in_their_encoding_break_only_the_tape(encoding, length):
    buffer = fed(b"\xff" + noise(length), 1000, encoding)
    with pytest.raises(UnknownEncodingError):
        buffer.body()
    assert not buffer.chunks


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_cut_body_gives_what_came(encoding):
    data = noise(200_000)
    encoded = ENCODE[encoding](data)
    body = fed(encoded[: len(encoded) // 2], 999, encoding).body()
    assert 0 <= body.total < len(data)
    assert data[: body.total].endswith(body.tail)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_bomb_is_decoded_up_to_a_limit(monkeypatch, encoding):
    monkeypatch.setattr(body_buffer, "MOST_DECODED", 3 * TAIL)
    bomb = ENCODE[encoding](b" " * 300 * TAIL)
    buffer = fed(bomb, 100, encoding)
    with pytest.raises(UnknownEncodingError, match="more than"):
        buffer.body()
    assert fed(ENCODE[encoding](b" " * 3 * TAIL), 100, encoding).body().total == 3 * TAIL
