"""The metric families, under exactly the documented names, in one Prometheus registry.

prometheus-client appends `_total` to every counter and `_created` to every family, so the families are
registered nowhere themselves: one collector of ours stands in the registry and hands them out renamed.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter as Tallied
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary, WeakMethod

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from llmmetrics.classify import ErrorType, Status
from llmmetrics.pricing import ATTO, Price

log = logging.getLogger("llmmetrics")

COST = "llm_estimated_cost_usd"

TOKEN_TYPES = ("prompt", "completion", "total")


class Row(NamedTuple):
    """One family of the contract."""

    name: str
    type: type[Counter | Gauge | Histogram]
    help: str
    labels: tuple[str, ...]


ROWS: dict[str, Row] = {
    "requests": Row("llm_requests_total", Counter, "Total number of LLM requests", ("backend", "model", "status")),
    "duration": Row("llm_request_duration_seconds", Histogram, "LLM request duration in seconds", ("backend", "model")),
    "first_chunk": Row(
        "llm_time_to_first_chunk_seconds",
        Histogram,
        "Time from the request to a stream's first bytes, in seconds",
        ("backend", "model"),
    ),
    "tokens": Row("llm_tokens_total", Counter, "Total token usage", ("backend", "model", "token_type")),
    "cost": Row(COST, Counter, "Estimated cost in USD", ("backend", "model")),
    "errors": Row("llm_errors_total", Counter, "Total number of LLM errors", ("backend", "error_type")),
    "health": Row("llm_backend_health", Gauge, "Backend health (1 = healthy, 0 = unhealthy)", ("backend",)),
    "active": Row("llm_active_requests", Gauge, "Number of LLM requests in flight", ("backend",)),
    "estimated": Row(
        "llmmetrics_estimated_tokens_total",
        Counter,
        "Tokens in llm_tokens_total that were estimated, not read",
        ("backend", "model", "token_type"),
    ),
    "without_usage": Row(
        "llmmetrics_calls_without_usage_total", Counter, "Calls whose usage the wire did not carry", ("reason",)
    ),
    "without_price": Row(
        "llmmetrics_calls_without_price_total",
        Counter,
        "Calls that used tokens whose price nobody knows",
        ("backend", "model"),
    ),
    "unmetered": Row(
        "llmmetrics_unmetered_requests_total",
        Counter,
        "Requests that passed through and are no LLM call",
        ("backend",),
    ),
    "unread": Row("llmmetrics_unread_calls_total", Counter, "Calls whose answer could not be read", ("reason",)),
    "folded": Row(
        "llmmetrics_folded_models_total",
        Counter,
        "Calls whose model is counted as `other`, to bound the number of series",
        ("backend",),
    ),
    "internal": Row(
        "llmmetrics_internal_errors_total", Counter, "Errors inside llmmetrics that were swallowed", ("where",)
    ),
}


class _ExactName(str):
    """A counter's name that stays as it is when an exposition adds `_total` to it."""

    __slots__ = ()

    def __add__(self, suffix: str) -> str:
        return self if suffix == "_total" else str(self) + suffix


def _exact(metric: Metric) -> Metric:
    """The family under its documented name, without the samples that nobody asked for."""
    samples = [each for each in metric.samples if not each.name.endswith("_created")]
    if metric.name == COST:
        metric.name = _ExactName(COST)
        samples = [each._replace(name=COST) for each in samples]
    metric.samples = samples
    return metric


Add = Callable[[float], None]
"""Adds to one sample."""


def _adder(child: Any) -> Add:
    """The child's own adder, without the checks that a bound child and a count have no need of."""
    add: Add = getattr(child, "_value", child).inc
    return add


def _observe(histogram: Any, values: Sequence[float]) -> None:
    """Observe several values at once, where this prometheus-client's histogram lets us."""
    try:
        bounds, buckets, total = histogram._upper_bounds, histogram._buckets, histogram._sum  # noqa: SLF001
    except AttributeError:
        for each in values:
            histogram.observe(each)
        return
    for index, count in Tallied(bisect_left(bounds, each) for each in values).items():
        buckets[index].inc(count)
    total.inc(sum(values))


Finished = tuple[Status, float, int, int, int | None]
"""A finished call: its status, seconds, prompt and completion tokens, and attodollars where the price is known."""

BATCH = 64
"""A registry is told of so many finished calls at once, and of the rest when it is read."""


