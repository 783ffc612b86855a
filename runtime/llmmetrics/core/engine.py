"""The engine of a meter: connects settings, prices, health, budgets and metrics, and counts each call."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet, proxy

from prometheus_client import REGISTRY, CollectorRegistry

from llmmetrics import wire
from llmmetrics.budgets.amounts import pico
from llmmetrics.core import call_log, record
from llmmetrics.core.call import Call
from llmmetrics.core.call_cost import call_cost, least_cost
from llmmetrics.core.context import NOTHING, CallContext, current, open_runs
from llmmetrics.core.fetch import Fetch, Passage, UnknownRequest, Upload
from llmmetrics.core.health import BackendHealth, Circuit
from llmmetrics.core.rare_metrics import unusual
from llmmetrics.core.record import CallRecord
from llmmetrics.core.routes import Place, Route
from llmmetrics.core.series import SeriesTable
from llmmetrics.core.tags import TaggedSeries
from llmmetrics.errors import BudgetExceeded, ConfigError
from llmmetrics.metrics.batching import Finished
from llmmetrics.metrics.diagnostics import Diagnostics
from llmmetrics.metrics.registry import CallSeries, Families, families_in
from llmmetrics.pricing.basis import Basis
from llmmetrics.pricing.catalogue import Catalogue
from llmmetrics.pricing.refresh import Refresh, under_test
from llmmetrics.reading.endings import End
from llmmetrics.reading.outcome import Outcome
from llmmetrics.settings.backends import Configured
from llmmetrics.settings.loading import joined, load
from llmmetrics.settings.model import Settings
from llmmetrics.settings.price_lookup import PriceLookup
from llmmetrics.system import locks, processes
from llmmetrics.system.clock import Clock, SystemClock, seconds_of
from llmmetrics.system.first_use import on_first_use
from llmmetrics.wire.framing.usual_request import usual_request
from llmmetrics.wire.later import AnswerState
from llmmetrics.wire.usage import Usage

if TYPE_CHECKING:
    # what most programs do not need is imported with its first use
    from llmmetrics.budgets.enforcer import Enforcer
    from llmmetrics.budgets.run import Run
    from llmmetrics.budgets.run_budget import SharedRunLedger
    from llmmetrics.budgets.spend_alerts import SpendAlert
    from llmmetrics.core.answers import Answers
    from llmmetrics.core.run_gate import RunGate
    from llmmetrics.settings.model import Backend

UNKNOWN = "unknown"
"""The model label of a request without a model."""

alive: WeakSet[Engine] = record.alive
"""Every meter of the process, for `llmmetrics.testing.meters` and for warnings about unmetered connections."""


class Engine:
    """The inside of a `Meter`: a transport asks it to `begin` a call, a call asks it to `settle`."""

    explains_tags = True
    """Whether tags that the settings do not count are counted and logged; not if the settings are not the user's."""

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Clock | None = None,
        on_spend_alert: Callable[[SpendAlert], object] | None = None,
    ) -> None:
        # the defaults need no validators, which take milliseconds to build
        self.settings = Settings.model_construct() if settings is None else load(settings)
        self.registry = registry
        self.clock = clock or SystemClock()
        telemetry = self.settings.telemetry
        self.families: Families = families_in(
            registry if telemetry.enable_metrics else None, telemetry.duration_buckets
        )
        self._tagged = TaggedSeries(self.settings.attribution, self.families)
        self.tag = self._tagged.add
        self.circuits: dict[str, Circuit] = {}
        """What a failover knows of the backends."""
        self.dropped: deque[Callable[[End], None]] = deque()
        """Calls that the garbage collector ended; the next call or scrape counts them."""
        self.price_lookup = PriceLookup(self.settings.price_file, self._new_catalogue(), self.clock.now)
        diagnostics = Diagnostics(self.families)
        self.say, self.swallow, self._guarded = diagnostics.say, diagnostics.swallow, diagnostics.guarded
        self._series = SeriesTable(self.settings, self.families, self.say)
        self.backends, self._routes, self._models = self._series.backends, self._series.routes, self._series.series
        self._logs_calls = telemetry.log_token_counts or telemetry.log_timing
        self.families.before_collect(self._scraped)
        self._alone_told = False
        self.enforcer: Enforcer | None = None
        self.families.has_answers(self._pending_answers)
        attribution = self.settings.attribution
        self._requires_run = attribution.require_run
        self._gates_all = attribution.require_run or bool(attribution.limits)
        """Whether a call may have runs although none is open: the limits of its tags are such."""
        limited = {each.name: each for each in self.settings.backends if each.max_spend_usd is not None}
        if limited or self.settings.budget.ledger is not None:
            try:
                self._limit(limited, on_spend_alert)
            except ConfigError as exc:
                if limited or self.settings.attribution.keys:
                    raise
                # only ids of answers that come later would be there
                self.say("ledger", f"{exc}; answers that come later are counted by the process that asked for them")
        processes.on_fork(self._forked)
        self._guarded("warm", self.price_lookup.catalogue.warm)
        for backend in self.backends.all:
            self._start(backend)
        self._refresh: Refresh | None = None
        if self.settings.refresh_prices and not under_test():
            self._refresh = Refresh(self._stale)
        alive.add(self)

    def _new_catalogue(self) -> Catalogue:
        return Catalogue()

    def _limit(
        self, limited: Mapping[str, Backend], on_spend_alert: Callable[[SpendAlert], object] | None = None
    ) -> None:
        """Open the ledger, and set the limits of these backends. Raises `ConfigError`."""
        from llmmetrics.budgets.enforcer import Enforcer
        from llmmetrics.budgets.from_settings import unpriced

        if problems := [*unpriced(self.settings, self.backends, self.price_lookup)]:
            raise ConfigError(joined(problems, "the settings have"))
        self.fund(Enforcer(self.settings, limited, self, on_spend_alert))

    def fund(self, enforcer: Enforcer | None) -> None:
        """Set the enforcer of the limits; None: no limits."""
        self.enforcer = enforcer
        if enforcer is None:
            self._tagged.stays()
        else:
            from llmmetrics.budgets.tag_limits import schedules

            self._tagged.goes_to(enforcer.budget.tag_sums, enforcer.worker, seconds_of(self.clock))
            enforcer.budget.schedule_of = schedules(self.settings.attribution)
        self._series.limit(() if enforcer is None else enforcer.budget.lines)

    @on_first_use
    def answers(self) -> Answers:
        """The answers that come later."""
        from llmmetrics.core.answers import Answers

        return Answers(proxy(self))

    def _pending_answers(self) -> Mapping[str, int]:
        """Count the answers that are still to come, by backend."""
        if self.enforcer is None and "answers" not in vars(self):
            return {each.name: 0 for each in self.backends.all}
        return self.answers.counts()

    @on_first_use
    def _gate(self) -> RunGate:
        """The runs' side of this meter."""
        from llmmetrics.core.run_gate import RunGate

        return RunGate(proxy(self))

    def _start(self, backend: Configured) -> None:
        """Create the series of a backend that are known before its first call, at 0."""
        self._series.new_backend(backend.name)
        for model in backend.models:
            series = self._series.new_series(backend.name, model)
            self.families["without_price"].labels(series.backend, series.model)
            if backend.price or self.price_lookup.knows(backend, model):
                self.families.priced(series.backend, series.model)

    # for the transports

    def begin(self, place: Place, body: bytes) -> Call | Passage | None:
        """Begin a call, or the passage of what is no call; None: the request passes untouched."""
        try:
            if self.dropped:
                self.flush()
            context = current.get()
            if context is not NOTHING and context.trial is not None:
                place = context.trial.place(self, place)
            route = self._routes.get(place) or self._series.new_route(place)
            claim = route.claim
            if claim is None:
                return self._passage(route)
            asked = (claim.plain and usual_request(body)) or wire.asked(claim, body)
            model = asked[0]
            name = route.only or route.label(model)
            series = self._models.get((name, model)) or self._series.new_series(name, model or UNKNOWN)
            call = Call(self, route, claim.format, asked, series, body)
            if series.injects:
                call.edits = True
            series.begin()
            if context is not NOTHING or open_runs.active or self._requires_run:
                self._attribute(call, route, context)
        except Exception as exc:
            self.swallow("begin", exc)
            return None
        return call

    def _passage(self, route: Route) -> Passage | None:
        """Follow a request that is no call: what it fetches, or a file of a batch for a limited backend."""
        if route.fetch is not None:
            return Fetch(self, route, route.fetch)
        name = route.label(None)
        self.families["unmetered"].labels(name).inc()
        if self.enforcer is None or name not in self.enforcer.budget.lines:
            return None
        if route.upload is not None:
            return Upload(self, route, route.upload, self.enforcer.bounds.pricing(name, route))
        if route.unknown:
            self.say(*call_log.unknown_path(name, route.url))
            return UnknownRequest(self, route, name)
        return None

    def admit(self, call: Call | UnknownRequest) -> BudgetExceeded | None:
        """Ask the runs of a call, then the budget of its backend; return the refusal, or None if it may be sent."""
        refusal = None
        if call.gated and isinstance(call, Call):
            try:
                refusal = self._gate.admit(call)
            except Exception as exc:
                self.swallow("run", exc)
        if refusal is None and call.series.limited and self.enforcer is not None:
            refusal = self.enforcer.admit(call)
            if refusal is not None and isinstance(call, Call) and call.runs:
                self._gate.release(call)
        if call.trial is not None:
            call.trial.refused = refusal
        return refusal

    async def aadmit(self, call: Call | UnknownRequest) -> BudgetExceeded | None:
        """Ask the budget as `admit` does, for an async caller."""
        call.asynchronous = True
        if self.enforcer is None or not self.enforcer.ledger.blocking:
            return self.admit(call)
        return await self.enforcer.aadmit(call, self.admit)

    def book(self, call: Call) -> None:
        """Book the cost of an admitted call, and keep the id of an answer that comes later."""
        try:
            if call.runs and call.later is not None and call.later.state is AnswerState.OPEN:
                call.pending = self._gate.pending(call)
            elif call.runs:
                book = partial(self._gate.book, call)
                book() if self.enforcer is None else self.enforcer.in_turn(call, book)
            if call.later is not None:
                self.answers.ended(call)
            elif self.enforcer is not None:
                self.enforcer.book(call)
        except Exception as exc:
            self.swallow("book", exc)

    def shared_runs(self) -> SharedRunLedger:
        """Return the ledger of named runs. Raises `ConfigError` if it cannot be opened."""
        if self.enforcer is None:
            # no backend has a limit
            self._limit({})
        assert self.enforcer is not None, "it was just set"
        self.enforcer.worker.start()
        return self.enforcer.shared_runs()

    def attach(self, run: Run) -> None:
        """Keep a named run in the ledger of this meter. Raises `LedgerError` and `ConfigError`."""
        self._gate.attach(run, self.clock.now())

    def fetched(self, fetch: Fetch, *, whole: bool) -> None:
        """Count what a fetch has brought."""
        self.answers.fetched(fetch, whole=whole)

    def uploaded(self, upload: Upload) -> None:
        """Note what a batch of an uploaded file may cost."""
        self.answers.uploaded(upload)

    def give_back(self, request: UnknownRequest) -> None:
        """Tell the budget that a request is over, of which nothing is booked."""
        try:
            if self.enforcer is not None:
                self.enforcer.book(request)
        except Exception as exc:
            self.swallow("book", exc)

    def series_of(self, backend: str, model: str) -> CallSeries:
        """Return the series of a backend and model."""
        return self._series.series.get((backend, model)) or self._series.new_series(backend, model or UNKNOWN)

    def close(self) -> None:
        """Book what is still open, and close the ledger. Later calls are not counted correctly."""
        self.flush()
        alive.discard(self)
        if self._refresh is not None:
            self._refresh.close()
        if self.enforcer is not None:
            self.enforcer.close()

    def settle(self, call: Call, outcome: Outcome, duration: float, exception: BaseException | None) -> None:
        """Count a finished call in every family it belongs to."""
        series, usage = call.series, outcome.usage
        call.later = outcome.later
        if usage is None:
            # what a pending answer costs is not known yet: a run books what is reserved for it
            cost, call.unknown = (None, "pending") if outcome.pending else (0, None)
            call.amount = 0
            finished: Finished = outcome.status, duration, 0, 0, None
        else:
            cost = call_cost(self.price_lookup, call, outcome, usage)
            finished = outcome.status, duration, usage[0], usage[1], cost
        if call.first_chunk_at is not None:
            series.first_chunks.append(call.first_chunk_at - call.started)
        series.finished.append(finished)
        if len(series.finished) >= series.batch:
            series.flush()
        if cost is None and usage is not None:
            self.unpriced(series, outcome, call.route.url)
        if usage is not None and (call.admitted is not None or call.runs):
            call.amount = None if cost is None else pico(cost)
            if cost is None or not outcome.known:
                self._bounded(call, outcome, usage, cost)
        if call.attributed:
            self._settle_attributed(call, outcome, duration, exception, cost)
        state = self._series.health[series.backend]
        if not (outcome.plain and state.calm) or call.retry:
            unusual(self.families, state, call, outcome, duration, exception)
        if record.observers or self._logs_calls:
            self._tell(
                call_log.record_of(self.price_lookup, call, outcome, duration, cost, self._tagged.every(call.all_tags))
            )

    def _settle_attributed(
        self, call: Call, outcome: Outcome, duration: float, exception: BaseException | None, cost: int | None
    ) -> None:
        """Count a finished call by its tags, in its runs, and in the try that it belongs to."""
        usage = outcome.usage
        if call.tags:
            self.tag(call.tags, call.series.backend, usage, cost)
        if call.runs:
            call.tokens = usage.total if usage else 0
        if call.trial is not None:
            call.trial.ended(outcome, call.http_status, call.buffer.headers, duration, exception)

    def _bounded(self, call: Call, outcome: Outcome, usage: Usage, cost: int | None) -> None:
        """Note what a budget books of a call whose usage or price is not known, and how sure it is."""
        if not outcome.known:
            call.basis, call.unknown = Basis.ESTIMATED, outcome.reason
            call.known_tokens = outcome.read.total if outcome.read else 0
        part = usage if cost is None else outcome.read
        call.known_amount = pico(least_cost(self.price_lookup, call, outcome, part)) if part else 0

    def _attribute(self, call: Call, route: Route, context: CallContext) -> None:
        """Note whose a call is: its tags, its runs, and the try that it belongs to."""
        call.attributed = True
        if tags := context.tags:
            meter, counted = tags.counted
            if meter is not self._tagged:
                counted = self._tagged.of(tags)
                tags.counted = self._tagged, counted
            call.all_tags, call.tags = tags, counted
            if len(counted) < len(tags) and self.explains_tags:
                for key in self._tagged.ignored(tags):
                    self.say(*call_log.ignored_tag(key))
        if context.runs or self._gates_all or open_runs.active:
            call.runs = self._gate.of(context, call.tags)
            if call.runs or self._gate.required:
                call.gated, call.holds = True, []
        if context.trial is not None and context.trial.engine is self:
            call.trial = context.trial
            if not route.backends[0].matches(route.origin, route.url.removeprefix(str(route.origin))):
                self.say(*call_log.strayed(route.origin, context.trial.backend))

    def unpriced(self, series: CallSeries, outcome: Outcome, url: str) -> None:
        """Count and log that a call has no known price."""
        self.families["without_price"].labels(series.backend, series.model).inc()
        self.say(*call_log.unpriced(series, outcome, url))

    def _stale(self, exception: Exception) -> None:
        """Count and log that the catalogue could not be fetched."""
        self.families["internal"].labels("refresh_prices").inc()
        self.say(*call_log.stale_prices(exception))

    def require_backend(self, name: str) -> None:
        """Check the name of a backend. Raises `ConfigError` if it is not configured."""
        self.backends.named(name)

    def health(self, backend: str) -> BackendHealth:
        """Return the health of a backend."""
        return self._series.health[backend]

    def names(self) -> set[str]:
        """List every backend of this meter: the configured ones, and the providers that were called."""
        return set(self._series.health)

    def knows(self, host: str) -> bool:
        """Return whether a metered request has gone to this host."""
        return any(place[2] == host for place in list(self._series.routes))

    @property
    def in_flight(self) -> int:
        """The number of calls of this process that have begun and not finished."""
        return int(sum(sample.value for metric in self.families["active"].collect() for sample in metric.samples))

    def flush(self) -> None:
        """Count the calls whose answers were dropped before their end."""
        while self.dropped:
            try:
                finish = self.dropped.popleft()
            except IndexError:
                return
            self._guarded("flush", partial(finish, End.DROPPED))

    # other processes

    def _forked(self) -> None:
        """Reset the state in a forked process, before it has threads."""
        self._series.forked()
        self._tagged.forked()
        locks.renew((self.registry,))
        self.families.forked()
        self._alone_told = False
        # warnings wait for the first call or scrape: most forked processes have neither
        self.dropped.appendleft(self._settle_in)

    def _settle_in(self, _: End) -> None:
        if self._refresh is not None:
            self._refresh.start()
        if self.families.multiprocess and (fault := processes.fault()):
            self.say("directory", f"{fault}. Until this is fixed, the calls of this process are not counted")

    def _scraped(self) -> None:
        self.flush()
        self._tagged.flush()
        # only at a scrape: the problem exists only if a scrape may read any one of several workers
        if not (self._alone_told or self.families.multiprocess) and (message := processes.alone()):
            self._alone_told = True
            self.say("alone", message)

    # for the log and the observers

    def _tell(self, finished: CallRecord) -> None:
        if self._logs_calls:
            call_log.log.info("%s", call_log.line(finished, self.settings.telemetry))
        for observer in record.observers:
            self._guarded("observer", partial(observer, finished))


class HasEngine(Protocol):
    """A `Meter`."""

    @property
    def engine(self) -> Engine:
        """The engine that counts its calls."""
