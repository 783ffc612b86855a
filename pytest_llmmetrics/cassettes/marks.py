"""Reads the marker `llm_cassette`, and rejects fixtures that cannot be combined with it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

import pytest

from pytest_llmmetrics.cassettes.files import CassetteError
from pytest_llmmetrics.cassettes.names import require_name

_ARGUMENTS = ("unused", "opaque")
_RIVALS = {
    "httpx_mock": "vcrpy over pytest-httpx sends requests to the real network",
    "llm_provider": "both answer every LLM call",
    "llm_server": "a cassette answers before the request reaches the server",
}
"""Fixtures that cannot be combined with a cassette, and why."""


class Wanted(NamedTuple):
    """The marker's arguments."""

    names: tuple[str, ...]
    allow_unused: bool
    opaque: tuple[str, ...]


def wanted(mark: pytest.Mark) -> Wanted:
    """Read the marker. Raises `CassetteError` for an invalid name or argument."""
    for name in mark.kwargs.keys() - set(_ARGUMENTS):
        near = get_close_matches(name, _ARGUMENTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"it takes names and {', '.join(_ARGUMENTS)}"
        raise CassetteError(f"@pytest.mark.llm_cassette has no argument {name}: {hint}")
    if not mark.args:
        raise CassetteError('@pytest.mark.llm_cassette needs the name of a cassette, such as "openai/rate_limited"')
    unused, opaque = mark.kwargs.get("unused", "fail"), mark.kwargs.get("opaque", ())
    if unused not in ("fail", "allow"):
        raise CassetteError(f"@pytest.mark.llm_cassette: unused={unused!r} is invalid: write 'fail' or 'allow'")
    if isinstance(opaque, str) or not all(isinstance(each, str) for each in opaque):
        raise CassetteError("@pytest.mark.llm_cassette: opaque must be a list of JSON keys, such as ['key']")
    return Wanted(tuple(map(require_name, mark.args)), unused == "allow", tuple(opaque))


def refuse_rivals(item: pytest.Item) -> None:
    """Check a test's markers and fixtures. Raises `CassetteError` if something else would answer its LLM calls too."""
    if item.get_closest_marker("vcr"):
        raise CassetteError(
            "@pytest.mark.vcr and @pytest.mark.llm_cassette both use vcrpy: use only one of them on a test"
        )
    for name, why in _RIVALS.items():
        if name in getattr(item, "fixturenames", ()):
            raise CassetteError(
                f"{name} and @pytest.mark.llm_cassette cannot be in one test: {why}. Use only one of them"
            )
