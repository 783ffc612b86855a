"""Reads and writes baselines and reports. An error says in one sentence what is wrong and what to do."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pytest_llmmetrics.bill.rows import Row

D = TypeVar("D", bound=BaseModel)


class DocumentError(ValueError):
    """An unusable file; the message says what to do."""


def parsed(kind: type[D], text: str, name: str) -> D:
    """Parse a document. Raises `DocumentError`, whose message starts with `name`."""
    what = kind.__name__.lower()
    if re.search(r"^(<{7}|={7}|>{7})", text, re.MULTILINE):
        raise DocumentError(f"{name} has merge-conflict markers: run llmmetrics-gate resolve {name}, then the tests")
    try:
        fields = json.loads(text)
    except RecursionError:
        raise DocumentError(f"{name} is nested too deep: restore it from version control, or write a new one") from None
    except ValueError as exc:
        raise DocumentError(
            f"{name} is not JSON ({exc}): restore it from version control, or write a new one"
        ) from None
    if not isinstance(fields, dict) or "schema" not in fields:
        raise DocumentError(f"{name} is not a {what} of pytest-llmmetrics: it has no key 'schema'")
    known = 2
    if not isinstance(fields["schema"], int) or fields["schema"] > known:
        raise DocumentError(
            f"{name} has the schema {fields['schema']!r}, and this pytest-llmmetrics reads up to {known}: install the "
            "version that wrote it, or a newer one"
        )
    try:
        document = kind.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DocumentError(
            f"{name} is not a valid {what}: {where}: {first['msg']} ({exc.error_count()} in all): correct it, or write "
            "a new file"
        ) from None
    check_rows(getattr(document, "rows", ()), name)
    return document


def check_rows(rows: Iterable[Row], name: str) -> None:
    """Check rows. Raises `DocumentError` for two rows with one key, and for a test id that is a path of one machine."""
    seen = set()
    for row in rows:
        if row.key in seen:
            raise DocumentError(
                f"{name} has two rows of {row.test} with {row.backend} {row.model} {row.answered}: keep one, then run "
                "--llm-baseline=fix"
            )
        seen.add(row.key)
        if foreign(row.test):
            raise DocumentError(
                f"{name} has the test {row.test!r}, which is a path of one machine: run pytest from the repository's "
                "root, so that ids are relative to it (--rootdir)"
            )


def foreign(test: str) -> bool:
    """Tell whether a test's id is a path that only exists on one machine."""
    return bool(re.match(r"/|\.\./|[A-Za-z]:[\\/]|\\\\|[^:\[]*\\", test))


def read(kind: type[D], path: Path, name: str = "") -> D:
    """Read a document from a file. Raises `DocumentError`, whose message starts with `name`, or the path."""
    name = name or str(path)
    try:
        text = path.read_text("utf8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise DocumentError(f"{name} cannot be read: {reason}") from None
    return parsed(kind, text, name)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises `DocumentError`."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf8", newline="\n") as out:
            out.write(text)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as exc:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise DocumentError(f"{path} cannot be written: {exc.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def line(value: Any) -> str:
    """Return a JSON value on one line."""
    return json.dumps(value, ensure_ascii=False)
