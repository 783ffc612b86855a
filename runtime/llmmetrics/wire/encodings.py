"""Content encodings: gzip, deflate, br and zstd, decoded from a copy as far as it goes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import chain
from typing import Any, Protocol

PIECE = 1 << 16
"""gzip and deflate are decoded in pieces of at most this many bytes, so that a bomb is never whole in memory."""


class Decoder(Protocol):
    """One content encoding: bytes in, pieces of decoded bytes out, in order."""

    def decode(self, chunk: bytes) -> Iterable[bytes]: ...


class UnknownEncodingError(ValueError):
    """A content encoding that cannot be read here, or bytes that are not in it."""


class _Zlib:
    """gzip and deflate; a raw deflate stream, which some servers send, is recognised."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._object = zlib.decompressobj(wbits)
        self._first = True

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            yield self._piece(chunk)
            chunk = self._object.unconsumed_tail

    def _piece(self, chunk: bytes) -> bytes:
        try:
            piece = self._object.decompress(chunk, PIECE)
        except zlib.error as exc:
            if not (self._first and self._wbits == zlib.MAX_WBITS):
                raise UnknownEncodingError(str(exc)) from None
            self._wbits = -zlib.MAX_WBITS
            self._object = zlib.decompressobj(self._wbits)
            return self._piece(chunk)
        self._first = False
        return piece


class _Wrapped:
    """A decoder of another package; its own errors become ours."""

    def __init__(self, decode: Callable[[bytes], bytes]) -> None:
        self._decode = decode

    def decode(self, chunk: bytes) -> Iterator[bytes]:
        try:
            yield self._decode(chunk)
        except Exception as exc:
            raise UnknownEncodingError(str(exc)) from None


def _first_of(*names: str) -> Any:
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UnknownEncodingError(f"none of {', '.join(names)} is installed")


def _br() -> Decoder:
    brotli = _first_of("brotli", "brotlicffi")
    decompressor = brotli.Decompressor()
    return _Wrapped(getattr(decompressor, "process", None) or decompressor.decompress)


def _zstd() -> Decoder:
    module = _first_of("compression.zstd", "backports.zstd", "zstandard")
    if module.__name__ == "zstandard":
        return _Wrapped(module.ZstdDecompressor().decompressobj().decompress)
    return _Wrapped(module.ZstdDecompressor().decompress)


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
    """The decoder for a Content-Encoding header; None for identity.

    Raises `UnknownEncodingError` for an encoding that cannot be read here.
    """
    if not content_encoding:
        return None
    names = [name.strip().lower() for name in content_encoding.split(",")]
    names = [name for name in names if name and name != "identity"]
    unknown = [name for name in names if name not in DECODERS]
    if unknown:
        raise UnknownEncodingError(f"content encoding {unknown[0]!r} is not known")
    decoders = [DECODERS[name]() for name in reversed(names)]
    if not decoders:
        return None
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)
