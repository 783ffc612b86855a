"""What is compared: the measured rows, and those of the baselines under the present names of the tests. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from pytest_llmmetrics.bill.figures import PriceOf
from pytest_llmmetrics.bill.judging.asked_causes import Facts
from pytest_llmmetrics.bill.judging.pairing import OldName, old_names
from pytest_llmmetrics.bill.rows import Remarks, Row


class Sides(NamedTuple):
    """The rows to compare, at the prices of `now`; `then` are the prices of the baseline's side."""

    measured: Mapping[str, Sequence[Row]]
    agreed: Mapping[str, Sequence[Row]]
    """The baseline in the work tree."""
    base: Mapping[str, Sequence[Row]] | None
    """The baseline at the merge base; None: not asked for, or it does not exist."""
    now: PriceOf
    then: PriceOf
    window: Callable[[Row], int | None] = lambda _: None
    remarks: Mapping[str, Remarks] = {}
    old: Mapping[str, OldName] = {}
    """The name in the baselines of each test that has another one there."""

    def facts(self, test: str) -> Facts:
        return Facts(self.now, self.window, self.remarks.get(test, Remarks()))

    def paired(self, gone: Collection[str]) -> Sides:
        """Return these sides with the baselines' rows under the present names of the tests."""
        agreed, old = _renamed(self.measured, self.agreed, gone)
        if self.base is None:
            return self._replace(agreed=agreed, old=old)
        base, older = _renamed(self.measured, self.base, gone)
        return self._replace(agreed=agreed, base=base, old={**older, **old})


def _renamed(
    measured: Mapping[str, Sequence[Row]], before: Mapping[str, Sequence[Row]], gone: Collection[str]
) -> tuple[dict[str, Sequence[Row]], dict[str, OldName]]:
    pairs = old_names(measured, before, gone)
    taken = {each.test for each in pairs.values()}
    renamed = {test: rows for test, rows in before.items() if test not in taken}
    for new, old in pairs.items():
        renamed[new] = [row.model_copy(update={"test": new}) for row in before[old.test]]
    return renamed, pairs
