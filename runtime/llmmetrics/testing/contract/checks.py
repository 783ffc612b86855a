"""The metrics contract as a table of checks on scrapes.

Pure functions over text, so that they work for any program in any language.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import wraps
from math import inf, isfinite

from llmmetrics.metrics.names import COST
from llmmetrics.testing.contract.exposition import Labels, Page, Sample
from llmmetrics.testing.contract.families import CONTRACT, FAMILIES, Family
from llmmetrics.testing.contract.finding import Check, Scrapes, Wrong, families_on, family_of, found_in, printed
from llmmetrics.testing.contract.secrets import looks_secret
from llmmetrics.testing.contract.sums import SUMS

OPTIONAL = frozenset([COST, "llm_backend_budget_usd"])
"""Families that may be missing: a cost needs a known price, a budget needs a limit."""

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, inf)
"""The duration's buckets: quantiles, and so alerts, are computed from them."""

MOST = 5
"""Maximum number of reported findings of one check."""


def _on_each(check: Callable[[Page], Iterator[Wrong]]) -> Check:
    """Turn a check of one page into a check of both formats."""

    @wraps(check)
    def checked(scrapes: Scrapes) -> Iterator[Wrong]:
        yield from check(scrapes.classic)
        if scrapes.openmetrics.openmetrics:
            yield from check(scrapes.openmetrics)

    return checked


def formats(scrapes: Scrapes) -> Iterator[Wrong]:
    """Check that each page has its declared format, and that every line is readable: one bad line loses the scrape."""
    if scrapes.classic.openmetrics:
        do = "answer with text/plain; version=0.0.4 unless the request accepts OpenMetrics"
        yield Wrong("the answer to Accept: text/plain is OpenMetrics", "the Content-Type", do)
    for page in scrapes:
        for line, what in page.problems:
            yield Wrong(what, f"{page.format}, line {line}", "scrapers reject such a page: escape or remove it")


def names(page: Page) -> Iterator[Wrong]:
    """Check that every family of the contract is there, under its name, with a HELP line."""
    present = families_on(page)
    missing = [each for each in CONTRACT if each not in present]
    shown = {family.name for each in page.samples if (family := family_of(each.name))}
    for sample in {each.name: each for each in page.samples if each.name.startswith("llm_")}.values():
        name = sample.name
        if family_of(name) or name.endswith("_created"):
            continue
        if name == f"{COST}_total":
            do = f"name the sample {COST}: with prometheus-client, serve meter.asgi_app() or meter.wsgi_app()"
            yield found_in(
                page, sample, f"{name}: the cost metric has no _total, so dashboards of {COST} are empty", do
            )
        elif near := get_close_matches(name.removesuffix("_total"), CONTRACT.keys() - shown, 1, 0.75):
            yield found_in(page, sample, f"{name} is not in the contract", f"did you mean {near[0]}?")
    for name in missing:
        if name not in OPTIONAL:
            do = "export it from the start, with 0 for every configured backend"
            yield Wrong(f"{name} is missing", page.format, do)
    for name in present & CONTRACT.keys():
        shown_as = printed(page, CONTRACT[name])
        if shown_as not in page.helps:
            yield Wrong(f"{name} has no HELP line", page.format, f"write `# HELP {shown_as} …` before its samples")


def types(page: Page) -> Iterator[Wrong]:
    """Check that every family has its type, on a line before its samples."""
    for name in sorted(families_on(page)):
        family = FAMILIES[name]
        printed_name = printed(page, family)
        # OpenMetrics has no counter without `_total`
        allowed = (family.type, "unknown") if name == COST and page.openmetrics else (family.type,)
        do = f"write `# TYPE {printed_name} {allowed[-1]}` before its samples"
        type_line = page.types.get(printed_name)
        if type_line is None:
            yield Wrong(f"{name} has no TYPE line", page.format, do)
        elif type_line.text not in allowed:
            where = f"{page.format}, line {type_line.line}"
            yield Wrong(f"{name} is a {type_line.text}, not a {family.type}", where, do)
        elif any(each.line < type_line.line for each in _samples(page, family)):
            yield Wrong(f"the TYPE line of {name} follows its samples", f"{page.format}, line {type_line.line}", do)


def _samples(page: Page, family: Family) -> Iterator[Sample]:
    return (each for each in page.samples if each.name in family.samples)


