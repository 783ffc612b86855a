"""Content encodings: gzip, deflate, br and zstd, decoded from a copy of the body."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import chain
from typing import Any, Protocol

PIECE = 1 << 16
"""Bytes in, and bytes out, of one step of a decoder that can limit its output."""

MORSEL = 1 << 8
"""Bytes in of one step of a decoder that cannot limit its output: at most 8 MiB of zstd."""

WINDOW = 1 << 23
"""https://www.rfc-editor.org/rfc/rfc9659: the largest window of a zstd frame on the web."""


class Decoder(Protocol):
    """One content encoding: bytes in, pieces of decoded bytes out, in order."""

    def decode(self, chunk: bytes) -> Iterable[bytes]: ...


class UnknownEncodingError(ValueError):
    """A content encoding that cannot be read here, or bytes that are not encoded so."""


class _Zlib:
    """gzip and deflate; a raw deflate stream, which some servers send, is recognised by its first two bytes."""

    def __init__(self, wbits: int) -> None:
        self._object = zlib.decompressobj(wbits)
        self._start: bytes | None = b"" if wbits == zlib.MAX_WBITS else None

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        if self._start is not None:
            chunk = self._start = self._start + chunk
            if len(chunk) < 2:
                return
            self._start = None
            # https://www.rfc-editor.org/rfc/rfc1950: the method, and a check of both bytes
            if chunk[0] & 15 != 8 or int.from_bytes(chunk[:2]) % 31:
                self._object = zlib.decompressobj(-zlib.MAX_WBITS)
        for data in _cut(chunk, PIECE):
            yield self._piece(data)
            while rest := self._object.unconsumed_tail:
                yield self._piece(rest)

    def _piece(self, data: bytes) -> bytes:
        try:
            return self._object.decompress(data, PIECE)
        except zlib.error as exc:
            raise UnknownEncodingError(str(exc)) from None


class _Wrapped:
    """A decoder of another package. Its errors become `UnknownEncodingError`."""

    def __init__(self, decode: Callable[[bytes], Iterable[bytes]], most: int) -> None:
        self._decode, self._most = decode, most

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        try:
            for data in _cut(chunk, self._most):
                yield from self._decode(data)
        except Exception as exc:
            raise UnknownEncodingError(str(exc)) from None


def _cut(chunk: bytes, most: int) -> Iterator[bytes]:
    return (chunk[start : start + most] for start in range(0, len(chunk), most))


@cache
def _first_of(*names: str) -> Any:
    """Import the first module that is installed. Looking for a missing one takes a tenth of a millisecond."""
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UnknownEncodingError(f"none of {', '.join(names)} is installed")


def _br() -> Decoder:
    decompressor = _first_of("brotli", "brotlicffi").Decompressor()
    process = getattr(decompressor, "process", None) or decompressor.decompress
    if not hasattr(decompressor, "can_accept_more_data"):
        # before 1.2 it cannot limit its output
        return _Wrapped(lambda data: (process(data),), MORSEL)

    def decode(data: bytes) -> Iterator[bytes]:
        piece = process(data, output_buffer_limit=PIECE)
        # a decompressor that accepts more may still hold output of the last piece
        while piece or not decompressor.can_accept_more_data():
            yield piece
            piece = process(b"", output_buffer_limit=PIECE)

    return _Wrapped(decode, PIECE)


def _zstd() -> Decoder:
    module = _first_of("compression.zstd", "backports.zstd", "zstandard")
    limited = module.__name__ != "zstandard"
    if limited:
        window = {module.DecompressionParameter.window_log_max: WINDOW.bit_length() - 1}
        new = partial(module.ZstdDecompressor, options=window)
    else:
        new = module.ZstdDecompressor(max_window_size=WINDOW).decompressobj
    decompressor = new()

    def decode(data: bytes) -> Iterator[bytes]:
        nonlocal decompressor
        while data:
            # one frame may follow another
            if decompressor.eof:
                decompressor = new()
            yield decompressor.decompress(data, PIECE) if limited else decompressor.decompress(data)
            while limited and not (decompressor.eof or decompressor.needs_input):
                yield decompressor.decompress(b"", PIECE)
            data = decompressor.unused_data if decompressor.eof else b""

    return _Wrapped(decode, PIECE if limited else MORSEL)


DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "br": _br,
    "zstd": _zstd,
}


class _Chain:
    """Several encodings on top of each other (RFC 9110, 8.4: listed in the order applied)."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        pieces: Iterable[bytes] = (chunk,)
        for decoder in self._decoders:
            pieces = chain.from_iterable(map(decoder.decode, pieces))
        yield from pieces


def decoder_of(content_encoding: str | None) -> Decoder | None:
    """Return the decoder for a Content-Encoding header; None for identity.

    Raise `UnknownEncodingError` for an encoding that cannot be read here.
    """
    if not content_encoding:
        return None
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name and name != "identity"]
    unknown = [name for name in names if name not in DECODERS]
    if unknown:
        raise UnknownEncodingError(f"content encoding {unknown[0]!r} is not known: {', '.join(DECODERS)} are")
    decoders = [DECODERS[name]() for name in reversed(names)]
    if not decoders:
        return None
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)
