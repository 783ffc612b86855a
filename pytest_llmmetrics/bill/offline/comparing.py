"""Compares two reports. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from llmmetrics.testing.prices import Price
from pytest_llmmetrics.bill.baseline import by_test
from pytest_llmmetrics.bill.documents import DocumentError, foreign
from pytest_llmmetrics.bill.judging.gate import judge
from pytest_llmmetrics.bill.judging.limits import Rules
from pytest_llmmetrics.bill.judging.notices import drifted, other_estimates
from pytest_llmmetrics.bill.judging.sides import Sides
from pytest_llmmetrics.bill.judging.verdict import Verdict
from pytest_llmmetrics.bill.report import Reason, Report, digests
from pytest_llmmetrics.bill.rows import Row


def compared(base: Report, head: Report, rules: Rules) -> Verdict:
    """Judge HEAD with BASE as the baseline. Raises `DocumentError` for reports without a common test.

    Both sides have HEAD's prices; a price change is a separate part of the change.
    """

    def now(row: Row) -> Price | None:
        # a model that HEAD does not use keeps its price of BASE
        return head.price_of(row) or base.price_of(row)

    _comparable(base, head)
    then, later = digests(base), digests(head)
    reasons: Sequence[Reason] = head.doubts
    notices = [f"priced with {base.book} and {head.book}"] if base.book != head.book else []
    if incomparable := other_estimates(head.estimator, (base.estimator, base.rows)):
        reasons = [*reasons, Reason(what=f"{incomparable}: measure both with one version of llmmetrics")]
    return judge(
        Sides(by_test(head.rows), by_test(base.rows), None, now, base.price_of, head.window_of, head.remarks),
        head.tests,
        rules,
        reasons=reasons,
        drift=drifted(then, later, (base.book, head.book)),
        notices=notices,
        estimates=not incomparable,
        gone=base.tests.keys() - head.tests.keys(),
    )


def _comparable(base: Report, head: Report) -> None:
    if not base.tests or not head.tests or base.tests.keys() & head.tests.keys():
        return
    example = next((test for report in (base, head) for test in report.tests if foreign(test)), None)
    why = f" ({example!r} is a path of one machine)" if example else ""
    raise DocumentError(
        f"the two reports have no test in common{why}: run pytest from the repository's root on both machines"
    )
