"""Finds a cassette by name: first among the user's own, then among those of the plugin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from textwrap import wrap
from typing import Any

from pytest_llmmetrics.cassettes.files import CassetteError

_NAME = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)*")
_SUFFIX = ".yaml"


def shipped() -> Path:
    """Return the directory of the shipped cassettes: the one of the checkout, or else the one in the wheel.

    An editable install does not have the wheel's data files.
    """
    here = Path(__file__).resolve().parents[1]
    checkout = here.parent / "cassettes"
    return checkout if (checkout / "make.py").is_file() else here / "data" / "cassettes"


def require_name(name: object) -> str:
    """Return a valid name. Raises `CassetteError` for an invalid one."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name.removesuffix(_SUFFIX)
    raise CassetteError(
        f"{name!r} is not the name of a cassette: write it as 'openai/rate_limited', relative to a cassette directory"
    )


def path_of(directory: Path, name: str) -> Path:
    """Return the path of a cassette in a directory."""
    return directory / f"{name}{_SUFFIX}"


def find(name: str, places: Sequence[Path]) -> Path | None:
    """Return the first file of this name in these directories."""
    return next((path for place in places if (path := path_of(place, name)).is_file()), None)


def names(places: Iterable[Path]) -> list[str]:
    """Return the names of all cassettes in these directories."""
    every = {
        path.relative_to(place).with_suffix("").as_posix()
        for place in places
        if place.is_dir()
        for path in place.rglob(f"*{_SUFFIX}")
    }
    return sorted(every)


def missing(name: str, places: Sequence[Path]) -> CassetteError:
    """Make the error for an unknown name: with the most similar name, or those of its directory, or all."""
    known = names(places)
    near = get_close_matches(name, known, 1)
    if near:
        return CassetteError(f"no cassette {name}: did you mean {near[0]}? {_RECORD}")
    # a provider's name without a case, or a case at another provider
    there = [each for each in known if each.startswith(f"{name.partition('/')[0]}/")]
    return CassetteError("\n".join([f"no cassette {name}: there are", *_listed(there or known), _RECORD]))


_RECORD = "--llm-record=once records a new one"


def _listed(names: Sequence[str]) -> Iterator[str]:
    """Yield the names, grouped by directory and wrapped."""
    groups: dict[str, list[str]] = {}
    for name in names:
        directory, slash, case = name.rpartition("/")
        groups.setdefault(directory + slash, []).append(case)
    for directory, cases in groups.items():
        yield from wrap(", ".join(cases), initial_indent=f"  {directory}: " if directory else "  ", **_WRAP)
    if not names:
        yield "  none"


_WRAP: Mapping[str, Any] = {
    "width": 100,
    "subsequent_indent": "      ",
    "break_long_words": False,
    "break_on_hyphens": False,
}
