"""A million calls with every ending: the memory stays flat, and the sums are exact."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support import SOAK, alone

PROGRAM = Path(__file__).parents[2] / "support/programs/soak.py"
EACH = 111_112 if SOAK else 1_000
"""Calls of each ending; `make soak` makes a million in all."""
GROWTH = 5 * 2**20
"""Bytes, from a tenth of the calls to the last."""

STATUSES = {
    "whole": "success",
    "stream": "success",
    "closed": "cancelled",
    "dropped": "cancelled",
    "limited": "failure",
    "refused": "failure",
    "broken": "failure",
    "late": "timeout",
    "cancelled": "cancelled",
}
WITH_USAGE = ("whole", "stream")


@pytest.mark.skipif(sys.platform != "linux", reason="reads its memory in /proc")
def test_every_ending_many_times():
    calls = EACH * len(STATUSES)
    found = json.loads(alone(PROGRAM.read_text("utf8"), str(calls)))
    # pytest shows it with -rP
    sys.stdout.write(f"{calls} calls; resident bytes: {found['early']} at a tenth, {found['late']} at the end\n")

    def value(name, **labels):
        return sum(value for each, has, value in found["samples"] if each == name and labels.items() <= has.items())

    for model, status in STATUSES.items():
        assert value("llm_requests_total", model=model) == EACH, model
        assert value("llm_requests_total", model=model, status=status) == EACH, model
    for model in WITH_USAGE:
        assert value("llm_tokens_total", model=model, token_type="prompt") == 11 * EACH
        assert value("llm_tokens_total", model=model, token_type="completion") == 7 * EACH
        # 11 at 1.25 and 7 at 10 USD a million
        assert value("llm_estimated_cost_usd", model=model) == pytest.approx(83.75e-6 * EACH, rel=1e-12)
    assert value("llm_active_requests") == 0
    assert value("llmmetrics_internal_errors_total") == 0
    assert found["late"] - found["early"] < GROWTH
