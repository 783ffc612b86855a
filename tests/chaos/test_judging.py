"""The judgement of a trial says of each thing that may go wrong that it has gone wrong, and of nothing else."""

from __future__ import annotations

import pytest
from support.chaos.judging import Attempt, Facts, bill, unknown, violations

WORST = 500


def facts(*attempts, spent, strict=True, **more):
    return Facts(strict, 1000, WORST, attempts, more.pop("reports", {}), more.pop("killed", ()), spent, **more)


def attempt(billed, call="p0.0", fault="ok", at=0.0):
    return Attempt(call, fault, billed, at)


FULL = attempt(1000)
DOCUMENTED = {"strict": False}
OK = {"p0.0": "ok"}


@pytest.mark.parametrize(
    "fine",
    [
        facts(FULL, spent=1000),
        # a ledger that has more than was billed is on the safe side
        facts(FULL, spent=1500),
        facts(attempt(1001), spent=1001, **DOCUMENTED),
        facts(attempt(300, fault="timeout"), spent=0, **DOCUMENTED),
        # its process was killed before it was booked
        facts(attempt(300), spent=0, killed={"p0"}, **DOCUMENTED),
        facts(attempt(300), spent=0, killed={"p0"}, reports={"p0.0": "answered"}, **DOCUMENTED),
        facts(attempt(1400), spent=600, lost=800),
        facts(FULL, spent=None, unreadable=True),
        # its answer came too late for the client, which tried again, or gave up
        facts(attempt(300), attempt(300), spent=300, reports=OK, **DOCUMENTED),
        facts(attempt(300), spent=0, reports={"p0.0": "failed"}, **DOCUMENTED),
        facts(spent=0),
    ],
)
def test_what_may_be(fine):
    assert violations(fine) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (facts(attempt(1001), spent=1001), "strict was passed"),
        (facts(attempt(600), attempt(401, "p1.0"), spent=1001), "strict was passed"),
        (facts(attempt(1001), spent=1001, lost=0, reserved=0), "strict was passed"),
        (facts(attempt(1801), spent=1801, lost=800), "strict was passed"),
        (facts(attempt(1001), spent=None, unreadable=True), "strict was passed"),
        (facts(FULL, spent=999), "the ledger has 999 of 1000"),
        (facts(FULL, spent=999, reports=OK, **DOCUMENTED), "the ledger has 999 of 1000"),
        # in strict, a call of unknown outcome is booked
        (facts(attempt(300, fault="timeout"), spent=0), "the ledger has 0 of 300"),
        (facts(attempt(300), spent=0), "the ledger has 0 of 300"),
        # the worst case of one call at most, for each
        (
            facts(attempt(300, fault="cut"), attempt(300, "p1.0"), spent=99, reports={"p1.0": "ok"}, **DOCUMENTED),
            "the ledger has 99 of 600",
        ),
        (facts(attempt(300), spent=0, reports=OK, **DOCUMENTED), "the ledger has 0 of 300"),
        (facts(attempt(300), spent=0, reports=OK, killed={"p0"}, **DOCUMENTED), "the ledger has 0 of 300"),
        # its process ended by itself, and has to have booked what it had
        (facts(attempt(300), spent=0, reports={"p0.0": "answered"}, **DOCUMENTED), "the ledger has 0 of 300"),
        (
            facts(attempt(300), spent=0, reports={"p0.0": "answered"}, killed={"p1"}, **DOCUMENTED),
            "the ledger has 0 of 300",
        ),
        (facts(FULL, spent=199, lost=800), "the ledger has 199 of 1000"),
        (facts(FULL, spent=1000, reserved=1), "1 stay reserved"),
        (facts(FULL, spent=None), "cannot be read"),
        (facts(attempt(300), attempt(300), spent=99, reports=OK, **DOCUMENTED), "the ledger has 99 of 600"),
    ],
)
def test_what_must_not_be(wrong, says):
    (text,) = violations(wrong)
    assert says in text


def test_what_is_not_reported_is_unknown():
    attempts = (attempt(1, "p0-2.7"), attempt(1, "p0.1"), attempt(1, "p1-0.7"))
    killed = facts(*attempts, spent=3, reports={"p1-0.7": "ok"})
    assert unknown(killed) == {0, 1}
    assert bill(killed) == 3
