"""AWS event streams: binary messages with checksums, as Bedrock streams them.

https://smithy.io/2.0/aws/amazon-eventstream.html. A message is its length, the length of its headers and a
checksum of both, four bytes each; then headers, payload, and a checksum of everything.
"""

from collections.abc import Mapping
from struct import Struct, error
from typing import NamedTuple
from zlib import crc32

_PRELUDE = Struct(">III")
_WORD = Struct(">I")
_SHORT = Struct(">H")
_FRAME = _PRELUDE.size + _WORD.size

_STRING = 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type; values of the other types carry their length."""


class Message(NamedTuple):
    """One message, with the headers that are strings: only they name its kind."""

    headers: Mapping[str, str]
    payload: bytes


def _size(data: bytes, at: int) -> int:
    """Return the size of the message that starts here; 0 if none does."""
    if at + _PRELUDE.size > len(data):
        return 0
    size, headers, checksum = _PRELUDE.unpack_from(data, at)
    if size < _FRAME + headers or crc32(data[at : at + 8]) != checksum:
        return 0
    return int(size)


def is_eventstream(start: bytes) -> bool:
    """Return whether a body with this start is an event stream: its first checksum is right."""
    return _size(start, 0) > 0


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the whole messages in these bytes, and the end of a torn one before them.

    A message with a wrong checksum is left out.
    """
    messages: list[bytes] = []
    first, at = len(data), 0
    while at >= 0:
        size = _size(data, at)
        if not size:
            # a length below 16 MiB, the most there is, begins with a zero
            at = data.find(b"\0", at + 1)
            continue
        first = min(first, at)
        piece = data[at : at + size]
        if len(piece) == size and crc32(piece[:-4]) == _WORD.unpack(piece[-4:])[0]:
            messages.append(piece)
        at += size
    return messages, data[:first]


def is_damaged(data: bytes) -> bool:
    """Return whether a stream that begins somewhere in these bytes has a damaged message."""
    at = len(split(data)[1])
    while at + _PRELUDE.size <= len(data):
        size = _size(data, at)
        piece = data[at : at + size]
        if not size or (len(piece) == size and crc32(piece[:-4]) != _WORD.unpack(piece[-4:])[0]):
            return True
        at += size
    return False


def message(piece: bytes) -> Message:
    """Return the headers and payload of a message from `split`."""
    headers, payload = parts(piece)
    return Message(_headers(headers), payload)


def parts(piece: bytes) -> tuple[bytes, bytes]:
    """Return the headers, as they are on the wire, and the payload of a message from `split`."""
    end = _PRELUDE.size + _PRELUDE.unpack_from(piece)[1]
    return piece[_PRELUDE.size : end], piece[end:-4]


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            start = at + 1
            at = start + data[at]
            name, kind = data[start:at], data[at]
            at += 1
            if (size := _SIZES.get(kind)) is None:
                (size,) = _SHORT.unpack_from(data, at)
                at += _SHORT.size
            if kind == _STRING:
                headers[name.decode("utf8", "replace")] = data[at : at + size].decode("utf8", "replace")
            at += size
    except (IndexError, error):
        # the checksum holds, so that is what was sent
        pass
    return headers
