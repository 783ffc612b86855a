"""Where a cassette of some name is: among the user's own first, then among those that ship with the plugin."""

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
    """The directory of the shipped cassettes: the checkout's, else the one in the wheel.

    In an editable install, what the wheel puts beside the modules is not there.
    """
    here = Path(__file__).resolve().parents[1]
    checkout = here.parent / "cassettes"
    return checkout if (checkout / "make.py").is_file() else here / "data" / "cassettes"


def require_name(name: object) -> str:
    """The name, if it can be one. Raises `CassetteError`."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name.removesuffix(_SUFFIX)
    raise CassetteError(f"{name!r} is no name of a cassette: it is such as 'openai/rate_limited', below a directory")


def path_of(directory: Path, name: str) -> Path:
    """Where the cassette is kept, or would be."""
    return directory / f"{name}{_SUFFIX}"


def find(name: str, places: Sequence[Path]) -> Path | None:
    """The first of these directories' files of this name."""
    return next((path for place in places if (path := path_of(place, name)).is_file()), None)


def names(places: Iterable[Path]) -> list[str]:
    """Every cassette there."""
    found = {
        path.relative_to(place).with_suffix("").as_posix()
        for place in places
        if place.is_dir()
        for path in place.rglob(f"*{_SUFFIX}")
    }
    return sorted(found)


def missing(name: str, places: Sequence[Path]) -> CassetteError:
    """What is said of a name that no cassette has: the nearest one, else those of its directory, else all."""
    known = names(places)
    near = get_close_matches(name, known, 1)
    if near:
        return CassetteError(f"no cassette {name}: did you mean {near[0]}? {_RECORD}")
    # a provider's name without a case, or a case at another provider
    there = [each for each in known if each.startswith(f"{name.partition('/')[0]}/")]
    return CassetteError("\n".join([f"no cassette {name}: there are", *_listed(there or known), _RECORD]))


_RECORD = "A new one is recorded with --llm-record=once"


def _listed(names: Sequence[str]) -> Iterator[str]:
    """The names by directory, wrapped; the directory stands once."""
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
