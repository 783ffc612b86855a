"""Computes the figures of a window of scrapes: rates, errors, latency, tokens, cost, budgets. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from llmmetrics.cli.top.quantiles import Latency, quantile
from llmmetrics.cli.top.readings import ScrapeWindow, Series
from llmmetrics.cli.top.tag_figures import TagFigures, tags_of

_KINDS = ("status", "token_type", "error_type", "limit_type", "reason", "le")
_FAILED = ("failure", "timeout")
"""The statuses that are errors; a cancelled call is none."""

_BUCKET = "llm_request_duration_seconds_bucket"

_JOINED: Mapping[str, Callable[[float, float], float]] = {"llm_backend_health": min, "llm_backend_budget_usd": max}
"""How to join a gauge's values of several instances, if they do not add up."""

Sums = dict[tuple[str, str], float]
"""Values by the sample's name and the value of its label with few values."""


class SeriesValues(NamedTuple):
    """The values of a backend and model."""

    now: Sums
    """Since the process started."""
    grown: Sums
    """In the window."""


class CallFigures(NamedTuple):
    """The figures of a model, a backend or all backends. None: unknown."""

    calls: float
    """Since the process started."""
    made: float
    """In the window."""
    rate: float | None
    """Calls per second."""
    failed: float | None
    """The share of the window's calls, from 0 to 1."""
    p95: Latency | None
    prompt: float
    """Tokens, since the process started."""
    completion: float
    prompt_rate: float | None
    """Tokens per second."""
    completion_rate: float | None
    hourly: float | None
    """USD per hour."""
    cost: float | None
    """USD, since the process started."""
    unpriced: bool
    """Whether some calls have an unknown cost, which `cost` does not include."""


class BudgetFigures(NamedTuple):
    """A backend's spend and limit, in USD, and the calls refused since the process started."""

    spent: float | None
    limit: float | None
    refused: float
    would_refuse: float
    """In mode `shadow`."""


class BackendFigures(NamedTuple):
    """The figures of one backend."""

    name: str
    all: CallFigures
    models: Mapping[str, CallFigures]
    """Sorted, the busiest first."""
    errors: Mapping[str, float]
    """Errors in the window, by type."""
    healthy: bool | None
    active: float | None
    budget: BudgetFigures | None


class Overview(NamedTuple):
    """All figures of a window."""

    seconds: float | None
    """Its length; None: a single scrape, whose figures are since the process started."""
    backends: tuple[BackendFigures, ...]
    """Sorted, the busiest first."""
    all: CallFigures
    unread: int
    """The number of unreadable lines on the last page."""
    tags: tuple[TagFigures, ...]
    """Sorted, the most expensive first."""


def overview(window: ScrapeWindow) -> Overview:
    """Compute the figures of a window of one or more scrapes."""
    first, last = window.readings[0], window.readings[-1]
    alone = first is last
    seconds = None if alone else max(last.at - first.at, 1e-3)
    growth = {each: last.grown[each] - first.grown.get(each, 0.0) for each in window.values}
    grown = window.values if alone else growth
    groups = _by_backend(window.values, grown)
    backends = (_backend(name, models, seconds) for name, models in groups.items())
    return Overview(
        seconds,
        tuple(sorted(backends, key=lambda each: (*_busy(each.all), each.name))),
        _figures([sides for models in groups.values() for sides in models.values()], seconds),
        window.unread,
        tags_of(window.values, grown, seconds),
    )


def _busy(figures: CallFigures) -> tuple[float, float]:
    """Return a sort key that puts the busiest first."""
    return -figures.made, -figures.calls


def _by_backend(now: Mapping[Series, float], grown: Mapping[Series, float]) -> dict[str, dict[str, SeriesValues]]:
    """Group the values by backend and model; series without a model have the key ""."""
    groups: dict[str, dict[str, SeriesValues]] = {}
    for (name, pairs), value in now.items():
        labels = dict(pairs)
        if "backend" not in labels:
            continue
        sides = groups.setdefault(labels["backend"], {}).setdefault(labels.get("model", ""), SeriesValues({}, {}))
        key = name, next((labels[each] for each in _KINDS if each in labels), "")
        join = _JOINED.get(name, _plus)
        for sums, each in ((sides.now, value), (sides.grown, grown[name, pairs])):
            sums[key] = join(sums[key], each) if key in sums else each
    return groups


def _plus(one: float, other: float) -> float:
    return one + other


def _backend(name: str, values: Mapping[str, SeriesValues], seconds: float | None) -> BackendFigures:
    own = values.get("", SeriesValues({}, {}))
    health = own.now.get(("llm_backend_health", ""))
    models = {model: _figures([sides], seconds) for model, sides in values.items() if model}
    errors = {kind: value for (family, kind), value in own.grown.items() if family == "llm_errors_total" and value}
    return BackendFigures(
        name,
        _figures(values.values(), seconds),
        dict(sorted(models.items(), key=lambda each: (*_busy(each[1]), each[0]))),
        dict(sorted(errors.items(), key=lambda each: (-each[1], each[0]))),
        None if health is None else health > 0,
        own.now.get(("llm_active_requests", "")),
        _budget(own.now),
    )


def _budget(now: Sums) -> BudgetFigures | None:
    spent, limit = (now.get(("llm_backend_budget_usd", each)) for each in ("current", "max"))
    refused, would_refuse = (_sum(now, f"llmmetrics_budget_{each}_total") for each in ("refusals", "shadow_refusals"))
    # a ledger that does not answer exports no budget, and may be the reason of refusals
    if limit is None and not refused and not would_refuse:
        return None
    return BudgetFigures(spent, limit, refused, would_refuse)


def _sum(sums: Sums, name: str, *kinds: str) -> float:
    return sum(value for (each, kind), value in sums.items() if each == name and (not kinds or kind in kinds))


def _figures(values: Iterable[SeriesValues], seconds: float | None) -> CallFigures:
    """Compute the figures of one backend and model, or of several together."""
    values = list(values)
    now, grown = (_added(each[side] for each in values) for side in (0, 1))
    calls, made = (_sum(each, "llm_requests_total") for each in (now, grown))
    prompt, completion = (_sum(now, "llm_tokens_total", each) for each in ("prompt", "completion"))
    cost = now.get(("llm_estimated_cost_usd", ""))

    def per_second(name: str, *kinds: str) -> float | None:
        return None if seconds is None else _sum(grown, name, *kinds) / seconds

    dollars = None if cost is None else per_second("llm_estimated_cost_usd")
    return CallFigures(
        calls=calls,
        made=made,
        rate=per_second("llm_requests_total"),
        failed=_sum(grown, "llm_requests_total", *_FAILED) / made if made else None,
        p95=quantile({kind: value for (name, kind), value in grown.items() if name == _BUCKET}, 0.95),
        prompt=prompt,
        completion=completion,
        prompt_rate=per_second("llm_tokens_total", "prompt"),
        completion_rate=per_second("llm_tokens_total", "completion"),
        hourly=None if dollars is None else dollars * 3600,
        cost=cost,
        unpriced=any(_unpriced(each.now) for each in values),
    )


def _added(several: Iterable[Sums]) -> Sums:
    sums: Sums = {}
    for each in several:
        for key, value in each.items():
            sums[key] = sums.get(key, 0.0) + value
    return sums


def _unpriced(now: Sums) -> bool:
    """Return whether a model has calls without a known price: with a known price it has a cost, at least 0."""
    priced = ("llm_estimated_cost_usd", "") in now
    return bool(_sum(now, "llmmetrics_calls_without_price_total") or (not priced and _sum(now, "llm_requests_total")))
