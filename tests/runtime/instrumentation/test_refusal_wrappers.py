"""`budget_exceeded` finds a refusal in what a framework makes of an SDK's exception."""

from __future__ import annotations

import openai
import pytest
from support.budget_setup import Setup

from llmmetrics import budget_exceeded


@pytest.fixture
def refused(limited, provider):
    """The exception of an SDK for a refused call."""
    client = limited.wrap(openai.OpenAI(api_key="x", base_url=f"{provider.url}/openai/v1"))
    ask = lambda: client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": "hi"}])  # noqa: E731
    ask()
    with client, pytest.raises(openai.APIStatusError) as caught:
        ask()
    return caught.value


class FrameworkError(Exception):
    """A framework's exception without a cause."""


def in_a_group(exc):
    return ExceptionGroup("unhandled errors in a TaskGroup", [ValueError("another"), ExceptionGroup("inner", [exc])])


def in_the_context_of_a_group(exc):
    made = FrameworkError("the program failed")
    made.__context__ = in_a_group(exc)
    made.__suppress_context__ = True
    return made


def as_text(exc):
    """DSPy's streams keep nothing else: they raise from None."""
    return FrameworkError(f"[m-1] litellm.APIError: {exc}")


def as_text_in_a_group(exc):
    return ExceptionGroup("unhandled errors", [as_text(exc)])


@pytest.mark.parametrize("wrap", [in_a_group, in_the_context_of_a_group, as_text, as_text_in_a_group])
def test_a_refusal_is_found(refused, wrap):
    found = budget_exceeded(wrap(refused))
    assert found is not None
    assert str(found) == str(budget_exceeded(refused))
    assert (found.backend, found.reason) == ("openai", "limit")


def test_another_error_after_a_refusal_is_none(refused):
    assert budget_exceeded(in_a_group(FrameworkError("Error code: 402 - refused"))) is None
    assert budget_exceeded(FrameworkError("")) is None
    assert budget_exceeded(None) is None


def test_the_newest_of_two_refusals_with_one_text():
    setup = Setup(OnBudgetExceeded="respond")
    first = setup.call(model="unpriced-7b")
    setup.call()
    second = setup.call(model="unpriced-7b")
    assert first.text == second.text
    message = second.json()["error"]["message"]
    assert budget_exceeded(as_text(message)).spent == 3
