"""Finds the values of requests that another run of the same test writes otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any


def changing(first: Iterable[Any], second: Iterable[Any]) -> set[str]:
    """Return the paths at which the requests of two runs differ, as `llm_ignore` takes them.

    A request that only one run has differs as a whole, which is no value to ignore.
    """
    pairs = zip_longest(first, second)
    return {path for old, new in pairs for path in _paths(old, new, "") if path}


def _paths(old: Any, new: Any, where: str) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _paths(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for n, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _paths(one, other, f"{where}[{n}]")
    else:
        yield where
