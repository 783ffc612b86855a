"""Keeps the first and the last bytes of a body while it streams through, by reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from llmmetrics.wire.framing.encodings import Decoder, UnknownEncodingError, decoder_of
from llmmetrics.wire.framing.headers import lower_names

HEAD = 8 * 1024
"""Bytes kept from the start: a stream's first events name the model and, at Anthropic, the input."""

TAIL = 56 * 1024
"""Bytes kept from the end: the last events carry the usage."""

HELD = 64 * 1024
"""Bytes that are held before the oldest are dropped: so that a long stream's chunks cost a look only now and then."""

NEAR_START, NEAR_END = 1024, 4096
"""Bytes at the ends of a long answer that hold all of its short members, in formats that are `short_at_ends`."""

LARGE = 4 * TAIL
"""Bytes of a chunk. A longer one is cut, not kept whole."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""May precede a stream of events (https://html.spec.whatwg.org/multipage/server-sent-events.html) and JSON."""

MOST_DECODED = 1 << 28
"""Bytes that an encoded body may come to: to decode so many takes about half a second. No answer is as long."""


class Body(NamedTuple):
    """The kept bytes of a body: all of it is in `tail` if `total == len(tail)`, so of at most `HELD` bytes."""

    head: bytes
    tail: bytes
    total: int

    @property
    def whole(self) -> bool:
        return len(self.tail) == self.total


class BodyBuffer:
    """Keeps chunks by reference: at most `HELD` bytes and one chunk, whatever the length, and of a large chunk its end.

    The caller on the hot path appends to `chunks` itself, adds up their size, and calls `trim` when
    the size passes `HELD`; other callers use `feed`. What is kept depends on the bytes alone, not on
    the chunks. Bytes that the decoder cannot read break the buffer: it keeps nothing more, and `body`
    raises the decoder's error.
    """

    trimmed: bool
    """Whether `chunks` is no longer the whole body as it came."""
    broken: Exception | None = None
    headers: Mapping[str, str] | None
    """The answer's headers. Their content encoding is read only if the bytes alone are not enough."""
    plain = False
    """There is nothing to decode, even if the headers name an encoding."""
    _decoder: Decoder | None = None
    _inner: BodyBuffer | None = None
    _head = b""
    _dropped = _size = _decoded = 0

    def __init__(self, decoder: Decoder | None = None) -> None:
        self.chunks: list[bytes] = []
        self.trimmed, self.headers = False, None
        if decoder:
            self.trimmed = True
            self._decoder, self._inner = decoder, BodyBuffer()

    def _ask(self) -> None:
        """Read the content encoding from the headers."""
        if self.plain or self.headers is None:
            return
        self.plain = True
        # httpx decodes every header to look for one, and raises and catches an exception to `get` an absent one
        if b"content-encoding" not in lower_names(self.headers):
            return
        try:
            if decoder := decoder_of(self.headers["content-encoding"]):
                self._decoder, self._inner = decoder, BodyBuffer()
        except UnknownEncodingError as exc:
            self.broken = exc

    def feed(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self._size += len(chunk)
        if self._size > HELD:
            self._size = self.trim(self._size)

    def trim(self, size: int) -> int:
        """Drop the bytes that are no longer needed, of `size`; return how many are left."""
        self.trimmed = True
        self._ask()
        chunks = self.chunks
        if self._inner or self.broken:
            self._unwind()
            return 0
        over = 0
        for gone in chunks:
            if size - len(gone) < TAIL:
                break
            over += 1
            size -= len(gone)
            self._dropped += len(gone)
            if len(self._head) < HEAD:
                self._head += gone[: HEAD - len(self._head)]
        del chunks[:over]
        if size > LARGE:
            # only the first chunk can leave so much; a reference to a piece of it keeps all of it in memory
            size -= self._shorten(chunks[0])
        return size

    def _shorten(self, large: bytes) -> int:
        """Keep only the end of the first chunk; return how many bytes were dropped."""
        gone = len(large) - TAIL
        self._dropped += gone
        self._head += large[: min(gone, HEAD - len(self._head))]
        self.chunks[0] = large[-TAIL:]
        return gone

    def _unwind(self) -> None:
        """Decode what is held: an encoded body cannot be cut, only a decoded one."""
        chunks, decoder, inner = self.chunks, self._decoder, self._inner
        try:
            for chunk in chunks:
                if not decoder or not inner or self.broken:
                    break
                for piece in decoder.decode(chunk):
                    inner.feed(piece)
                    self._decoded += len(piece)
                    if self._decoded > MOST_DECODED:
                        self.broken = UnknownEncodingError(f"the decoded body has more than {MOST_DECODED} bytes")
                        break
        except Exception as exc:
            self.broken = exc
        chunks.clear()

    def joined(self) -> bytes:
        """Return the chunks that are held as one; without a copy if there is one."""
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    def ends(self) -> tuple[bytes, bytes] | None:
        """Return the first and the last kept bytes of a JSON object that was too long to keep; None of another body."""
        if self._inner or self.broken or not (self._head or self.chunks[0]).startswith(b"{"):
            return None
        joined = self.joined()
        return self._head + joined[: HEAD - len(self._head)], joined

    def without_middle(self) -> str | None:
        """Return a long JSON object without its middle, a part of a long string; None of another body.

        If the cut is elsewhere, this is no JSON, unless both of its ends are in strings of the same depth.
        """
        if self._inner or self.broken:
            return None
        first, last = self._head or self.chunks[0], self.chunks[-1]
        if first[:1] != b"{":
            return None
        if len(last) < NEAR_END:
            last = self.joined()
        # a character may have been cut
        return (first[:NEAR_START] + last[-NEAR_END:]).decode("utf8", "ignore")

    def body(self) -> Body:
        """Return the kept bytes. Raise the decoder's error for bytes that it could not read."""
        self._ask()
        if self._inner is not None:
            self._unwind()
        if self.broken:
            raise self.broken
        if self._inner is not None:
            return self._inner.body()
        joined = self.joined()
        total = self._dropped + len(joined)
        if total <= HELD:
            whole = joined.removeprefix(BYTE_ORDER_MARK)
            return Body(b"", whole, len(whole))
        head = self._head + joined[: HEAD - len(self._head)]
        return Body(head.removeprefix(BYTE_ORDER_MARK), joined[-TAIL:], total)


def keep(body: bytes, decoder: Decoder | None = None) -> Body:
    """Return the `Body` of bytes that are there at once, as if they had streamed through."""
    buffer = BodyBuffer(decoder)
    buffer.feed(body)
    return buffer.body()
