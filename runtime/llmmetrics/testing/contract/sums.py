"""The contract's checks that compare series and scrapes.

Calls may finish while a page is read, so two families of one page may differ. Values that are counted together are
compared across scrapes: the value of one family in a scrape, the other family has reached in the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import NamedTuple

from llmmetrics.metrics.names import COST
from llmmetrics.testing.contract.exposition import Labels, Page, Sample
from llmmetrics.testing.contract.families import CONTRACT
from llmmetrics.testing.contract.finding import Check, Scrapes, Wrong, family_of, found_in

_SLACK = 1e-6
"""Tolerance: sums of floats differ in their last digits."""

Key = tuple[str, ...]
Sums = Mapping[Key, float]


def grown(scrapes: Scrapes) -> Iterator[Wrong]:
    """Check that counters only grow, and that no series disappears."""
    pages = list(scrapes)
    for before, after in pairwise(pages):
        now = {(each.name, each.labels): each.value for each in after.samples}
        for sample in before.samples:
            family = family_of(sample.name)
            if family is None or family.type == "gauge":
                continue
            value = now.get((sample.name, sample.labels))
            if value is None:
                do = "keep a series as long as the process lives: otherwise its counter restarts"
                yield found_in(before, sample, f"{sample} is gone in the next scrape", do)
            elif value < sample.value - _SLACK:
                do = "never decrease a counter; with several workers, serve one page with their sum"
                yield found_in(
                    before, sample, f"{sample} went from {sample.value:g} to {value:g} in the next scrape", do
                )


def histograms(scrapes: Scrapes) -> Iterator[Wrong]:
    """Check that a histogram's buckets are cumulative, and that the +Inf bucket equals its count."""
    for page in scrapes[:2]:
        parts: dict[tuple[str, Labels], dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for sample in page.samples:
            family = family_of(sample.name)
            if family is not None and family.type == "histogram":
                series = tuple(each for each in sample.labels if each[0] != "le")
                parts[family.name, series][sample.name.rpartition("_")[2]].append(sample)
        for (name, _), samples in parts.items():
            yield from _histogram(page, name, samples)


def _histogram(page: Page, name: str, parts: Mapping[str, list[Sample]]) -> Iterator[Wrong]:
    some = next(iter(parts.values()))[0]
    for part in {"count", "sum", "bucket"} - parts.keys():
        yield found_in(page, some, f"{name} has no {name}_{part}", "export _bucket, _sum and _count of a histogram")
    ordered = sorted(parts.get("bucket", ()), key=_bound)
    for low, high in pairwise(ordered):
        if high.value < low.value:
            do = "each bucket should include the counts of the smaller ones"
            yield found_in(page, high, f"{high} is {high.value:g}, less than the bucket below it", do)
    if not ordered:
        return
    whole = ordered[-1]
    if _bound(whole) != inf:
        yield found_in(page, whole, f'{name} has no bucket le="+Inf"', "add a last bucket with all counts")
    elif "count" in parts and parts["count"][0].value != whole.value:
        count = parts["count"][0].value
        do = "both should be the number of calls"
        yield found_in(page, whole, f"{name} has a count of {count:g} and {whole.value:g} in its +Inf bucket", do)


def _bound(sample: Sample) -> float:
    try:
        return float(dict(sample.labels).get("le", ""))
    except ValueError:
        return -inf


def gauges(scrapes: Scrapes) -> Iterator[Wrong]:
    """Check that health is 0 or 1, and that a budget has both `current` and `max`."""
    for page in scrapes[:2]:
        limits: dict[str, dict[str, Sample]] = defaultdict(dict)
        for sample in page.samples:
            has = dict(sample.labels)
            if sample.name == "llm_backend_health" and sample.value not in (0, 1):
                yield found_in(page, sample, f"{sample} is {sample.value:g}", "use 1 or 0")
            if sample.name == "llm_backend_budget_usd":
                limits[has.get("backend", "")][has.get("limit_type", "")] = sample
        for backend, by_type in limits.items():
            for one in {"current", "max"} - by_type.keys():
                do = "export both for a backend with a limit, and neither for one without"
                some = next(iter(by_type.values()))
                yield found_in(page, some, f"the budget of {backend} has no limit_type={one!r}", do)


def _sums(page: Page, name: str, by: tuple[str, ...], **only: tuple[str, ...]) -> Sums:
    """Add the samples of a name with these label values, grouped by other labels."""
    sums: dict[Key, float] = defaultdict(float)
    for sample in page.samples:
        if sample.name == name:
            has = dict(sample.labels)
            if all(has.get(label) in allowed for label, allowed in only.items()):
                sums[tuple(has.get(label, "") for label in by)] += sample.value
    return sums


class Equal(NamedTuple):
    """Two sums that must be equal."""

    by: tuple[str, ...]
    one: Callable[[Page, tuple[str, ...]], Sums]
    says_one: str
    other: Callable[[Page, tuple[str, ...]], Sums]
    says_other: str
    do: str


def _of(name: str, **only: tuple[str, ...]) -> Callable[[Page, tuple[str, ...]], Sums]:
    return lambda page, by: _sums(page, name, by, **only)


_CALL = ("backend", "model")
_EQUAL: Mapping[str, Equal] = {
    "tokens": Equal(
        _CALL,
        _of("llm_tokens_total", token_type=("prompt", "completion")),
        "prompt + completion tokens",
        _of("llm_tokens_total", token_type=("total",)),
        "total tokens",
        "compute total as the sum of both: do not use the provider's number",
    ),
    "durations": Equal(
        _CALL,
        _of("llm_requests_total"),
        "requests",
        _of("llm_request_duration_seconds_count"),
        "durations",
        "observe the duration of every request once, with any status",
    ),
    "errors": Equal(
        ("backend",),
        _of("llm_requests_total", status=("failure", "timeout")),
        "requests with the status failure or timeout",
        _of("llm_errors_total"),
        "errors",
        "count one error for each of these requests, and none for a cancelled one",
    ),
    "timeouts": Equal(
        ("backend",),
        _of("llm_requests_total", status=("timeout",)),
        "requests with the status timeout",
        _of("llm_errors_total", error_type=("timeout",)),
        "errors of the type timeout",
        "a request has the status timeout exactly if its error type is timeout",
    ),
}


def _equal(rule: Equal) -> Check:
    def checked(scrapes: Scrapes) -> Iterator[Wrong]:
        pages = list(scrapes)
        one = [rule.one(page, rule.by) for page in pages]
        other = [rule.other(page, rule.by) for page in pages]
        for key in sorted({*one[0], *other[0]}):
            for now, later in ((0, 1), (1, 2)):
                ones, others = one[now].get(key, 0.0), other[now].get(key, 0.0)
                if ones > other[later].get(key, 0.0) + _SLACK or others > one[later].get(key, 0.0) + _SLACK:
                    what = f"{'/'.join(key)} has {ones:g} {rule.says_one} and {others:g} {rule.says_other}"
                    yield Wrong(what, pages[now].format, rule.do)
                    break

    return checked


_KNOWN: Mapping[str, tuple[tuple[str, ...], str]] = {
    "llm_requests_total": (_CALL, "status"),
    "llm_tokens_total": (_CALL, "token_type"),
    "llm_errors_total": (("backend",), "error_type"),
    "llm_backend_health": (("backend",), ""),
    "llm_active_requests": (("backend",), ""),
}


def zeros(scrapes: Scrapes) -> Iterator[Wrong]:
    """Check that every known series is there, at 0: `increase()` does not see the first value of a new one."""
    page = scrapes.again
    series = [dict(each.labels) for each in page.samples if each.name == "llm_requests_total"]
    for name, (by, label) in _KNOWN.items():
        has = [dict(each.labels) for each in page.samples if each.name == name]
        for key in sorted({tuple(each.get(one, "") for one in by) for each in series}):
            own = {each.get(label, "") for each in has if tuple(each.get(one, "") for one in by) == key}
            for value in sorted((CONTRACT[name].values[label] if label else {""}) - own):
                at = f" with {label}={value!r}" if label else ""
                do = "export it with 0 as soon as the backend is known"
                yield Wrong(f"{name} has no series{at} for {'/'.join(key)}", page.format, do)


def backends(scrapes: Scrapes) -> Iterator[Wrong]:
    """Check that a cost has requests of the same backend and model, and a budget the health of the same backend."""
    for page in scrapes[:2]:
        for name, partner, by in (
            (COST, "llm_requests_total", _CALL),
            ("llm_backend_budget_usd", "llm_backend_health", ("backend",)),
        ):
            known = _sums(page, partner, by)
            for sample in page.samples:
                has = dict(sample.labels)
                if sample.name == name and tuple(has.get(each, "") for each in by) not in known:
                    do = "use the same labels in every family, so that they can be joined"
                    yield found_in(page, sample, f"{sample} has no {partner} of the same {' and '.join(by)}", do)


SUMS: Mapping[str, Check] = {
    "histograms": histograms,
    "gauges": gauges,
    **{name: _equal(rule) for name, rule in _EQUAL.items()},
    "zeros": zeros,
    "backends": backends,
    "grown": grown,
}
