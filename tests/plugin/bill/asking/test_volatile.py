"""Values that change from run to run, by their form, and the present time in a text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pytest_llmmetrics.bill.asking.reading import without
from pytest_llmmetrics.bill.asking.volatile import present_time, steady, volatile_at

NOW = datetime(2026, 11, 27, 14, 3, 5, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("run 0f8fad5b-d9cb-469f-a165-70867728950e", "run 7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        ("at 2026-11-27T14:03:05.1Z", "at 2027-01-02 03:04:05+01:00"),
        ("Today is 2026-11-27.", "Today is 2027-01-02."),
        ("Today is November 27, 2026.", "Today is January 2, 2027."),
        ("Fri, 27 Nov 2026 14:03:05 GMT", "Sat, 02 Jan 2027 03:04:05 GMT"),
        ("call_9pQ3abcdefgh", "call_zzzzzzzzzz12345"),
        ("toolu_01VLwCjyU7u928EqHmMRvow8", "toolu_01JA8S35SNy1ruX8gAXgb3Y6"),
        ("1764252185", "1796000000.25"),
        ("deadbeef01234567", "0123456789abcdef0123456789abcdef"),
    ],
)
def test_a_form_is_the_same_in_each_run(one, other):
    assert steady(one) == steady(other) != one
    assert steady({"a": [one]}) == steady({"a": [other]})


@pytest.mark.parametrize("text", ["call_me", "2,000 tokens", "gpt-4o-2024", "abcdefabcdefabcdef", "run_tests", "12:30"])
def test_other_texts_stay(text):
    assert steady(text) == text


def test_a_difference_inside_a_form_is_that_of_the_form():
    text = "It is 2026-11-27T14:03:05.123456Z now"
    found = volatile_at(text, text.index("123456"))
    assert (found.start, found.words) == (6, "a timestamp")
    assert volatile_at(text, 0) is None


@pytest.mark.parametrize(
    "text",
    [
        f"It is {NOW.isoformat()}.",
        f"It is {NOW.replace(tzinfo=None)}.",
        f"It is {NOW + timedelta(hours=5, minutes=30):%Y-%m-%d %H:%M:%S} in Delhi.",
        f"It is {NOW.timestamp():.3f}.",
        f"It is {NOW:%a, %d %b %Y %H:%M:%S GMT}.",
    ],
)
def test_the_present_time(text):
    assert present_time(text, NOW + timedelta(seconds=20)) == 6


@pytest.mark.parametrize(
    "text",
    [
        "It is 2026-11-27.",
        "It is 2026-11-27 14:00:00.",
        "It is 2026-11-27 14:03.",
        "2026-11-20T14:03:05Z",
        "14 o'clock",
        "",
    ],
)
def test_no_present_time(text):
    assert present_time(text, NOW) is None


def test_paths_that_are_left_out():
    fields = {"user": 1, "metadata": {"run": 2, "kept": 3}, "messages": [{"id": 4, "content": "a"}, {"id": 5}]}
    assert without(fields, ["user", "metadata.run", "messages[*].id", "nowhere.at.all"]) == {
        "metadata": {"kept": 3},
        "messages": [{"content": "a"}, {}],
    }
    assert without(fields, ["messages[1]"])["messages"] == [{"id": 4, "content": "a"}]
