"""What a tape keeps depends on the bytes alone, and is bounded."""

from __future__ import annotations

import gzip
import random
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmmetrics.wire.encodings import PIECE, UnknownEncodingError, decoder_of
from llmmetrics.wire.tape import HEAD, TAIL, Tape, keep

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


def fed(data: bytes, size: int, encoding: str | None = None) -> Tape:
    tape = Tape(decoder_of(encoding))
    for start in range(0, len(data), size):
        tape.feed(data[start : start + size])
    return tape


@given(st.integers(0, 3 * TAIL), st.lists(st.integers(1, 2 * TAIL), min_size=1, max_size=20))
def test_any_split_keeps_the_same(length, sizes):
    data = noise(length)
    tape, start, turn = Tape(), 0, 0
    while start < length:
        size = sizes[turn % len(sizes)]
        tape.feed(data[start : start + size])
        start, turn = start + size, turn + 1
    assert tape.body() == keep(data)


@pytest.mark.parametrize("length", [0, 1, TAIL - 1, TAIL, TAIL + 1, TAIL + HEAD, 5 * TAIL])
def test_keeps_the_head_and_the_tail(length):
    data = noise(length)
    body = keep(data)
    assert body.total == length
    assert body.tail == data[-TAIL:]
    assert body.whole == (length <= TAIL)
    assert body.head == (b"" if body.whole else data[:HEAD])


def test_holds_no_more_than_the_tail_and_one_chunk():
    tape, chunk = Tape(), b"x" * 1000
    for _ in range(10_000):
        tape.feed(chunk)
        assert sum(map(len, tape.chunks)) < TAIL + len(chunk)


@pytest.mark.parametrize("encoding", ENCODE)
@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
def test_encodings_are_undone(encoding, size):
    data = b'{"usage": {"prompt_tokens": 1}}' * 400
    assert fed(ENCODE[encoding](data), size, encoding).body() == keep(data)


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_a_long_encoded_body_is_decoded_on_the_way(encoding):
    data = noise(3 * TAIL)
    tape = fed(ENCODE[encoding](data), 4096, encoding)
    assert sum(map(len, tape.chunks)) <= TAIL + 4096
    assert tape.body() == keep(data)


def test_deflate_without_a_header():
    data = RAW_DEFLATE.compress(b"hello" * 50) + RAW_DEFLATE.flush()
    assert fed(data, 9, "deflate").body() == keep(b"hello" * 50)


def test_a_bomb_is_decoded_in_pieces():
    decoder = decoder_of("gzip")
    pieces = list(decoder.decode(gzip.compress(bytes(50 * PIECE))))
    assert max(map(len, pieces)) <= PIECE
    assert sum(map(len, pieces)) == 50 * PIECE


@pytest.mark.parametrize("encoding", ["aws-chunked", "gzip, snappy"])
def test_an_unknown_encoding_is_named(encoding):
    with pytest.raises(UnknownEncodingError, match=encoding.split(", ")[-1]):
        decoder_of(encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("length", [20, 3 * TAIL])
def test_bytes_that_are_not_in_their_encoding_break_only_the_tape(encoding, length):
    tape = fed(b"\xff" + noise(length), 1000, encoding)
    with pytest.raises(UnknownEncodingError):
        tape.body()
    assert not tape.chunks


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_cut_body_gives_what_came(encoding):
    data = noise(200_000)
    encoded = ENCODE[encoding](data)
    body = fed(encoded[: len(encoded) // 2], 999, encoding).body()
    assert 0 <= body.total < len(data)
    assert data[: body.total].endswith(body.tail)
