"""What one process has measured, as it travels from a worker to the controller."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pytest_llmmetrics.bill.rows import Row


class Measured(BaseModel):
    """Rows, outcomes, and what must be known to price and judge them."""

    known: dict[str, Any]
    """Of its price book."""
    rows: list[Row]
    reruns: list[Row]
    beside: list[Row]
    tests: dict[str, str]
    stale: list[tuple[str, str]]
    exceeded: dict[str, str]
    """Tests that failed by their `llm_limit`, and what was exceeded."""
    collected: list[str]

    @property
    def anything(self) -> bool:
        """Whether any call was metered."""
        return bool(self.rows or self.reruns or self.beside)
