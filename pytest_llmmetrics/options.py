"""What the plugin adds to pytest's command line, and its markers."""

from __future__ import annotations

import os
from typing import Any

import pytest

RECORD_MODES = ("none", "once", "all", "verify")

MARKERS = (
    "llm_cassette(*names, unused='fail', opaque=()): replay these cassettes, in order, as `llm_cassette`",
    "llm_faults(only=None, exclude=()): run the test once for each fault, as `llm_fault`",
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
        help="whether tests may open connections to LLM hosts: auto (default) denies it to tests that use a "
        "simulating fixture or marker",
    )
    group.addoption(
        "--llm-record",
        choices=RECORD_MODES,
        default=None,
        help="what @pytest.mark.llm_cassette does with a live endpoint: none (default, and always where CI is set) "
        "replays; once records what is missing; all records everything again; verify asks again and fails on drift",
    )


def record_mode(config: pytest.Config) -> str:
    """One of `RECORD_MODES`: under CI nothing is recorded, whatever was asked for."""
    return "none" if in_ci() else asked_to_record(config)


def asked_to_record(config: pytest.Config) -> str:
    """What the command line says."""
    return str(config.getoption("llm_record", None) or "none")


def in_ci() -> bool:
    """Whether this is a CI's run, as every CI says it."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def arguments(marker: pytest.Mark, known: tuple[str, ...]) -> dict[str, Any]:
    """A marker's keyword arguments. Raises `ValueError` for any other."""
    from difflib import get_close_matches

    if marker.args:
        raise ValueError(f"@pytest.mark.{marker.name} takes keyword arguments: {', '.join(known)}")
    for name in marker.kwargs.keys() - set(known):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
        raise ValueError(f"@pytest.mark.{marker.name} has no argument {name}: {hint}")
    return dict(marker.kwargs)
