"""What a meter does: wires settings, prices, health and metrics together, and counts each call."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock
from traceback import extract_tb
from weakref import WeakSet

from prometheus_client import REGISTRY, CollectorRegistry

from llmmetrics import call as calls
from llmmetrics import health, locks, telling, wire, workers
from llmmetrics.backends import Backends, Configured
from llmmetrics.budget import SpendAlert, nano
from llmmetrics.call import Call, CallRecord
from llmmetrics.catalogue import Catalogue, catalogue_version
from llmmetrics.classify import is_pool_timeout
from llmmetrics.clock import Clock, SystemClock
from llmmetrics.errors import BudgetExceeded
from llmmetrics.health import Health
from llmmetrics.metrics import Families, Series, families_in
from llmmetrics.outcome import End, Outcome
from llmmetrics.purse import Purse
from llmmetrics.refresh import Refresh, under_test
from llmmetrics.routes import Place, Route, route_of
from llmmetrics.settings import Settings
from llmmetrics.tally import TOKEN_TYPES
from llmmetrics.tariff import Tariff
from llmmetrics.usage import FEES

log = logging.getLogger("llmmetrics")

OTHER = "other"
"""The model label of a call whose backend has shown too many models."""

LONGEST_MODEL = 200
"""A longer name, in characters, is no model's: it is counted as `other`."""

UNKNOWN = "unknown"
"""The model label of a request that names none."""


MOST_ROUTES = 4096
"""How many places are remembered; Gemini has one for every model."""

alive: WeakSet[Engine] = WeakSet()
"""Every meter of the process, for `llmmetrics.testing.meters` and for what is said of connections past them."""


