"""Looks headers up without decoding all of them, as httpx does at every question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

NAME: Any = itemgetter(1)
"""Takes the name out of what httpx holds of a header: as it was sent, in lower case, value."""

_PAIR: Any = itemgetter(1, 2)


def lower_names(headers: Mapping[str, str]) -> Iterable[bytes]:
    """Return the headers' names in lower case. A set can be asked whether it has one of them without a loop."""
    held = getattr(headers, "_list", None)
    return (name.lower().encode("latin1", "replace") for name in headers) if held is None else map(NAME, held)


def lower_pairs(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    """Return the headers' names in lower case, each with its value."""
    held = getattr(headers, "_list", None)
    if held is not None:
        return map(_PAIR, held)
    return (
        (name.lower().encode("latin1", "replace"), str(value).encode("latin1", "replace"))
        for name, value in headers.items()
    )
