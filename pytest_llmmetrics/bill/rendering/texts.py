"""Texts that are safe to show: names of tests and models come from outside. Pure."""

from __future__ import annotations

import re

_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters, those that change the direction of a text, invisible ones, and halves of characters."""


def visible(text: str) -> str:
    """Write control characters as escapes: a terminal, a log and a page show them, and do not obey them."""
    return _HIDDEN.sub(lambda match: " " if match[0] in "\t\n\r" else f"\\x{ord(match[0]):02x}", text)


def shortened(text: str, most: int = 200) -> str:
    """Cut a long text in its middle: the ends of a test's id say more."""
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[-most // 3 :]}"
