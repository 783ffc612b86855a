"""What the calls with each tag (`tenant=acme`) cost. A call counts once for each of its tags."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llmmetrics.bill.baseline import by_test
from pytest_llmmetrics.bill.figures import Figures, figures
from pytest_llmmetrics.bill.report import Report

MOST = 20
"""Tags that a table shows, at most; the JSON report has all of them."""

TITLE = "Cost by tag"

NOTE = "A call counts once for each of its tags: tags of several keys are never added."


def by_tag(report: Report) -> Sequence[tuple[str, Figures]]:
    """Return the figures of each tag."""
    sums = {tag: figures(rows, report.price_of) for tag, rows in by_test(report.tags).items()}
    return sorted(sums.items(), key=lambda each: (-each[1].cost.total, -each[1].tokens, each[0]))


def more(tags: Sequence[object]) -> str:
    """Return the sentence about the tags that a table does not show; empty: it shows all."""
    hidden = len(tags) - MOST
    return f"{hidden} more tags are in the JSON report." if hidden > 0 else ""
