"""The metrics contract as checks on what two scrapes gave: a table of names, each finding what is wrong.

Pure functions over text, so that they hold for any program in any language.
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
"""A cost is there where a price is known, a budget where there is a limit."""

BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, inf)
"""Of the duration: what quantiles, and so alerts, are computed from."""

MOST = 5
"""So many findings of one check are told, of each family's series as much as of one."""


def _on_each(check: Callable[[Page], Iterator[Wrong]]) -> Check:
    """A check of one page as one of both formats."""

    @wraps(check)
    def checked(scrapes: Scrapes) -> Iterator[Wrong]:
        yield from check(scrapes.classic)
        if scrapes.openmetrics.openmetrics:
            yield from check(scrapes.openmetrics)

    return checked


def formats(scrapes: Scrapes) -> Iterator[Wrong]:
    """Each format is what it says it is, and every line can be read: one that cannot costs the whole scrape."""
    if scrapes.classic.openmetrics:
        do = "answer text/plain; version=0.0.4 where OpenMetrics is not asked for"
        yield Wrong("Accept: text/plain is answered in OpenMetrics", "the Content-Type", do)
    for page in scrapes:
        for line, what in page.problems:
            yield Wrong(what, f"{page.format}, line {line}", "no scraper takes such a page: escape or leave out")


def names(page: Page) -> Iterator[Wrong]:
    """Every family of the contract is there, under its name, with a HELP line."""
    present = families_on(page)
    missing = [each for each in CONTRACT if each not in present]
    shown = {family.name for each in page.samples if (family := family_of(each.name))}
    for sample in {each.name: each for each in page.samples if each.name.startswith("llm_")}.values():
        name = sample.name
        if family_of(name) or name.endswith("_created"):
            continue
        if name == f"{COST}_total":
            do = f"name the sample {COST}: with prometheus-client, serve meter.asgi_app() or meter.wsgi_app()"
            yield found_in(page, sample, f"{name}: the cost has no _total, so that dashboards of {COST} are empty", do)
        elif near := get_close_matches(name.removesuffix("_total"), CONTRACT.keys() - shown, 1, 0.75):
            yield found_in(page, sample, f"{name} is none of the contract's", f"did you mean {near[0]}?")
    for name in missing:
        if name not in OPTIONAL:
            do = "export it from the start, with 0 for every backend that is configured"
            yield Wrong(f"{name} is missing", page.format, do)
    for name in present & CONTRACT.keys():
        said = printed(page, CONTRACT[name])
        if said not in page.helps:
            yield Wrong(f"{name} has no HELP line", page.format, f"write `# HELP {said} …` before its samples")


def types(page: Page) -> Iterator[Wrong]:
    """Every family has its type, said before its samples."""
    for name in sorted(families_on(page)):
        family = FAMILIES[name]
        said = printed(page, family)
        # OpenMetrics knows no counter without `_total`
        allowed = (family.type, "unknown") if name == COST and page.openmetrics else (family.type,)
        do = f"write `# TYPE {said} {allowed[-1]}` before its samples"
        found = page.types.get(said)
        if found is None:
            yield Wrong(f"{name} has no TYPE line", page.format, do)
        elif found.text not in allowed:
            where = f"{page.format}, line {found.line}"
            yield Wrong(f"{name} is a {found.text}, not a {family.type}", where, do)
        elif any(each.line < found.line for each in _samples(page, family)):
            yield Wrong(f"the TYPE line of {name} follows its samples", f"{page.format}, line {found.line}", do)


def _samples(page: Page, family: Family) -> Iterator[Sample]:
    return (each for each in page.samples if each.name in family.samples)


def labels(page: Page) -> Iterator[Wrong]:
    """Every series has exactly its family's labels."""
    for sample in page.samples:
        if family := family_of(sample.name):
            has, should = {name for name, _ in sample.labels}, set(family.sample_labels(sample.name))
            if more := sorted(has - should):
                yield found_in(
                    page, sample, f"{sample.name} has the label {more[0]}", f"leave it out: it has {_and(should)}"
                )
            if less := sorted(should - has):
                yield found_in(page, sample, f"{sample.name} lacks the label {less[0]}", f"it has {_and(should)}")


def _and(words: set[str]) -> str:
    return ", ".join(sorted(words)) or "none"


def values(page: Page) -> Iterator[Wrong]:
    """A label that has few values has one of them; none is empty."""
    for sample in page.samples:
        family = family_of(sample.name)
        for name, value in sample.labels if family else ():
            known = family.values.get(name) if family else None
            if known is not None and value not in known:
                do = f"it is one of {_and(set(known))}"
                yield found_in(page, sample, f"{sample.name} has {name}={value!r}", do)
            elif not value:
                yield found_in(page, sample, f"{sample.name} has an empty {name}", "say `unknown` where nobody knows")


def buckets(page: Page) -> Iterator[Wrong]:
    """The duration has the contract's buckets."""
    name = "llm_request_duration_seconds_bucket"
    bounds: dict[Labels, set[float]] = {}
    at: dict[Labels, Sample] = {}
    for sample in page.samples:
        if sample.name == name:
            series = tuple(each for each in sample.labels if each[0] != "le")
            at.setdefault(series, sample)
            bounds.setdefault(series, set()).add(_bound(sample))
    for series, found in bounds.items():
        if found != set(BUCKETS):
            shown = " ".join(f"{each:g}" for each in sorted(found))
            do = f"use {' '.join(f'{each:g}' for each in BUCKETS)} (with llmmetrics: leave DurationBuckets out)"
            yield found_in(page, at[series], f"the buckets of {at[series].name} are {shown}", do)


def _bound(sample: Sample) -> float:
    try:
        return float(dict(sample.labels)["le"])
    except (KeyError, ValueError):
        return -1.0


def numbers(page: Page) -> Iterator[Wrong]:
    """No value is negative, infinite, or no number."""
    for sample in page.samples:
        if family_of(sample.name) and not (isfinite(sample.value) and sample.value >= 0):
            do = "count what is there: an unknown value has a series of its own, or none"
            yield found_in(page, sample, f"{sample} is {sample.value:g}", do)


def duplicates(page: Page) -> Iterator[Wrong]:
    """No series is there twice."""
    counted = Counter((each.name, each.labels) for each in page.samples)
    for sample in page.samples:
        if sample.name.startswith("llm") and counted.pop((sample.name, sample.labels), 0) > 1:
            yield found_in(page, sample, f"{sample} is there more than once", "export one: which one counts is chance")


def created(page: Page) -> Iterator[Wrong]:
    """No `_created` series: they double what is stored, and nobody asks for them."""
    ours = {f"{name.removesuffix('_total')}_created" for name in FAMILIES}
    for sample in page.samples:
        if sample.name in ours:
            do = "leave it out; with prometheus-client, by a collector that drops it"
            yield found_in(page, sample, f"{sample.name} is exported", do)


def secrets(page: Page) -> Iterator[Wrong]:
    """No label holds what looks like a key or a password. It is not shown."""
    for sample in page.samples:
        for name, value in sample.labels:
            if kind := looks_secret(value):
                do = "whoever reads /metrics reads it: label by the backend's name, and change the key"
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
    """What one check finds. What is wrong in both formats alike is said once; of many alike, the first few are."""
    found = {each.what: each for each in reversed(list(CHECKS[name](scrapes)))}
    wrong = list(reversed(found.values()))
    if len(wrong) > MOST:
        more = f"and {len(wrong) - MOST} more like these"
        wrong[MOST:] = [Wrong(more, name, "they may have one cause")]
    return wrong
