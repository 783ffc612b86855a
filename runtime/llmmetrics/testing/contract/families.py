"""Every family of the contract: its name, type, labels and label values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmmetrics.budgets.budget import REASONS
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.metrics.batching import TOKEN_TYPES
from llmmetrics.metrics.definitions import ROWS
from llmmetrics.reading.error_types import ErrorType, Status


class Family(NamedTuple):
    """A metric family: its name, type and labels, and the values of labels with few values."""

    name: str
    type: str
    labels: tuple[str, ...]
    values: Mapping[str, frozenset[str]]

    @property
    def samples(self) -> tuple[str, ...]:
        """The names of its samples."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{each}" for each in ("count", "sum", "bucket"))
        return (self.name,)

    def sample_labels(self, sample: str) -> tuple[str, ...]:
        """Return the labels of a sample of this name."""
        return (*self.labels, "le") if sample.endswith("_bucket") else self.labels


_VALUES: Mapping[str, Sequence[str]] = {
    "status": [each.value for each in Status],
    "error_type": [each.value for each in ErrorType],
    "token_type": TOKEN_TYPES,
    "limit_type": ("current", "max"),
    "edge": ("start", "end"),
    "basis": [each.value for each in Basis],
}
_BUDGET = ("llm_backend_budget_usd", "gauge", ("backend", "limit_type"))
_BOOKED = ("llmmetrics_budget_booked_usd", "gauge", ("backend", "basis"))
_WINDOW = ("llmmetrics_budget_window_timestamp_seconds", "gauge", ("backend", "edge"))
_PENDING = ("llmmetrics_pending_answers", "gauge", ("backend",))
_CATALOGUE = ("llmmetrics_price_catalog_info", "gauge", ("version",))
_REFUSED = ("llmmetrics_budget_refusals_total", "llmmetrics_budget_shadow_refusals_total")


def _family(name: str, type: str, labels: tuple[str, ...]) -> Family:
    values = {label: frozenset(_VALUES[label]) for label in labels if label in _VALUES}
    if name in _REFUSED:
        values["reason"] = frozenset(REASONS)
    return Family(name, type, labels, values)


_ALL = (
    *(_family(row.name, row.type.__name__.lower(), tuple(row.labels)) for row in ROWS.values()),
    _family(*_BUDGET),
    _family(*_BOOKED),
    _family(*_WINDOW),
    _family(*_PENDING),
    _family(*_CATALOGUE),
)

FAMILIES: Mapping[str, Family] = {each.name: each for each in _ALL}
"""Every family that a meter exports, by name."""

CONTRACT: Mapping[str, Family] = {
    name: FAMILIES[name]
    for name in (
        *("llm_requests_total", "llm_request_duration_seconds", "llm_tokens_total", "llm_estimated_cost_usd"),
        *("llm_errors_total", "llm_backend_health", "llm_active_requests", "llm_backend_budget_usd"),
    )
}
"""The eight families that dashboards depend on."""
