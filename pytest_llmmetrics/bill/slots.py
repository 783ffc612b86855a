"""The text of a baseline: rows stand in 256 slots, so that plain git merges the changes of two branches. Pure.

A slot is chosen by a hash of the test's id, and each begins with a line that never changes: rows that two branches add
or change stand in different slots, with such a line between them. A row ends with a comma, the last one too, and `null`
ends the slot: adding a row changes no other line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_llmmetrics.bill.documents import line

SLOTS = [f"{n:02x}" for n in range(256)]


def slot_of(name: str) -> str:
    """Return the slot of a test or price."""
    return hashlib.blake2b(name.encode("utf8", "replace"), digest_size=1).hexdigest()


def written(title: str, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the lines of an object with all slots; the entries of a slot keep their order."""
    slots: dict[str, list[str]] = {name: [] for name in SLOTS}
    for name, entry in entries:
        slots[slot_of(name)].append(f"{line(entry)},")
    before = f'"{title}": {{'
    for name, lines in slots.items():
        yield f'{before}"{name}": ['
        yield from lines
        before = "null], "
    yield "null]},"


def entries(value: Any) -> list[Any]:
    """Return the entries of an object that `written` has written; any other value stays as it is."""
    if not isinstance(value, dict) or not all(isinstance(each, list) for each in value.values()):
        return value if isinstance(value, list) else []
    return [entry for slot in value.values() for entry in slot if entry is not None]
