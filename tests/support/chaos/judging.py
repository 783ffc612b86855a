"""What has to hold after a trial, as a pure function of the provider's log and the ledger. Amounts in pico-dollars."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

UNKNOWN = frozenset({"timeout", "reset", "cut", "early"})
"""Faults after which a client does not know what its call cost."""


class Attempt(NamedTuple):
    """A request that the provider received, and what it billed."""

    call: str
    fault: str
    billed: int
    at: float
    """Seconds of the harness's clock."""

    @property
    def process(self) -> str:
        """The client process; a forked child bears its parent's name first."""
        return self.call.partition(".")[0].partition("-")[0]


class Facts(NamedTuple):
    """What is known when every process has ended and every lease is over."""

    strict: bool
    limit: int
    worst: int
    """The worst case of one call."""
    attempts: Sequence[Attempt]
    reports: Mapping[str, str]
    """How each call ended, as its process reports: `failed`, `refused`, `answered`, and `ok` once that is booked."""
    killed: Collection[str]
    """The processes that were killed."""
    spent: int | None
    """What the ledger has; None if it cannot be read."""
    reserved: int = 0
    lost: int = 0
    """What the ledger had when a disturbance took it away."""
    unreadable: bool = False
    """Whether the disturbance leaves a ledger that cannot be read."""


def unknown(facts: Facts) -> set[int]:
    """Return the numbers of the attempts whose cost the clients cannot know.

    On a busy machine a client gives up an answer that was on its way, and may try again.
    """
    last = {attempt.call: n for n, attempt in enumerate(facts.attempts)}
    return {
        n
        for n, attempt in enumerate(facts.attempts)
        if attempt.billed and (attempt.fault in UNKNOWN or last[attempt.call] != n or not _to_be_booked(facts, attempt))
    }


def _to_be_booked(facts: Facts, attempt: Attempt) -> bool:
    end = facts.reports.get(attempt.call)
    # what a killed process had not booked yet is lost with it
    return end == "ok" or (end == "answered" and attempt.process not in facts.killed)


def bill(facts: Facts) -> int:
    """Return what the provider billed."""
    return sum(attempt.billed for attempt in facts.attempts)


def violations(facts: Facts) -> Sequence[str]:
    """Say what does not hold."""
    total, wrong = bill(facts), []
    if facts.strict and total > facts.limit + facts.lost:
        wrong.append(f"strict was passed: billed {total}, limit {facts.limit}, lost {facts.lost}")
    if facts.spent is None:
        if not facts.unreadable:
            wrong.append("the ledger cannot be read")
        return wrong
    # in strict, the worst case is booked of what is unknown
    missing = 0 if facts.strict else len(unknown(facts)) * facts.worst
    if facts.spent < total - missing - facts.lost:
        wrong.append(f"the ledger has {facts.spent} of {total} billed; {missing} may be missing, {facts.lost} lost")
    if facts.reserved:
        wrong.append(f"{facts.reserved} stay reserved after their lease")
    return wrong
