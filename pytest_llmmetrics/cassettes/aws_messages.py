"""Splits and joins the binary messages of AWS's event streams, which Bedrock streams in. Pure.

A message is: its length, the length of its headers, a checksum of the two, the headers, the payload, a checksum.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_PRELUDE, _CHECK = 12, 4


class AwsMessage(NamedTuple):
    """One message; the headers stay as they are on the wire."""

    headers: bytes
    payload: bytes

    def __bytes__(self) -> bytes:
        size = _PRELUDE + len(self.headers) + len(self.payload) + _CHECK
        prelude = size.to_bytes(4, "big") + len(self.headers).to_bytes(4, "big")
        checked = prelude + crc32(prelude).to_bytes(4, "big") + self.headers + self.payload
        return checked + crc32(checked).to_bytes(4, "big")


def messages_of(body: bytes) -> list[AwsMessage] | None:
    """Split a body into its messages; None if it is no event stream, or is cut."""
    messages = []
    while body:
        size, inner = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
        end = _PRELUDE + inner
        is_whole = end + _CHECK <= size <= len(body)
        if not is_whole or crc32(body[:8]).to_bytes(4, "big") != body[8:12]:
            return None
        messages.append(AwsMessage(body[_PRELUDE:end], body[end : size - _CHECK]))
        body = body[size:]
    return messages
