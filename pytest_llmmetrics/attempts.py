"""Which attempts on the wire are one call: an SDK that retries twice makes three attempts, and its caller one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar


class Attempt(Protocol):
    """What a `CallRecord` says of an attempt that matters here."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def status(self) -> str: ...


A = TypeVar("A", bound=Attempt)


def calls_of(attempts: Iterable[A]) -> list[list[A]]:
    """The attempts of one test, in the order in which they ended, as calls.

    An attempt that sends what an earlier one sent that did not succeed is that call's retry. After a success, the
    same again is a call of its own.
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
