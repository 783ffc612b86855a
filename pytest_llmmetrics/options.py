"""What the plugin adds to pytest's command line, and its markers. Imports nothing but pytest: every run loads it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

LEFTOVERS = pytest.StashKey[Callable[[], list[str]]]()
"""Gives the cassettes that no test names."""

RECORD_MODES = ("none", "once", "all", "verify")

MARKERS = ("llm_cassette(*names, unused='fail', opaque=()): replay these cassettes, in order, as `llm_cassette`",)


def add(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("llm", "LLM calls")
    group.addoption(
        "--llm-record",
        choices=RECORD_MODES,
        default=None,
        help="what @pytest.mark.llm_cassette does with a live endpoint: none (default, and always where CI is set) "
        "replays; once records what is missing; all records anew; verify asks again and fails on drift",
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
