"""Groups attempts into calls: an SDK that retries twice makes three attempts of one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Attempt(Protocol):
    """The fields of a `CallRecord` that decide to which call an attempt belongs."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def status(self) -> str: ...


A = TypeVar("A", bound=Attempt)


def calls_of(attempts: Iterable[A]) -> list[list[A]]:
    """Group the attempts of one test, in the order in which they ended, into calls.

    An attempt that repeats the request of an attempt that did not succeed is its retry. After a success, the same
    request is a new call.
    """
    calls: list[list[A]] = []
    unanswered: dict[str, list[A]] = {}
    for attempt in attempts:
        call = unanswered.pop(attempt.fingerprint, None)
        if call is None:
            calls.append(call := [])
        call.append(attempt)
        if attempt.status != "success":
            unanswered[attempt.fingerprint] = call
    return calls
