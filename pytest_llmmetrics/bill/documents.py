"""Reads the two kinds of files, baselines and reports; whatever is wrong with one is said in one sentence."""

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
    """A file that cannot be used; the message says what to do."""


def parsed(kind: type[D], text: str, name: str) -> D:
    """The document in this text. Raises `DocumentError`, which calls it by `name`."""
    what = kind.__name__.lower()
    if re.search(r"^(<{7}|={7}|>{7})", text, re.MULTILINE):
        raise DocumentError(
            f"{name} has merge-conflict markers in it: take both sides' rows, then run --llm-baseline=fix"
        )
    try:
        fields = json.loads(text)
    except ValueError as exc:
        raise DocumentError(
            f"{name} is not JSON ({exc}): restore it from version control, or write a new one"
        ) from None
    if not isinstance(fields, dict) or "schema" not in fields:
        raise DocumentError(f"{name} is no {what} of pytest-llmmetrics: it has no key 'schema'")
    known = 1
    if not isinstance(fields["schema"], int) or fields["schema"] > known:
        raise DocumentError(
            f"{name} has the schema {fields['schema']!r} and this pytest-llmmetrics knows {known}: install the version "
            "that wrote it, or a newer one"
        )
    try:
        found = kind.model_validate(fields)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DocumentError(
            f"{name} is no valid {what}: {where}: {first['msg']} ({exc.error_count()} in all): correct it, or write "
            "the file anew"
        ) from None
    check_rows(getattr(found, "rows", ()), name)
    return found


def check_rows(rows: Iterable[Row], name: str) -> None:
    """Raises `DocumentError` for rows that cannot be told apart, or that only one machine could have."""
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
    """Whether a test's id is a path that other machines do not have."""
    return bool(re.match(r"/|\.\./|[A-Za-z]:[\\/]|\\\\|[^:\[]*\\", test))


def read(kind: type[D], path: Path) -> D:
    """The document in this file. Raises `DocumentError`."""
    try:
        text = path.read_text("utf8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise DocumentError(f"{path} cannot be read: {reason}") from None
    return parsed(kind, text, path.name)


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises `DocumentError`."""
    made = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf8", newline="\n") as out:
            out.write(text)
        Path(made).chmod(0o666 & ~_umask())
        Path(made).replace(path)
    except OSError as exc:
        if made is not None:
            Path(made).unlink(missing_ok=True)
        raise DocumentError(f"{path} cannot be written: {exc.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def line(value: Any) -> str:
    """A JSON value on one line."""
    return json.dumps(value, ensure_ascii=False)