def labels(page: Page) -> Iterator[Wrong]:
    """Check that every series has exactly its family's labels."""
    for sample in page.samples:
        if family := family_of(sample.name):
            has, should = {name for name, _ in sample.labels}, set(family.sample_labels(sample.name))
            if more := sorted(has - should):
                yield found_in(
                    page, sample, f"{sample.name} has the label {more[0]}", f"remove it: the labels are {_and(should)}"
                )
            if less := sorted(should - has):
                yield found_in(
                    page, sample, f"{sample.name} lacks the label {less[0]}", f"the labels are {_and(should)}"
                )


def _and(words: set[str]) -> str:
    return ", ".join(sorted(words)) or "none"


def values(page: Page) -> Iterator[Wrong]:
    """Check that labels with few values have one of them, and that no label is empty."""
    for sample in page.samples:
        family = family_of(sample.name)
        for name, value in sample.labels if family else ():
            known = family.values.get(name) if family else None
            if known is not None and value not in known:
                do = f"use one of {_and(set(known))}"
                yield found_in(page, sample, f"{sample.name} has {name}={value!r}", do)
            elif not value:
                yield found_in(page, sample, f"{sample.name} has an empty {name}", "use `unknown` for an unknown value")


def buckets(page: Page) -> Iterator[Wrong]:
    """Check that the duration has the contract's buckets."""
    name = "llm_request_duration_seconds_bucket"
    bounds: dict[Labels, set[float]] = {}
    at: dict[Labels, Sample] = {}
    for sample in page.samples:
        if sample.name == name:
            series = tuple(each for each in sample.labels if each[0] != "le")
            at.setdefault(series, sample)
            bounds.setdefault(series, set()).add(_bound(sample))
    for series, present in bounds.items():
        if present != set(BUCKETS):
            shown = " ".join(f"{each:g}" for each in sorted(present))
            do = f"use {' '.join(f'{each:g}' for each in BUCKETS)} (with llmmetrics: remove DurationBuckets)"
            yield found_in(page, at[series], f"the buckets of {at[series].name} are {shown}", do)


def _bound(sample: Sample) -> float:
    try:
        return float(dict(sample.labels)["le"])
    except (KeyError, ValueError):
        return -1.0


def numbers(page: Page) -> Iterator[Wrong]:
    """Check that no value is negative, infinite or NaN."""
    for sample in page.samples:
        if family_of(sample.name) and not (isfinite(sample.value) and sample.value >= 0):
            do = "export counts of 0 or more: leave out a series whose value is unknown"
            yield found_in(page, sample, f"{sample} is {sample.value:g}", do)


def duplicates(page: Page) -> Iterator[Wrong]:
    """Check that no series is there twice."""
    counted = Counter((each.name, each.labels) for each in page.samples)
    for sample in page.samples:
        if sample.name.startswith("llm") and counted.pop((sample.name, sample.labels), 0) > 1:
            yield found_in(page, sample, f"{sample} is there more than once", "export one: a scraper may take either")


def created(page: Page) -> Iterator[Wrong]:
    """Check that there are no `_created` series: they double the storage, and no query uses them."""
    ours = {f"{name.removesuffix('_total')}_created" for name in FAMILIES}
    for sample in page.samples:
        if sample.name in ours:
            do = "remove it; with prometheus-client, call disable_created_metrics()"
            yield found_in(page, sample, f"{sample.name} is exported", do)


def secrets(page: Page) -> Iterator[Wrong]:
    """Check that no label looks like a key or a password. The finding does not show it."""
    for sample in page.samples:
        for name, value in sample.labels:
            if kind := looks_secret(value):
                do = "every reader of /metrics can see it: use the backend's name as label, and replace the key"
                yield found_in(page, sample, f"the label {name} of {sample.name} looks like {kind}", do)


CHECKS: Mapping[str, Check] = {
    "formats": formats,
    "names": _on_each(names),
    "types": _on_each(types),
    "labels": _on_each(labels),
    "values": _on_each(values),
    "buckets": _on_each(buckets),
    "numbers": _on_each(numbers),
    "duplicates": _on_each(duplicates),
    "created": _on_each(created),
    "secrets": _on_each(secrets),
    **SUMS,
}
"""Every check by its name."""


def check(name: str, scrapes: Scrapes) -> list[Wrong]:
    """Run one check. Report a finding of both formats once, and only the first of many similar ones."""
    first_of_each = {each.what: each for each in reversed(list(CHECKS[name](scrapes)))}
    wrong = list(reversed(first_of_each.values()))
    if len(wrong) > MOST:
        more = f"and {len(wrong) - MOST} more of this kind"
        wrong[MOST:] = [Wrong(more, name, "they may have one cause")]
    return wrong
