"""The messages of AWS's event streams, which Bedrock streams in: what a cassette scrubs and compares of them. Pure."""

from __future__ import annotations

from base64 import b64decode
from typing import Any, NamedTuple

from llmmetrics.testing.harness import aws_framed, aws_parts, aws_split

CONTENT_TYPE = "application/vnd.amazon.eventstream"


class AwsMessage(NamedTuple):
    """One message; the headers stay as they are on the wire."""

    headers: bytes
    payload: bytes

    def __bytes__(self) -> bytes:
        return aws_framed(self.headers, self.payload)


def messages_of(body: bytes) -> list[AwsMessage] | None:
    """Split a body into its messages; None if it is no event stream, is cut or is damaged."""
    pieces, _ = aws_split(body)
    is_whole = sum(map(len, pieces)) == len(body)
    return [AwsMessage(*aws_parts(each)) for each in pieces] if is_whole else None


def inner_text(fields: Any) -> str | None:
    """Return the text in the base64 of the field `bytes`, where Bedrock's `InvokeModel` has its JSON; None: no such."""
    try:
        return b64decode(fields["bytes"]).decode()
    except (ValueError, KeyError, TypeError):
        return None
