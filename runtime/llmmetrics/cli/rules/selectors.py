"""Whether the names, labels and label values of a selector exist, and which series it chooses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from promql_parser import Matcher, MatchOp, VectorSelector

from llmmetrics.cli.output.findings import Finding, error
from llmmetrics.cli.rules import simulated
from llmmetrics.cli.rules.shape import VectorShape, labels_of, listed
from llmmetrics.cli.rules.simulated import OURS, SAMPLES, Labels
from llmmetrics.metrics.names import COST
from llmmetrics.testing.contract.families import FAMILIES

PREFIXES = ("llm_", "llmmetrics_")
"""A name that starts so and is none of ours is a mistake; any other is another program's."""

TARGETS = frozenset(
    [
        *("job", "instance", "exported_job", "exported_instance", "endpoint", "host", "hostname", "prometheus"),
        *("cluster", "namespace", "deployment", "replica", "pod", "container", "node", "service", "component"),
        *("env", "environment", "stage", "stack", "tier", "app", "application", "release", "team", "tenant"),
        *("region", "zone", "az", "site", "datacenter", "dc"),
    ]
)
"""Labels that scrape configurations usually add."""

CLOSED = frozenset(label for each in FAMILIES.values() for label in each.values) | {"le"}
"""Labels whose values are ours to know."""


def is_variable(value: str) -> bool:
    """Whether a dashboard's variable is in a label's value, which then matches whatever there is."""
    return re.search(r"\$[A-Za-z_]", value) is not None


def name_of(node: VectorSelector) -> str | None:
    """The metric's name; None where it is chosen by a regular expression."""
    equal = (each.value for each in node.matchers.matchers if each.name == "__name__" and each.op == MatchOp.Equal)
    return node.name or next(equal, None)


_MEASURES = (
    ("budget|limit|quota", "llm_backend_budget_usd"),
    ("cost|spen[dt]|usd|dollar|price|bill", COST),
    ("first|ttft", "llm_time_to_first_chunk_seconds"),
    ("latency|duration|seconds|time", "llm_request_duration_seconds"),
    ("token", "llm_tokens_total"),
    ("retr(?:y|ies)", "llmmetrics_retries_total"),
    ("in_?flight|active|pending|concurren|ongoing", "llm_active_requests"),
    ("error|fail|exception", "llm_errors_total"),
    ("health|_up$|alive|available", "llm_backend_health"),
    ("call|request|quer(?:y|ies)|completion", "llm_requests_total"),
)
"""Words of other tools' metrics, and what measures the same here: the first that is in a name holds."""

_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


def nearest(name: str) -> str | None:
    """The name of ours that a name was probably meant to be: a misspelt one, or the same measure."""
    if name.startswith("llmmetrics_"):
        return next(iter(get_close_matches(name, SAMPLES, 1, 0.7)), None)
    if misspelt := get_close_matches(name, SAMPLES, 1, 0.92):
        return misspelt[0]
    same = next((ours for words, ours in _MEASURES if re.search(words, name)), None)
    if same is None or same in SAMPLES:
        return same
    # a histogram
    part = _SUFFIX.search(name)
    return same + (part[0] if part else "_bucket")


def unknown_name(name: str) -> Finding:
    """What is wrong with a name that looks like ours and does not exist."""
    if name == f"{COST}_total":
        return error(f"{name} does not exist: the cost has no _total", f"write {COST}")
    if name in FAMILIES:
        parts = listed(FAMILIES[name].samples)
        return error(f"{name} is a histogram, which has no series of this name, so the result is empty", f"use {parts}")
    near = nearest(name)
    do = f"did you mean {near}?" if near else "docs/metrics.md lists all that there are"
    return error(f"{name} does not exist, so the result is empty", do)


def choose(shape: VectorShape, name: str, matchers: list[Matcher]) -> Iterator[Finding | VectorShape]:
    """What is wrong with the matchers, and at the end the series that they leave, where they leave any."""
    series = shape.series or frozenset()
    present = labels_of(series)
    for each in matchers:
        if each.name == "__name__":
            continue
        if each.name not in present:
            if finding := _absent(name, each, present):
                yield finding
                return
            continue
        if is_variable(each.value):
            continue
        known = _known(shape, name, each.name)
        if known is None:
            series = _bound(series, each)
            continue
        wrong = list(_values(name, each, known))
        yield from wrong
        series = frozenset(row for row in series if _matches(each.op, each.value, dict(row)[each.name]))
        if not series:
            if not wrong:
                yield error(f"{{{each}}} excludes every {each.name} of {name}", f"they are {listed(known)}")
            return
    yield shape._replace(series=series)


def _absent(name: str, each: Matcher, present: frozenset[str]) -> Finding | None:
    """What comes of asking for a label that is not there: to Prometheus it is empty."""
    if _matches(each.op, each.value, "") and (each.op in (MatchOp.Equal, MatchOp.Re) or not each.value):
        return None
    effect = "excludes nothing" if _matches(each.op, each.value, "") else "matches nothing"
    return error(
        f"{name} has no label {each.name!r}, so {{{each}}} {effect}",
        f"it has {listed(present & (OURS | {'job', 'instance'}))}",
    )


def _known(shape: VectorShape, name: str, label: str) -> frozenset[str] | None:
    """The values of a label, where it has few; of a recording rule, those that its expression leaves."""
    if name in SAMPLES:
        return simulated.values(name, label)
    if label in CLOSED:
        return frozenset(value for row in shape.series or () for key, value in row if key == label)
    return None


def _bound(series: frozenset[Labels], each: Matcher) -> frozenset[Labels]:
    """A label that may have any value has the one that is asked for: whoever asks knows."""
    if each.op != MatchOp.Equal or not each.value:
        return series
    return frozenset(
        frozenset((key, each.value if key == each.name else value) for key, value in row) for row in series
    )


def _values(name: str, each: Matcher, known: frozenset[str]) -> Iterator[Finding]:
    """Each value that is asked for, or excluded, and cannot occur."""
    exact = each.op in (MatchOp.Equal, MatchOp.NotEqual)
    op = MatchOp.Equal if exact else MatchOp.Re
    for value in [each.value] if exact or re.search(r"[()\[\]]", each.value) else each.value.split("|"):
        if (value or each.op == MatchOp.Equal) and not any(_matches(op, value, one) for one in known):
            near = get_close_matches(value, known, 1, 0.6)
            do = f"did you mean {near[0]!r}? It is one of" if near else "it is one of"
            yield error(f"{each.name} of {name} is never {value!r}", f"{do} {listed(known)}")


def _matches(op: MatchOp, pattern: str, value: str) -> bool:
    if op in (MatchOp.Equal, MatchOp.NotEqual):
        return (value == pattern) is (op == MatchOp.Equal)
    try:
        return bool(re.fullmatch(pattern, value)) is (op == MatchOp.Re)
    except re.error:
        # RE2 knows what Python does not
        return True