class Tally:
    """The children of one backend and model, and the finished calls that they have not been told of yet.

    Telling them one by one would take nine locks a call.
    """

    def __init__(self, families: Families, backend: str, model: str) -> None:
        self.backend = backend
        self.model = model
        self._families = families
        self._finished: list[Finished] = []
        self._lock = Lock()
        self._requests = {each: families["requests"].labels(backend, model, each.value) for each in Status}
        self._duration = families["duration"].labels(backend, model)
        self._tokens = [families["tokens"].labels(backend, model, each) for each in TOKEN_TYPES]

    def add(self, finished: Finished) -> None:
        """Count a finished call."""
        self._finished.append(finished)
        if len(self._finished) >= self._families.batch:
            self.flush()

    def priced(self) -> Any:
        """The cost child. It exists from now on: where no price is known, a 0 would say that calls cost nothing."""
        return self._families["cost"].labels(self.backend, self.model)

    def flush(self) -> None:
        """Tell the children. A list's slices are atomic, so that calls may go on finishing meanwhile."""
        with self._lock:
            if not (count := len(self._finished)):
                return
            batch = self._finished[:count]
            del self._finished[:count]
            statuses, durations, prompts, completions, costs = zip(*batch, strict=True)
            for status in set(statuses):
                self._requests[status].inc(statuses.count(status))
            _observe(self._duration, durations)
            prompt, completion = sum(prompts), sum(completions)
            for child, tokens in zip(self._tokens, (prompt, completion, prompt + completion), strict=True):
                child.inc(tokens)
            known = [each for each in costs if each is not None]
            if known:
                self.priced().inc(sum(known) / ATTO)


@dataclass(slots=True)
class Series:
    """What a finished call of one backend and model touches."""

    backend: str
    model: str
    add: Callable[[Finished], None]
    active: Add
    price: Price | None
    """The configured price of this model."""


class Families:
    """Every family of one registry, behind one collector. Several meters may share it."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self.buckets = tuple(buckets)
        self._listeners: list[WeakMethod[Callable[[], None]]] = []
        self._known: set[str] = set()
        self._tallies: dict[tuple[str, str], Tally] = {}
        self.batch = BATCH
        self._all: dict[str, Any] = {
            key: row.type(row.name, row.help, row.labels, registry=None, **self._options(row))
            for key, row in ROWS.items()
        }

    def _options(self, row: Row) -> dict[str, Any]:
        return {"buckets": self.buckets} if row.type is Histogram else {}

    def __getitem__(self, key: str) -> Any:
        return self._all[key]

    def before_collect(self, listener: Callable[[], None]) -> None:
        """Have a bound method called at every scrape, as long as its object lives."""
        self._listeners.append(WeakMethod(listener))

    def collect(self) -> Iterator[Metric]:
        self._listeners = [each for each in self._listeners if each() is not None]
        for reference in self._listeners:
            if listener := reference():
                listener()
        for tally in list(self._tallies.values()):
            tally.flush()
        for family in self._all.values():
            for metric in family.collect():
                yield _exact(metric)

    def describe(self) -> Iterable[Metric]:
        return [_exact(metric) for family in self._all.values() for metric in family.describe()]

    def series(self, backend: str, model: str, price: Price | None) -> Series:
        """The children of a backend and model; they exist with 0 from now on."""
        return Series(backend, model, self._tally(backend, model).add, _adder(self["active"].labels(backend)), price)

    def priced(self, backend: str, model: str) -> None:
        """Have the cost child of a model whose price is known, with 0 until it is called."""
        self._tally(backend, model).priced()

    def _tally(self, backend: str, model: str) -> Tally:
        with _lock:
            if (backend, model) not in self._tallies:
                self._tallies[backend, model] = Tally(self, backend, model)
            return self._tallies[backend, model]

    def backend(self, backend: str) -> None:
        """The children that a backend has whatever its models are, with 0; healthy until known better."""
        if backend in self._known:
            # another meter has counted for it already
            return
        self._known.add(backend)
        for each in ErrorType:
            self["errors"].labels(backend, each.value)
        self["active"].labels(backend)
        self["health"].labels(backend).set(1)


_shared: WeakKeyDictionary[CollectorRegistry, Families] = WeakKeyDictionary()
_lock = Lock()


def families_in(registry: CollectorRegistry | None, buckets: Sequence[float]) -> Families:
    """The families of this registry, registered if they are not there yet; None: registered nowhere."""
    if registry is None:
        return Families(buckets)
    with _lock:
        found = _shared.get(registry)
        if found is None:
            found = Families(buckets)
            registry.register(found)
            _shared[registry] = found
            _check_exposition()
        elif found.buckets != tuple(buckets):
            log.warning("DurationBuckets are ignored: another meter on this registry has set others")
        return found


def _check_exposition() -> None:
    """Say so if this prometheus-client would print the cost under another name."""
    metric = Metric(COST, "probe", "counter")
    metric.samples = [Sample(COST, {}, 1.0)]
    text = generate_latest(cast("Any", SimpleNamespace(collect=lambda: [_exact(metric)])))
    if f"{COST}_total".encode() in text:
        log.error("this prometheus-client prints %s_total instead of %s: expose it by meter.asgi_app()", COST, COST)
