"""The text of a baseline: rows stand in slots, so that plain git merges the changes of two branches. Pure.

A slot is chosen by a hash of the test's id, and each begins with a line that never changes: rows that two branches add
or change stand in different slots, with such a line between them. A row ends with a comma, the last one too, and `0`
ends the slot: adding a row changes no other line. With 256 slots, one pair of branches in eleven that each add three
tests and change two has two of them in one slot, side by side; with 4,096 one in 150.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_llmmetrics.bill.documents import line

ROWS, PRICES = 3, 2
"""The hexadecimal digits of a slot's name."""


def written(title: str, digits: int, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the lines of an object with all slots; the entries of a slot keep their order."""
    slots: dict[str, list[str]] = {f"{n:0{digits}x}": [] for n in range(16**digits)}
    for name, entry in entries:
        slots[_hash(name)[:digits]].append(f"{line(entry)},")
    before = f'"{title}":{{'
    for name, lines in slots.items():
        yield f'{before}"{name}":['
        yield from lines
        before = "0],"
    yield "0]},"


def _hash(name: str) -> str:
    return hashlib.blake2b(name.encode("utf8", "replace"), digest_size=4).hexdigest()


def entries(value: Any) -> list[Any]:
    """Return the entries of an object that `written` has written; none of any other value."""
    slots = value.values() if isinstance(value, dict) else ()
    return [entry for slot in slots if isinstance(slot, list) for entry in slot if isinstance(entry, dict)]
