"""The fixture `llm_metrics`: reads what a test's LLM calls changed in the counters that production exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Self

from llmmetrics.testing import CallRecord
from llmmetrics.testing.harness import FAMILIES
from pytest_llmmetrics.attempts import calls_of
from pytest_llmmetrics.exact import Usd
from pytest_llmmetrics.names import require
from pytest_llmmetrics.series import Series, Snapshot, Watcher

_EXACT = Decimal("1e-12")
"""Counters are floats: a smaller difference is rounding error, not money."""

LabelValues = str | tuple[str, ...]


class LlmMetrics:
    """The LLM calls since the test's start, and what they changed in the counters of every meter.

    `value` and `delta` take sample names as a dashboard writes them, such as `llm_request_duration_seconds_count`.
    A name, label or label value that cannot exist raises `UnknownMetricError`; it never reads as 0.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._from = len(watcher.records)
        self._start = watcher.read()
        self._to: int | None = None
        self._end: Snapshot | None = None

    # the calls

    @property
    def records(self) -> Sequence[CallRecord]:
        """Every attempt that has ended, in order."""
        self._now()
        return self._watcher.records[self._from : self._to]

    @property
    def attempts(self) -> int:
        """The number of requests that were sent, retries included."""
        return len(self.records)

    @property
    def calls(self) -> int:
        """The number of calls: an attempt that repeats a failed one is its retry, and part of the same call."""
        return len(calls_of(self.records))

    @property
    def last(self) -> CallRecord:
        """The attempt that ended last. Raises `AssertionError` if there is none."""
        records = self.records
        if not records:
            raise AssertionError(
                "no LLM call was metered: the code under test made no call, or not through a library that is metered"
            )
        return records[-1]

    @property
    def errors(self) -> Mapping[str, int]:
        """The number of failed attempts, by error type."""
        return dict(Counter(each.error_type.value for each in self.records if each.error_type is not None))

    # what they moved

    @property
    def tokens(self) -> Mapping[str, int]:
        """Prompt, completion and total tokens, with estimates, as on a dashboard."""
        self._require_exported()
        return {
            each: int(self.delta("llm_tokens_total", token_type=each)) for each in ("prompt", "completion", "total")
        }

    @property
    def cost(self) -> Decimal | None:
        """The cost in USD, exact to twelve decimals, to compare with `usd("0.01")`. None: a call has no known price."""
        self._require_exported()
        if self.delta("llmmetrics_calls_without_price_total"):
            return None
        return Usd(Decimal(self.delta("llm_estimated_cost_usd")).quantize(_EXACT).normalize() + 0)

    def value(self, name: str, **labels: str) -> float:
        """Return the current sum of the series with these labels."""
        now = self._now()
        require(name, labels, now)
        return _sum(now, name, labels)

    def delta(self, name: str, **labels: str) -> float:
        """Return by how much the sum of the series with these labels has changed."""
        return self.value(name, **labels) - _sum(self._start, name, labels)

    def assert_delta(self, name: str, expected: Mapping[LabelValues, float]) -> None:
        """Assert all changes in one metric: values that are not in `expected` must not have changed.

        A key is a value of the label with fixed values (`status`, `error_type`, `token_type`), else of `backend`; or a
        tuple with the values of all labels. Series that differ in other labels are summed.
        """
        now = self._now()
        require(name, {}, now)
        family = next(each for each in FAMILIES.values() if name in each.samples)
        labels = family.sample_labels(name)
        label = next((each for each in labels if each in family.values), "backend")
        whole = any(isinstance(key, tuple) for key in expected)
        moves: Counter[LabelValues] = Counter()
        for series, change in sorted(_changes(self._start, now).items()):
            if series.name == name:
                has = dict(series.labels)
                moves[tuple(has[each] for each in labels) if whole else has.get(label, "")] += change  # type: ignore[assignment]
        moved = {key: change for key, change in moves.items() if change}
        wanted = {key: change for key, change in expected.items() if change}
        if moved != wanted:
            what = " and ".join(labels) if whole else label
            raise AssertionError(f"{name} moved by {what}: {moved}, not {wanted}\n{self.story()}")

    @contextmanager
    def during(self) -> Iterator[Self]:
        """Yield a probe of the calls inside the block; it can be read after the block too."""
        part = type(self)(self._watcher)
        try:
            yield part
        finally:
            part._end = part._now()  # noqa: SLF001 - its own kind
            part._to = len(self._watcher.records)  # noqa: SLF001

    def moved(self) -> Mapping[Series, float]:
        """Return every series that changed, and by how much."""
        return _changes(self._start, self._now())

    def story(self) -> str:
        """List the calls and the series that changed, one per line."""
        calls = [_line(each) for each in self.records] or ["none"]
        series = [f"{series} {change:+g}" for series, change in sorted(self.moved().items()) if not series.bucket]
        return "\n".join(
            ["calls:", *(f"  {each}" for each in calls), "moved:", *(f"  {each}" for each in series or ["nothing"])]
        )

    def _now(self) -> Snapshot:
        return self._end or self._watcher.read()

    def _require_exported(self) -> None:
        if any(not each.meter.settings.telemetry.enable_metrics for each in self.records):
            raise AssertionError(
                "the meter of these calls has EnableMetrics: false, so there are no counters to read: set it to true"
            )


def _sum(series: Snapshot, name: str, labels: Mapping[str, str]) -> float:
    wanted = labels.items()
    return sum(value for each, value in series.items() if each.name == name and wanted <= set(each.labels))


def _changes(start: Snapshot, now: Snapshot) -> dict[Series, float]:
    changes = {series: value - start.get(series, 0.0) for series, value in now.items()}
    return {series: change for series, change in changes.items() if change}


def _line(record: CallRecord) -> str:
    tokens = "no usage" if record.usage is None else f"{record.usage.prompt} + {record.usage.completion} tokens"
    cost = "price unknown" if record.cost_usd is None else f"${record.cost_usd:f}"
    parts = (
        f"{record.backend} {record.model}: {record.status.value}",
        record.error_type and record.error_type.value,
        record.http_status and f"HTTP {record.http_status}",
        tokens if record.usage_known else f"{tokens} (estimated)",
        cost,
    )
    return ", ".join(str(each) for each in parts if each)
