"""Reads the results of a batch line by line while they pass, and the requests in an uploaded file. Pure."""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeGuard

from llmmetrics.wire.format import MalformedUsageError, Reading
from llmmetrics.wire.framing.encodings import Decoder, UnknownEncodingError, decoder_of
from llmmetrics.wire.framing.frames import Doc, parse

LONGEST_LINE = 64 << 20
"""Bytes of a line, which may hold an image. Of a file with a longer one, the lines before it are read."""

_STARTS = (b"", b"{", b" ", b"\r", b"\t")


class Lines:
    """Splits bytes into JSON lines, and gives each document to `take`. Holds one line at most."""

    def __init__(self, take: Callable[[Doc], bool]) -> None:
        self._take = take
        """Returns False for a document that is no line of the kind that is read: then nothing more is read."""
        self._part = bytearray()
        self.begins = 0
        """Where the next line begins, in bytes: the lines before it were read."""
        self.skipped = 0
        """Bytes of the first line, if it is the end of one: a piece of a file may begin inside a line."""
        self.inside = False
        """Whether the first line may begin inside."""
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
            foreign = not (self.inside and not self.begins) and bytes(self._part[:1]) not in _STARTS
            self.broken = foreign or len(self._part) > LONGEST_LINE
        if self.broken:
            self._part.clear()

    def end(self) -> None:
        """Read the last line, if its end is that of the file."""
        if self._part.strip() and not self.broken:
            self._line(b"")

    def _line(self, rest: bytes) -> None:
        line = bytes(self._part) + rest if self._part else rest
        self._part.clear()
        if line.strip():
            value = parse(line)
            if self.inside and not self.begins and not isinstance(value, dict):
                self.skipped = self.begins = len(line)
                return
            if not isinstance(value, dict) or not self._take(value):
                self.broken = True
                return
        self.begins += len(line)


LARGEST_BATCH = 64 << 20
"""Bytes of a batch with its results in it. Of a larger one nothing is counted: it stays pending."""


class WholeBody:
    """Holds a decoded body as a whole."""

    inside = broken = False

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, data: bytes) -> None:
        """Add a piece."""
        self.broken = self.broken or len(self.data) + len(data) > LARGEST_BATCH
        if self.broken:
            self.data.clear()
        else:
            self.data += data


class LineBuffer:
    """Takes the chunks of a body, as `BodyBuffer` does, and gives what they decode to, to `lines`."""

    headers: Mapping[str, str] | None = None
    plain = False

    def __init__(self, lines: Lines | WholeBody) -> None:
        self.chunks: deque[bytes] = deque()
        self.lines = lines
        self._decoder: Decoder | None = None
        self._begun = False
        self._error: Exception | None = None

    def feed(self, chunk: bytes) -> None:
        """Take a chunk."""
        self.chunks.append(chunk)
        self.trim(0)

    def trim(self, _size: int) -> int:
        """Read the chunks that are there; return how many bytes are left, which is none."""
        try:
            while self.chunks and self._error is None:
                for piece in self._decoded(self.chunks.popleft()):
                    self.lines.feed(piece)
        except Exception as exc:
            # the caller is reading just now: what went wrong is told at the end
            self._error = exc
        self.chunks.clear()
        return 0

    def end(self) -> None:
        """Read what is left. Raises the error of a reader that failed."""
        self.trim(0)
        if self._error is not None:
            raise self._error

    def _decoded(self, chunk: bytes) -> Iterator[bytes]:
        try:
            if not self._begun:
                self._begun = True
                self.lines.inside = "content-range" in (self.headers or {})
                named = None if self.plain else (self.headers or {}).get("content-encoding")
                self._decoder = decoder_of(named)
            yield from self._decoder.decode(chunk) if self._decoder else (chunk,)
        except UnknownEncodingError:
            self.lines.broken = True


class Results(NamedTuple):
    """What was read of a batch's results."""

    readings: Sequence[tuple[int, Reading]]
    """What each result says, with its end: a place in the file, or a number. Without usage, it is unknown."""
    start: int
    """Where the first of them begins."""
    end: int
    complete: bool
    """Whether they end where the results end."""


ReadResult = Callable[[Doc], Reading | None]
"""Reads one result; None: it is none."""


def _read(read: ReadResult, line: Doc) -> Reading | None:
    """Read a result. What it used is unknown if its counts cannot be right."""
    try:
        return read(line)
    except MalformedUsageError:
        return Reading()


def _is_billed(reading: Reading | None) -> TypeGuard[Reading]:
    return reading is not None and (reading.usage is not None or not reading.error)


def inline_results(read: ReadResult, results: Sequence[Doc]) -> Results:
    """Read the results that stand in a batch itself."""
    readings = [(n, each) for n, each in enumerate((_read(read, doc) for doc in results), 1) if _is_billed(each)]
    return Results(readings, 0, len(results), complete=True)


class ResultReader:
    """Reads the lines of a file of results by a format's own function."""

    def __init__(self, read: ReadResult) -> None:
        self._read = read
        self.readings: list[tuple[int, Reading]] = []
        self.lines = Lines(self._take)

    def _take(self, line: Doc) -> bool:
        reading = _read(self._read, line)
        if _is_billed(reading):
            self.readings.append((self.lines.begins + 1, reading))
        return reading is not None


# https://www.rfc-editor.org/rfc/rfc9110#name-content-range
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def results_of(reader: ResultReader, buffer: LineBuffer, *, whole: bool) -> Results:
    """Return what was read of a file of results; `whole`: the body came to its natural end."""
    buffer.end()
    lines = reader.lines
    part = _RANGE.match((buffer.headers or {}).get("content-range", ""))
    first = int(part[1]) if part else 0
    last = part is None or part[3] == str(int(part[2]) + 1)
    if whole and last:
        lines.end()
    readings = [(first + at, reading) for at, reading in reader.readings]
    return Results(readings, first + lines.skipped, first + lines.begins, whole and last and not lines.broken)
