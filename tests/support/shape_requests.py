"""Requests for a shape's answers."""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterator
from typing import Any

import httpx

AWS = "application/vnd.amazon.eventstream"


def post(url: str, **request: Any) -> httpx.Response:
    # loading the system's certificates takes longer than all the rest
    with httpx.Client(verify=False) as client:
        return client.post(url, **request)


def messages(data: bytes) -> Iterator[dict]:
    """The documents of an AWS event stream, by https://smithy.io/2.0/aws/amazon-eventstream.html."""
    while data:
        size, headers, checksum = struct.unpack(">III", data[:12])
        assert binascii.crc32(data[:8]) == checksum
        assert binascii.crc32(data[: size - 4]) == int.from_bytes(data[size - 4 : size], "big")
        names = dict(re.findall(rb"(:[a-z-]+)\x07\x00.([A-Za-z/]+)", data[12 : 12 + headers], re.DOTALL))
        assert (names[b":message-type"], names[b":content-type"]) == (b"event", b"application/json")
        fields = json.loads(data[12 + headers : size - 4])
        inner = json.loads(base64.b64decode(fields["bytes"])) if "bytes" in fields else None
        yield {names[b":event-type"].decode(): fields} if inner is None else inner
        data = data[size:]


def events(answer: httpx.Response) -> list[dict]:
    """The documents of a stream, read by nothing but this."""
    kind = answer.headers["content-type"]
    if kind == "application/json":
        return answer.json()
    if kind == AWS:
        return list(messages(answer.content))
    if kind in ("application/x-ndjson", "application/stream+json"):
        return [json.loads(line) for line in answer.text.splitlines()]
    data = re.findall(r"^data: (.*)$", answer.text, re.MULTILINE)
    return [json.loads(each) for each in data if each != "[DONE]"]
