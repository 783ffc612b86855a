"""Answers of providers, built from their documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from struct import pack
from zlib import crc32

from llmmetrics import Exchange, read_exchange

AT = datetime(2026, 8, 22, 12, 0, tzinfo=UTC)
"""A time with known prices."""


def read(url: str, answer: object, *, asked: object = None, status: int = 200, headers=()) -> Exchange:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return read_exchange(
        method="POST",
        url=url,
        request_headers=[],
        request_body=json.dumps(asked or {"model": "m"}).encode(),
        status=status,
        response_headers=headers,
        response_body=body,
        at=AT,
    )


def counts(exchange: Exchange) -> tuple[int, int] | None:
    """Return prompt and completion tokens; None: no usage."""
    return exchange.usage and exchange.usage[:2]


def sse(*events: object, newline: str = "\n") -> bytes:
    return "".join(f"data: {json.dumps(each)}{newline * 2}" for each in events).encode()


def aws(fields: object, **headers: str) -> bytes:
    """Build a message of an AWS event stream, from its specification."""
    named = {":" + name.replace("_", "-"): value for name, value in headers.items()}
    pairs = ((name.encode(), value.encode()) for name, value in named.items())
    head = b"".join(bytes([len(n)]) + n + b"\x07" + pack(">H", len(v)) + v for n, v in pairs)
    payload = json.dumps(fields).encode()
    start = pack(">II", 16 + len(head) + len(payload), len(head))
    whole = start + pack(">I", crc32(start)) + head + payload
    return whole + pack(">I", crc32(whole))


def event(name: str, fields: object) -> bytes:
    """Build a message of type event."""
    return aws(fields, event_type=name, message_type="event")
