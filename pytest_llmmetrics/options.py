"""Command-line options and markers of the fixtures."""

from __future__ import annotations

import os
from typing import Any

import pytest

RECORD_MODES = ("none", "once", "all", "verify")

MARKERS = (
    "llm_cassette(*names, unused='fail', opaque=()): answer the test's LLM calls from these cassettes, in order",
    "llm_faults(only=None, exclude=()): run the test once for each fault, which is the fixture llm_fault",
    "llm_provider(assert_all_requested=True, assert_all_scripted=True): how strict the fixture llm_provider is",
    "llm_server(assert_all_requested=True, assert_all_scripted=True): how strict the fixture llm_server is",
)


def add(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("llm", "LLM calls")
    group.addoption(
        "--llm-network",
        choices=("allow", "deny", "auto"),
        default="auto",
        help="whether tests may open connections to LLM hosts: allow, deny, or auto (default), which denies them to "
        "tests that use a simulating fixture or marker",
    )
    group.addoption(
        "--llm-record",
        choices=RECORD_MODES,
        default=None,
        help="whether @pytest.mark.llm_cassette uses the live endpoint: none (default, and always if CI is set) only "
        "replays; once records what is missing; all records everything again; verify sends the requests again and "
        "fails if the shape of an answer has changed",
    )


def record_mode(config: pytest.Config) -> str:
    """Return one of `RECORD_MODES`: always `none` under CI."""
    return "none" if in_ci() else asked_to_record(config)


def asked_to_record(config: pytest.Config) -> str:
    """Return the record mode of the command line."""
    return str(config.getoption("llm_record", None) or "none")


def in_ci() -> bool:
    """Tell whether this run is under CI: whether the variable CI is set."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def arguments(marker: pytest.Mark, known: tuple[str, ...]) -> dict[str, Any]:
    """Return a marker's keyword arguments. Raises `ValueError` for an unknown argument."""
    from difflib import get_close_matches

    if marker.args:
        raise ValueError(f"@pytest.mark.{marker.name} takes keyword arguments: {', '.join(known)}")
    for name in marker.kwargs.keys() - set(known):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
        raise ValueError(f"@pytest.mark.{marker.name} has no argument {name}: {hint}")
    return dict(marker.kwargs)
