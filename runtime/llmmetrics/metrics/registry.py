"""The families in a Prometheus registry, under exactly the documented names.

prometheus-client appends `_total` to every counter and `_created` to every family. So the families themselves are
not registered: one collector is, and it renames them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakMethod

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.metrics_core import Metric

from llmmetrics.metrics.batching import Batches, Finished
from llmmetrics.metrics.definitions import (
    HEALTH,
    MULTIPROCESS_MODES,
    ROWS,
    FamilyRow,
    booked_gauge,
    budget_gauge,
    catalogue_gauge,
    pending_gauge,
    window_gauge,
)
from llmmetrics.metrics.names import check_exposition, exact
from llmmetrics.pricing.catalogue import catalogue_version
from llmmetrics.pricing.price import Price
from llmmetrics.reading.error_types import ErrorType
from llmmetrics.settings.windows import Window
from llmmetrics.system import locks, processes

log = logging.getLogger("llmmetrics")

BATCH = 64
"""Number of finished calls that are written to a registry at once; a scrape writes the rest."""


class Spend(NamedTuple):
    """Spend and limit of one backend, in pico-dollars; `blocked` while its calls are refused."""

    spent: int
    limit: int
    blocked: bool
    window: Window
    booked: Mapping[Any, int]
    """What is spent, by basis: how sure it is."""


PICO = 10**12

OUTCOMES = ("completed", "failed", "cancelled", "expired")
"""How an answer ends that comes later."""


@dataclass(slots=True)
class CallSeries:
    """The series that a finished call of one backend and model changes."""

    backend: str
    model: str
    finished: list[Finished]
    """The finished calls that are not written yet."""
    first_chunks: list[float]
    """Seconds to the first chunks of those that are streams."""
    batch: int
    """How many of them are written at once."""
    flush: Callable[[], object]
    """Write them."""
    begin: Callable[[], object]
    """Count a call in flight."""
    end: Callable[[], object]
    """Count that call no longer."""
    price: Price | None
    """The configured price of this model."""
    limited: bool = False
    """Whether its backend has a budget."""
    injects: bool = False
    """Whether requests for streams get a request for usage added."""
    later: Callable[[int, int, int | None], None] | None = None
    """Counts the tokens and the cost of an answer that was fetched."""


class Families:
    """Every family of one registry, behind one collector. Several meters may share it."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self.multiprocess = processes.multiprocess()
        """Whether several processes share a directory, so that another one may be scraped."""
        self.buckets = tuple(buckets)
        self._listeners: list[WeakMethod[Callable[[], None]]] = []
        self._budgets: list[WeakMethod[Callable[[], Mapping[str, Spend]]]] = []
        self._pending: list[WeakMethod[Callable[[], Mapping[str, int]]]] = []
        self._known: set[str] = set()
        self._in_flight: dict[str, list[None]] = {}
        """A list as long as a backend has requests in flight."""
        self._tallies: dict[tuple[str, str], Batches] = {}
        self._all: dict[str, Any] = {
            key: row.type(row.name, row.help, row.labels, registry=None, **self._options(row))
            for key, row in ROWS.items()
        }

    def _options(self, row: FamilyRow) -> dict[str, Any]:
        if row.type is Histogram:
            return {"buckets": self.buckets}
        return {"multiprocess_mode": MULTIPROCESS_MODES[row.name]} if row.type is Gauge else {}

    def __getitem__(self, key: str) -> Any:
        return self._all[key]

    def before_collect(self, listener: Callable[[], None]) -> None:
        """Call a bound method at every scrape, as long as its object lives."""
        self._listeners.append(WeakMethod(listener))

    def prepare(self) -> None:
        """Bring all families up to date before a scrape."""
        self._listeners = [each for each in self._listeners if each() is not None]
        for reference in self._listeners:
            if listener := reference():
                listener()
        for tally in list(self._tallies.values()):
            tally.flush()

    def has_budgets(self, spends: Callable[[], Mapping[str, Spend]]) -> None:
        """Call a bound method at every scrape for the spend of the backends, as long as its object lives."""
        self._budgets.append(WeakMethod(spends))

    def has_answers(self, pending: Callable[[], Mapping[str, int]]) -> None:
        """Call a bound method at every scrape for the pending answers of the backends, as long as its object lives."""
        self._pending.append(WeakMethod(pending))

    def _pending_answers(self) -> Iterator[Metric]:
        """Make the gauge of the answers that are still to come, if a backend had one."""
        counts = [ask() for reference in self._pending if (ask := reference())]
        if backends := {backend: n for count in counts for backend, n in count.items()}:
            gauge = pending_gauge()
            for backend, n in backends.items():
                gauge.add_metric([backend], n)
            yield gauge

    def with_budgets(self, metrics: Iterable[Metric]) -> Iterator[Metric]:
        """Add the ledger's current state to the families: the spend of each window; blocked backends are unhealthy."""
        answers = [ask() for reference in self._budgets if (ask := reference())]
        spends = {backend: spend for answer in answers for backend, spend in answer.items()}
        blocked = {backend for backend, spend in spends.items() if spend.blocked}
        for metric in metrics:
            if metric.name == HEALTH and blocked:
                metric.samples = [
                    each._replace(value=0.0) if each.labels["backend"] in blocked else each for each in metric.samples
                ]
            yield metric
        if spends:
            gauge, booked, edges = budget_gauge(), booked_gauge(), window_gauge()
            for backend, spend in spends.items():
                gauge.add_metric([backend, "current"], spend.spent / PICO)
                gauge.add_metric([backend, "max"], spend.limit / PICO)
                for basis, amount in spend.booked.items():
                    booked.add_metric([backend, basis], amount / PICO)
                if spend.window.resets_at is not None:
                    edges.add_metric([backend, "start"], spend.window.start.timestamp())
                    edges.add_metric([backend, "end"], spend.window.end.timestamp())
            yield from (gauge, booked, edges)
        yield from self._pending_answers()

    def collect(self) -> Iterator[Metric]:
        self.prepare()
        ours = (exact(metric) for family in self._all.values() for metric in family.collect())
        yield from self.with_budgets(ours)
        yield catalogue_gauge(catalogue_version())

    def describe(self) -> Iterable[Metric]:
        ours = (exact(metric) for family in self._all.values() for metric in family.describe())
        return [*ours, budget_gauge(), booked_gauge(), window_gauge(), pending_gauge(), catalogue_gauge()]

    def series(self, backend: str, model: str, price: Price | None) -> CallSeries:
        """Create the children of a backend and model, at 0."""
        tally = self._tally(backend, model)
        return CallSeries(
            backend,
            model,
            tally.finished,
            tally.first_chunks,
            tally.size,
            tally.flush,
            *self._active(backend),
            price,
            later=tally.later,
        )

    def _active(self, backend: str) -> tuple[Callable[[], object], Callable[[], object]]:
        """Return how to count one more and one less request in flight of a backend."""
        child = self["active"].labels(backend)
        if self.multiprocess:
            return partial(child.inc, 1), partial(child.dec, 1)
        # the length of a list: to append and to pop are atomic, and take a tenth of the time of a gauge
        calls = self._in_flight.setdefault(backend, [])
        child.set_function(calls.__len__)
        return partial(calls.append, None), calls.pop

    def priced(self, backend: str, model: str) -> None:
        """Create the cost child of a model with a known price, at 0."""
        self._tally(backend, model).priced()

    def _tally(self, backend: str, model: str) -> Batches:
        with _lock:
            if (backend, model) not in self._tallies:
                # with several processes, a scrape cannot make this one write its batch
                batch = 1 if self.multiprocess else BATCH
                self._tallies[backend, model] = Batches(self._all, backend, model, batch)
            return self._tallies[backend, model]

    def backend(self, backend: str) -> None:
        """Create the children of a backend that do not depend on models, at 0, and healthy."""
        if backend in self._known:
            # another meter has already created them
            return
        self._known.add(backend)
        for each in ErrorType:
            self["errors"].labels(backend, each.value)
        self["active"].labels(backend)
        self["retries"].labels(backend)
        for state in OUTCOMES:
            self["answers"].labels(backend, state)
        health = self["health"].labels(backend)
        if self.multiprocess:
            # an old timestamp, so that a new worker does not override the others
            health._value.set(1.0, timestamp=1.0)  # noqa: SLF001
        else:
            health.set(1)

    def forked(self) -> None:
        """Reset the state in a forked process: locks, batches and calls in flight belong to the parent."""
        global _lock  # noqa: PLW0603 - another thread of the parent may have held it
        _lock = Lock()
        locks.renew(part for family in self._all.values() for part in locks.parts(family))
        locks.renew(self._tallies.values())
        if self.multiprocess:
            for tally in self._tallies.values():
                tally.forget()
        else:
            for calls in self._in_flight.values():
                calls.clear()


_shared: WeakKeyDictionary[CollectorRegistry, Families] = WeakKeyDictionary()
_lock = Lock()


def families_in(registry: CollectorRegistry | None, buckets: Sequence[float]) -> Families:
    """Return the families of a registry, and register them if needed; None: not registered."""
    if registry is None:
        return Families(buckets)
    with _lock:
        families = _shared.get(registry)
        if families is None:
            families = Families(buckets)
            registry.register(families)
            _shared[registry] = families
            check_exposition()
        elif families.buckets != tuple(buckets):
            log.warning("DurationBuckets are ignored: another meter on this registry has set different ones")
        return families


def registered() -> list[Families]:
    """List the families of every registry of this process."""
    with _lock:
        return list(_shared.values())
