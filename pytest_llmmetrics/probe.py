"""What a test's LLM calls moved, read from the counters that production exports."""

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
"""Counters are floats: what is finer than this is their noise, not money."""

LabelValues = str | tuple[str, ...]


class LlmMetrics:
    """The calls of a test and what they moved, on whichever meters counted them, since the test's start.

    `value` and `delta` take sample names as a dashboard writes them, such as `llm_request_duration_seconds_count`.
    A name, label or label value that cannot exist is an error, never a silent 0.
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
        """How often a request went over the wire: retries count."""
        return len(self.records)

    @property
    def calls(self) -> int:
        """How many calls there were: an attempt that repeats one that failed is its retry, and the same call."""
        return len(calls_of(self.records))

    @property
    def last(self) -> CallRecord:
        """The attempt that ended last."""
        records = self.records
        if not records:
            raise AssertionError(
                "no LLM call was metered: the code under test made none, or not through httpx, httpx2 or boto3"
            )
        return records[-1]

    @property
    def errors(self) -> Mapping[str, int]:
        """How many attempts failed, by error type."""
        return dict(Counter(each.error_type.value for each in self.records if each.error_type is not None))

    # what they moved

    @property
    def tokens(self) -> Mapping[str, int]:
        """Prompt, completion and total tokens; estimates are in them, as on a dashboard."""
        self._require_exported()
        return {
            each: int(self.delta("llm_tokens_total", token_type=each)) for each in ("prompt", "completion", "total")
        }

    @property
    def cost(self) -> Decimal | None:
        """USD, exact to twelve decimals, to compare with `usd("0.01")`. None: a call's price is not known."""
        self._require_exported()
        if self.delta("llmmetrics_calls_without_price_total"):
            return None
        return Usd(Decimal(self.delta("llm_estimated_cost_usd")).quantize(_EXACT).normalize() + 0)

    def value(self, name: str, **labels: str) -> float:
        """The sum of the series with these labels, as it is now."""
        now = self._now()
        require(name, labels, now)
        return _sum(now, name, labels)

    def delta(self, name: str, **labels: str) -> float:
        """What the sum of the series with these labels has changed by."""
        return self.value(name, **labels) - _sum(self._start, name, labels)

    def assert_delta(self, name: str, expected: Mapping[LabelValues, float]) -> None:
        """Assert exactly what has moved in one family: everything that is not in `expected` has not.

        A key is a value of the label that has a fixed set of them (`status`, `error_type`, `token_type`), else of
        `backend`; or a tuple with the values of all labels. Series that differ in other labels are added up.
        """
        now = self._now()
        require(name, {}, now)
        family = next(each for each in FAMILIES.values() if name in each.samples)
        labels = family.sample_labels(name)
        label = next((each for each in labels if each in family.values), "backend")
        whole = any(isinstance(key, tuple) for key in expected)
        found: Counter[LabelValues] = Counter()
        for series, change in sorted(_changes(self._start, now).items()):
            if series.name == name:
                has = dict(series.labels)
                found[tuple(has[each] for each in labels) if whole else has.get(label, "")] += change  # type: ignore[assignment]
        moved = {key: change for key, change in found.items() if change}
        wanted = {key: change for key, change in expected.items() if change}
        if moved != wanted:
            what = " and ".join(labels) if whole else label
            raise AssertionError(f"{name} moved by {what}: {moved}, not {wanted}\n{self.story()}")

    @contextmanager
    def during(self) -> Iterator[Self]:
        """A probe of what happens inside the block; it can be read after it too."""
        part = type(self)(self._watcher)
        try:
            yield part
        finally:
            part._end = part._now()  # noqa: SLF001 - its own kind
            part._to = len(self._watcher.records)  # noqa: SLF001

    def moved(self) -> Mapping[Series, float]:
        """Every series that changed, with what it changed by."""
        return _changes(self._start, self._now())

    def story(self) -> str:
        """The calls and the series that moved, a line each."""
        calls = [_line(each) for each in self.records] or ["none"]
        series = [f"{series} {change:+g}" for series, change in sorted(self.moved().items()) if not series.bucket]
        return "\n".join(
            ["calls:", *(f"  {each}" for each in calls), "moved:", *(f"  {each}" for each in series or ["nothing"])]
        )

    def _now(self) -> Snapshot:
        return self._end or self._watcher.read()

    def _require_exported(self) -> None:
        if any(not each.meter.settings.telemetry.enable_metrics for each in self.records):
            raise AssertionError("the meter of these calls has EnableMetrics: false, so that its counters are nowhere")


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
