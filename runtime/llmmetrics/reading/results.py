"""Reads the results of a batch line by line while they pass, and the requests in an uploaded file. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping

from llmmetrics.wire.framing.encodings import Decoder, UnknownEncodingError, decoder_of
from llmmetrics.wire.framing.frames import Doc, parse

LONGEST_LINE = 16 << 20
"""Bytes of a line. A longer one is skipped, and what holds it is incomplete."""

_STARTS = (b"", b"{", b" ", b"\r", b"\t")


class Lines:
    """Splits bytes into JSON lines, and gives each document to `take`. Holds one line at most."""

    def __init__(self, take: Callable[[Doc], bool]) -> None:
        self._take = take
        """Returns False for a document that is no line of the kind that is read: then nothing more is read."""
        self._part = bytearray()
        self.read = 0
        """Bytes of the lines that were read, with their ends."""
        self.broken = False
        """Whether these are not such lines, or one of them could not be read."""

    def feed(self, data: bytes) -> None:
        """Read the lines that end in this piece."""
        start = 0
        while not self.broken and (end := data.find(b"\n", start)) >= 0:
            self._line(data[start : end + 1])
            start = end + 1
        if not self.broken:
            self._part += data[start:]
            self.broken = len(self._part) > LONGEST_LINE or bytes(self._part[:1]) not in _STARTS

    def end(self) -> None:
        """Read the last line, if its end is that of the file."""
        if self._part.strip() and not self.broken:
            self._line(b"")

    def _line(self, rest: bytes) -> None:
        line = bytes(self._part) + rest if self._part else rest
        self._part.clear()
        if line.strip():
            value = parse(line)
            if not isinstance(value, dict) or not self._take(value):
                self.broken = True
                return
        self.read += len(line)


class LineBuffer:
    """Takes the chunks of a body, as `BodyBuffer` does, and reads their lines."""

    headers: Mapping[str, str] | None = None
    plain = False

    def __init__(self, lines: Lines) -> None:
        self.chunks: deque[bytes] = deque()
        self.lines = lines
        self._decoder: Decoder | None = None
        self._begun = False

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        self.chunks.append(chunk)
        self.trim(0)

    def trim(self, _size: int) -> int:
        """Read the chunks that are there; return how many bytes are left, which is none."""
        while self.chunks:
            for piece in self._decoded(self.chunks.popleft()):
                self.lines.feed(piece)
        return 0

    def _decoded(self, chunk: bytes) -> Iterator[bytes]:
        try:
            if not self._begun:
                self._begun = True
                named = None if self.plain else (self.headers or {}).get("content-encoding")
                self._decoder = decoder_of(named)
            yield from self._decoder.decode(chunk) if self._decoder else (chunk,)
        except UnknownEncodingError:
            self.lines.broken = True
