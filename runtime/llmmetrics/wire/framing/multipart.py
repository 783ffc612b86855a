"""The text fields of a form with uploads: https://www.rfc-editor.org/rfc/rfc7578. The uploads are not read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_NAME = re.compile(rb'\bname="([^"]*)"')

MOST = 64 * 1024
"""Bytes of a form that are looked at: SDKs write the text fields first."""


def fields(form: bytes) -> dict[str, str]:
    """Return the text fields in the first bytes of a form, and the names of its uploads, with an empty text."""
    line, _, rest = form[:MOST].partition(b"\r\n")
    found: dict[str, str] = {}
    *parts, _ = (b"\r\n" + rest).split(b"\r\n" + line)
    for part in parts:
        head, _, value = part.partition(b"\r\n\r\n")
        if name := _NAME.search(head):
            upload = b"filename" in head
            found[name[1].decode("utf8", "replace")] = "" if upload else value.decode("utf8", "replace")
    return found


def written(parts: Iterable[tuple[str, Any]]) -> bytes:
    """Write a form of these names and values; a value that is no text is an upload, and is left out."""
    line = b"--form\r\n"
    whole = line
    for name, value in parts:
        head = 'Content-Disposition: form-data; name="%s"%s\r\n\r\n'
        text = (head % (name, ""), value) if isinstance(value, str) else (head % (name, '; filename=""'), "")
        whole += "".join(text).encode() + b"\r\n" + line
    return whole


def without_uploads(form: object) -> bytes:
    """Return a form with empty uploads. `form` is the stream of a request of httpx; empty for any other stream."""
    boundary, parts = getattr(form, "boundary", None), getattr(form, "fields", None)
    if not isinstance(boundary, bytes) or not isinstance(parts, list):
        return b""
    line = b"--" + boundary + b"\r\n"
    whole = line
    for part in parts:
        whole += part.render_headers() if hasattr(part, "file") else b"".join(part.render())
        whole += b"\r\n" + line
    return whole
