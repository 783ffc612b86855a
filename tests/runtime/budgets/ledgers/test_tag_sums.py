"""Sums by tag in every ledger: added once for each id, read over days."""

from __future__ import annotations

from llmmetrics.budgets.ledgers import CallId
from llmmetrics.budgets.ledgers.base import TagSum

ROWS = [TagSum("tenant", "acme", 20000, 5), TagSum("tenant", "b", 20000, 7), TagSum("feature", "x", 20000, 12)]


def test_sums_of_a_tag_over_days(ledger, opened):
    ledger.tally(CallId("p1", 1), ROWS)
    opened().tally(CallId("p2", 1), [TagSum("tenant", "acme", 20001, 10**18), TagSum("tenant", "acme", 20040, 1)])
    assert dict(ledger.tallies("tenant", 20000, 20000)) == {"acme": 5, "b": 7}
    assert dict(opened().tallies("tenant", 20000, 20030)) == {"acme": 10**18 + 5, "b": 7}
    assert dict(ledger.tallies("feature", 0, 30000)) == {"x": 12}
    assert dict(ledger.tallies("user", 20000, 20010)) == {}


def test_a_batch_that_is_repeated_counts_once(ledger, opened):
    for each in (ledger, opened(), ledger):
        each.tally(CallId("p1", 1), ROWS)
    ledger.tally(CallId("p1", 2), ROWS)
    opened().tally(CallId("p1", 1), ROWS)
    assert dict(ledger.tallies("tenant", 20000, 20000)) == {"acme": 10, "b": 14}
