"""The measurements of one process, in the form that a worker sends to the controller."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pytest_llmmetrics.bill.rows import Remarks, Repeat, Row


class Measured(BaseModel):
    """Rows, outcomes, and the data to price and judge them."""

    known: dict[str, Any]
    """The known prices and sellers of its price book."""
    rows: list[Row]
    reruns: list[Row]
    outside: list[Row]
    tags: list[Row] = []
    """By tag in place of a test."""
    tests: dict[str, str]
    stale: list[tuple[str, str]]
    exceeded: dict[str, str]
    """Tests that exceeded their `llm_limit`, with what they exceeded."""
    collected: list[str]
    changing: dict[str, list[str]] = {}
    """By path: the tests whose requests differ there from run to run (`--llm-twice`)."""
    remarks: dict[str, Remarks] = {}
    """By test: what its requests say of the prompt cache."""

    repeats: dict[str, Repeat] = {}
    """By test that was run several times: the range of its runs."""

    @property
    def anything(self) -> bool:
        """Whether any call was metered."""
        return bool(self.rows or self.reruns or self.outside)
