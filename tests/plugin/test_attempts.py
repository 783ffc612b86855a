"""Attempts are grouped into calls."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from llmmetrics import Status
from pytest_llmmetrics.attempts import calls_of


class Attempt(NamedTuple):
    fingerprint: str
    status: str


def attempts(text: str) -> list[Attempt]:
    """Make an attempt: `a` is a success of request a, `a!` a failure."""
    return [Attempt(each[0], "failure" if each.endswith("!") else "success") for each in text.split()]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("", []),
        ("a", ["a"]),
        ("a a", ["a", "a"]),
        ("a! a! a", ["a!a!a"]),
        ("a! a a", ["a!a", "a"]),
        ("a! b! b a", ["a!a", "b!b"]),
        ("a! a!", ["a!a!"]),
        ("a a! b", ["a", "a!", "b"]),
    ],
)
def test_a_retry_belongs_to_the_call_that_failed(text, calls):
    said = ["".join(x.fingerprint + "!" * (x.status != "success") for x in call) for call in calls_of(attempts(text))]
    assert said == calls


def test_a_records_status_is_the_word():
    assert Status.SUCCESS == "success"
