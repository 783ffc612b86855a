"""Reads the lines of a file in a multipart body while it is sent. Holds one line at most. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from llmmetrics.reading.results import Lines
from llmmetrics.wire.framing.frames import Doc

# https://www.rfc-editor.org/rfc/rfc2046#section-5.1.1
_BOUNDARY = re.compile(r'multipart/form-data;.*boundary="?([^";]+)', re.IGNORECASE)

MOST_HEADERS = 1 << 16
"""Bytes of the headers of a part; with more, nothing is read."""


_PIECE = 1 << 16


class UploadReader:
    """Finds the file in a form, and gives its lines to `take`."""

    def __init__(self, content_type: str, take: Callable[[Doc], bool]) -> None:
        match = _BOUNDARY.search(content_type)
        self.lines = Lines(take)
        self.lines.broken = match is None
        self._end = b"\r\n--" + (match[1].encode("latin1", "replace") if match else b"")
        # the first boundary has no line break before it
        self._held = b"\r\n"
        self._in_headers = self._in_file = False

    def feed(self, data: bytes) -> None:
        """Read a piece of the body."""
        # a file that its caller has as bytes comes as one piece: no second copy of it is made
        for start in range(0, len(data), _PIECE):
            self._held += data[start : start + _PIECE]
            while not self.lines.broken and self._step():
                continue

    def _step(self) -> bool:
        """Read up to the next border of a part or of its headers; return whether there was one."""
        held, border = self._held, b"\r\n\r\n" if self._in_headers else self._end
        at = held.find(border)
        if at < 0:
            keep = len(held) if self._in_headers else len(border) - 1
            if self._in_file:
                self.lines.feed(held[: len(held) - keep] if keep < len(held) else b"")
            self._held = held[-keep:] if keep else b""
            self.lines.broken |= len(self._held) > MOST_HEADERS
            return False
        if self._in_headers:
            self._in_file = b"filename=" in held[:at]
        elif self._in_file:
            self.lines.feed(held[:at])
            self.lines.end()
            self._in_file = False
        self._in_headers = not self._in_headers
        self._held = held[at + len(border) :]
        return True