class Engine:
    """The inside of a `Meter`: a transport asks it to `begin` a call, a call asks it to `settle`."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Clock | None = None,
        on_spend_alert: Callable[[SpendAlert], object] | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.registry = registry
        self.clock = clock or SystemClock()
        telemetry = self.settings.telemetry
        self.families: Families = families_in(
            registry if telemetry.enable_metrics else None, telemetry.duration_buckets
        )
        self.dropped: deque[Callable[[End], None]] = deque()
        """Calls that a garbage collector ended, to be counted at the next occasion."""
        self.tariff = Tariff(self.settings.price_file, self._new_catalogue(), self.clock.now)
        self.backends = Backends(self.settings.backends)
        self._routes: dict[Place, Route] = {}
        self._series: dict[tuple[str, str | None], Series] = {}
        self._models: dict[str, int] = {}
        self._health: dict[str, Health] = {}
        self._said: set[str] = set()
        self._lock = Lock()
        self._injecting = {each.name for each in self.settings.backends if each.inject_stream_usage}
        self._logs_calls = telemetry.log_token_counts or telemetry.log_timing
        self.families.before_collect(self.flush)
        self.purse: Purse | None = None
        limited = {each.name: each for each in self.settings.backends if each.max_spend_usd is not None}
        if limited:
            self.fund(Purse(self.settings, limited, self, on_spend_alert))
        workers.on_fork(self._forked)
        if not self.families.multiprocess:
            self._warn_alone()
        self._guarded("warm", self.tariff.catalogue.warm)
        for backend in self.backends.all:
            self._start(backend)
        self._refresh: Refresh | None = None
        if self.settings.refresh_prices and not under_test():
            self._refresh = Refresh(self._stale)
        alive.add(self)

    def _new_catalogue(self) -> Catalogue:
        return Catalogue()

    def fund(self, purse: Purse | None) -> None:
        """Have this purse's limits from now on; None: no limits."""
        self.purse = purse
        with self._lock:
            for series in self._series.values():
                series.limited = self._limits(series.backend)

    def _limits(self, backend: str) -> bool:
        return self.purse is not None and backend in self.purse.budget.lines

    def _start(self, backend: Configured) -> None:
        """Have every series of a backend that can be known before its first call, at 0."""
        self._known_backend(backend.name)
        for model in backend.models:
            series = self._new_series(backend.name, model)
            self.families["without_price"].labels(series.backend, series.model)
            if backend.price or self.tariff.listed(backend, (model,)):
                self.families.priced(series.backend, series.model)
            elif self.purse is not None:
                self.purse.require_price(backend.name, model)

    # what a transport asks for

    def begin(self, place: Place, body: bytes) -> Call | None:
        """A call for a request to this place, or None for what is no call and passes untouched."""
        try:
            if self.dropped:
                self.flush()
            route = self._routes.get(place) or self._new_route(place)
            if route.claim is None:
                self.families["unmetered"].labels(route.label(None)).inc()
                return None
            asked = wire.asked(route.claim, body)
            model = asked[0]
            name = route.only or route.label(model)
            series = self._series.get((name, model)) or self._new_series(name, model or UNKNOWN)
            call = Call(self, route, route.claim.format, asked, series, body)
            series.active(1)
        except Exception as exc:
            self.swallow("begin", exc)
            return None
        return call

    def admit(self, call: Call) -> BudgetExceeded | None:
        """Ask the budget of a call's backend; the refusal, where the call may not be made."""
        return None if self.purse is None else self.purse.admit(call)

    async def aadmit(self, call: Call) -> BudgetExceeded | None:
        """The same for an async caller."""
        return None if self.purse is None else await self.purse.aadmit(call)

    def book(self, call: Call) -> None:
        """Book what an admitted call came to."""
        try:
            if self.purse is not None:
                self.purse.book(call)
        except Exception as exc:
            self.swallow("book", exc)

    def close(self) -> None:
        """Book what is still to be booked, and let the ledger go. Calls that come later are not metered right."""
        self.flush()
        alive.discard(self)
        if self._refresh is not None:
            self._refresh.close()
        if self.purse is not None:
            self.purse.close()

    def settle(self, call: Call, outcome: Outcome, duration: float, exception: BaseException | None) -> None:
        """Count a finished call in every family it belongs to."""
        series, usage = call.series, outcome.usage
        if usage is None:
            cost, call.amount = None, 0
            series.add((outcome.status, duration, 0, 0, None))
        else:
            cost = call.cost(outcome, usage)
            series.add((outcome.status, duration, usage.prompt, usage.completion, cost))
            if cost is None:
                self._unpriced(series, outcome)
                if call.admitted is not None:
                    call.known_amount = nano(call.least(outcome, usage))
            elif call.admitted is not None:
                call.amount = nano(cost)
        if call.retry:
            self.families["retries"].labels(series.backend).inc()
        state = self._health[series.backend]
        if not (outcome.plain and state.calm and call.first_chunk_at is None):
            self._unusual(call, outcome, duration, exception, state)
        if calls.observers or self._logs_calls:
            self._tell(call.record(outcome, duration, 0 if usage is None else cost))

    def _unusual(
        self, call: Call, outcome: Outcome, duration: float, exception: BaseException | None, state: Health
    ) -> None:
        """Count what most calls have nothing of: first chunks, errors, estimates, changes of health."""
        series, families = call.series, self.families
        if call.first_chunk_at is not None:
            families["first_chunk"].labels(series.backend, series.model).observe(call.first_chunk_at - call.started)
        if outcome.error is not None:
            families["errors"].labels(series.backend, outcome.error.value).inc()
        if not outcome.known:
            self._estimated(series, outcome)
        if outcome.unread:
            families["unread"].labels(outcome.unread).inc()
        verdict = health.verdict(outcome.status, outcome.error, call.http_status, pool=is_pool_timeout(exception))
        if verdict is not None and state.record(verdict, call.started, call.started + duration):
            families["health"].labels(series.backend).set(state.up)

    def _estimated(self, series: Series, outcome: Outcome) -> None:
        self.families["without_usage"].labels(outcome.reason).inc()
        if (usage := outcome.usage) is not None:
            for name, n in zip(TOKEN_TYPES, (usage.prompt, usage.completion, usage.total), strict=True):
                self.families["estimated"].labels(series.backend, series.model, name).inc(n)

    def _unpriced(self, series: Series, outcome: Outcome) -> None:
        self.families["without_price"].labels(series.backend, series.model).inc()
        what = f"{series.model!r} at {series.backend!r}"
        if outcome.tier:
            what += f" in the service tier {outcome.tier!r}"
        if outcome.usage and (fees := FEES & outcome.usage.buckets.keys()):
            what += f", or of its {', '.join(sorted(fees))}"
        self.say(
            f"price of {what}",
            f"nobody knows the price of {what}: such calls count no cost. Set CostPerMillionInputTokens and "
            "CostPerMillionOutputTokens on a backend with this ModelName, or name a PriceFile (docs/prices.md)",
        )

    def _stale(self, exception: Exception) -> None:
        """Count and say that the catalogue could not be fetched anew."""
        self.families["internal"].labels("refresh_prices").inc()
        self.say(
            "refresh",
            f"the price catalogue could not be refreshed ({type(exception).__name__}): prices stay those of "
            f"{catalogue_version()}, and it is tried every hour. Set LlmSettings.RefreshPrices to false where this "
            "process has no way out",
        )

    def require_backend(self, name: str) -> None:
        """Raises `ConfigError` for a name that is no configured backend's."""
        self.backends.named(name)

    def names(self) -> set[str]:
        """Every backend of this meter: the configured ones, and the providers that it has counted for."""
        return set(self._health)

    def knows(self, host: str) -> bool:
        """Whether a metered request has gone to this host."""
        return any(place[2] == host for place in list(self._routes))

    @property
    def in_flight(self) -> int:
        """How many calls have begun and not finished, as far as this process knows."""
        return int(sum(sample.value for metric in self.families["active"].collect() for sample in metric.samples))

    def flush(self) -> None:
        """Count the calls whose answers nobody held any more."""
        while self.dropped:
            try:
                finish = self.dropped.popleft()
            except IndexError:
                return
            self._guarded("flush", partial(finish, End.DROPPED))

    # other processes

    def _forked(self) -> None:
        """In a process that was forked off: before it has threads of its own."""
        locks.renew((self, self.registry, *self._health.values()))
        self.families.forked()
        # what is said waits for the first call or scrape: most processes that are forked off make none
        self.dropped.appendleft(self._settle_in)

    def _settle_in(self, _: End) -> None:
        if self._refresh is not None:
            self._refresh.start()
        if not self.families.multiprocess:
            self._warn_alone()
        elif fault := workers.fault():
            self.say("directory", f"{fault}. Until then the calls of this process are not counted")

    def _warn_alone(self) -> None:
        if self.settings.telemetry.enable_metrics and (message := workers.alone()):
            self.say("alone", message)

    # what is known once

    def _new_route(self, place: Place) -> Route:
        if len(self._routes) > MOST_ROUTES:
            self._routes.clear()
        route = self._routes[place] = route_of(place, self.backends)
        if not route.backends:
            self._known_backend(route.provider)
            if route.claim and self.backends.all:
                self.say(
                    f"host {route.origin}",
                    f"no configured backend has the BaseUrl {route.origin}: "
                    f"its calls are counted as {route.provider!r}",
                )
        return route

    def _known_backend(self, name: str) -> None:
        with self._lock:
            if name not in self._health:
                limits = self.settings.health
                self._health[name] = Health(
                    limits.unhealthy_threshold, limits.healthy_threshold, proven=not self.families.multiprocess
                )
                self.families.backend(name)

    def _new_series(self, backend: str, model: str) -> Series:
        """The series of a backend and model, or of `other` once there are too many."""
        with self._lock:
            full = self._models.get(backend, 0) >= self.settings.telemetry.max_models_per_backend
            if (backend, model) not in self._series and (full or len(model) > LONGEST_MODEL):
                self.families["folded"].labels(backend).inc()
                model = OTHER
            if (backend, model) not in self._series:
                self._models[backend] = self._models.get(backend, 0) + 1
                price = self.backends.own_price(backend, model)
                series = self._series[backend, model] = self.families.series(backend, model, price)
                series.limited = self._limits(backend)
                series.injects = backend in self._injecting
            return self._series[backend, model]

    # what is said

    def _tell(self, record: CallRecord) -> None:
        if self._logs_calls:
            telling.log.info("%s", telling.line(record, self.settings.telemetry))
        for observer in calls.observers:
            self._guarded("observer", partial(observer, record))

    def say(self, topic: str, message: str) -> None:
        """Log a warning, once a topic."""
        if topic not in self._said and len(self._said) < 1000:
            self._said.add(topic)
            log.warning("%s", message)

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an error of our own, log it once, and go on."""
        # a multiprocess directory that is gone fails this as well
        with suppress(Exception):
            self.families["internal"].labels(where).inc()
        if where not in self._said:
            self._said.add(where)
            # the exception's own text may hold what was read: where it was raised is what helps
            frames = extract_tb(exception.__traceback__)
            place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            name = type(exception).__name__
            log.error("llmmetrics failed in %s (%s%s) and went on; the call is not harmed", where, name, place)

    def _guarded(self, where: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as exc:
            self.swallow(where, exc)
