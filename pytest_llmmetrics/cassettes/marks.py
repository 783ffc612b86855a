"""What the marker `llm_cassette` says, and what it cannot be on one test with."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

import pytest

from pytest_llmmetrics.cassettes.files import CassetteError
from pytest_llmmetrics.cassettes.names import require_name

_ARGUMENTS = ("unused", "opaque")
_RIVALS = {
    "httpx_mock": "vcrpy over pytest-httpx goes to the real network",
    "llm_provider": "both answer every LLM call",
    "llm_server": "a cassette answers before the request gets there",
}
"""Fixtures that cannot be in a test with a cassette, and why."""


class Wanted(NamedTuple):
    """What the marker says."""

    names: tuple[str, ...]
    allow_unused: bool
    opaque: tuple[str, ...]


def wanted(mark: pytest.Mark) -> Wanted:
    """Raises `CassetteError` for a name or an argument that cannot be."""
    for name in mark.kwargs.keys() - set(_ARGUMENTS):
        near = get_close_matches(name, _ARGUMENTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"it takes names and {', '.join(_ARGUMENTS)}"
        raise CassetteError(f"@pytest.mark.llm_cassette has no argument {name}: {hint}")
    if not mark.args:
        raise CassetteError('@pytest.mark.llm_cassette names no cassette: say which, such as "openai/rate_limited"')
    unused, opaque = mark.kwargs.get("unused", "fail"), mark.kwargs.get("opaque", ())
    if unused not in ("fail", "allow"):
        raise CassetteError(f"@pytest.mark.llm_cassette: unused cannot be {unused!r}: it is 'fail' or 'allow'")
    if isinstance(opaque, str) or not all(isinstance(each, str) for each in opaque):
        raise CassetteError("@pytest.mark.llm_cassette: opaque is a list of JSON keys")
    return Wanted(tuple(map(require_name, mark.args)), unused == "allow", tuple(opaque))


def refuse_rivals(item: pytest.Item) -> None:
    """Raises `CassetteError` for a test that asks for two things of which only one can answer."""
    if item.get_closest_marker("vcr"):
        raise CassetteError("@pytest.mark.vcr and @pytest.mark.llm_cassette both patch vcrpy into the test: take one")
    for name, why in _RIVALS.items():
        if name in getattr(item, "fixturenames", ()):
            raise CassetteError(f"{name} and @pytest.mark.llm_cassette cannot be in one test: {why}. Take one")
