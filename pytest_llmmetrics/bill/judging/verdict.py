"""What the gate returns: the change of each test, and all of them together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pytest_llmmetrics.bill.figures import Figures
from pytest_llmmetrics.bill.judging.limits import Rules
from pytest_llmmetrics.bill.judging.pairing import OldName
from pytest_llmmetrics.bill.judging.split import Split
from pytest_llmmetrics.bill.report import Reason

REGRESSION, INCONCLUSIVE = 10, 11
"""Exit codes."""

STATES = (
    *("regression", "warning", "unmeasured", "reported", "accepted", "changed", "improved"),
    *("renamed", "moved", "parametrised", "new", "same"),
)
"""The states of a test's change, the worst first. `unmeasured`: it used to make calls, and makes none."""

NEW = "new: not in the baseline"


class Change(NamedTuple):
    """One test, or all of them together, before and after."""

    test: str
    """Empty: all judged tests together."""
    state: str
    before: Figures
    after: Figures
    parts: Split | None
    """Why the cost changed; None where a price is unknown."""
    causes: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    """The measures that exceed their limits."""
    old: OldName | None = None
    """Its name in the baseline, if that is another one."""


class Verdict(NamedTuple):
    """The result of the gate."""

    changes: tuple[Change, ...]
    """The judged tests that changed, the worst first."""
    total: Change
    judged: int
    inconclusive: tuple[Reason, ...]
    drift: tuple[str, ...]
    """Changed prices; never judged."""
    notices: tuple[str, ...]
    rules: Rules
    unjudged: Mapping[str, tuple[str, ...]] = {}
    """Tests of the baseline that ran and did not pass, by outcome: `failed`, `skipped`."""

    @property
    def code(self) -> int:
        if any(each.state == "regression" for each in (*self.changes, self.total)):
            return REGRESSION
        if self.inconclusive and self.rules.capped(self.rules.inconclusive) == "block":
            return INCONCLUSIVE
        return 0

    def of(self, *states: str) -> list[Change]:
        """The changes in these states."""
        return [each for each in self.changes if each.state in states]


def listed(names: Sequence[str], most: int = 3) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
