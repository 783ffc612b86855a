"""Looks headers up without decoding all of them, as httpx does at every question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

_NAME: Any = itemgetter(1)


def lower_names(headers: Mapping[str, str]) -> Iterable[bytes]:
    """Return the headers' names in lower case. A set can be asked whether it has one of them without a loop."""
    # httpx and httpx2 hold (name as it was sent, in lower case, value)
    held = getattr(headers, "_list", None)
    return (name.lower().encode("latin1", "replace") for name in headers) if held is None else map(_NAME, held)
