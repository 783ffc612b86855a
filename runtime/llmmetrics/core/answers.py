"""Answers that come later: keeps their ids when a call ends, and counts them, once, when they are fetched.

`reading/later.py` has the table of what is counted; `budgets/answers.py` says where ids are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from llmmetrics.budgets.amounts import pico_up
from llmmetrics.budgets.answers import AnswerKey, AnswerStore, Kept, ProcessAnswers, of_files
from llmmetrics.budgets.enforcer import Enforcer
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.budgets.run_answers import AnswerCost, AnswerRead, RunAnswers
from llmmetrics.budgets.run_budget import NONE, UNITS, Amounts, PendingShare, SharedRunLedger
from llmmetrics.core.call import Call
from llmmetrics.core.call_cost import call_cost, least_cost
from llmmetrics.core.fetch import Fetch, Upload
from llmmetrics.core.routes import Route
from llmmetrics.errors import LedgerError
from llmmetrics.metrics.registry import CallSeries, Families
from llmmetrics.reading.exchange import see
from llmmetrics.reading.later import FetchVerdict, listed_answers, verdict_of
from llmmetrics.reading.outcome import Outcome
from llmmetrics.reading.results import Results, inline_results, results_of
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.price_lookup import BATCH, PriceLookup
from llmmetrics.system.clock import Clock
from llmmetrics.wire.format import Reading, mapping
from llmmetrics.wire.framing.frames import Doc, parse
from llmmetrics.wire.later import AnswerState, LaterAnswer
from llmmetrics.wire.usage import Usage


class AnswerHost(Protocol):
    """What this module needs of the engine."""

    clock: Clock
    families: Families
    price_lookup: PriceLookup
    backends: Backends
    enforcer: Enforcer | None

    def series_of(self, backend: str, model: str) -> CallSeries:
        """Return the series of a backend and model."""

    def swallow(self, where: str, exception: Exception) -> None:
        """Count an internal error and log it once."""

    def unpriced(self, series: CallSeries, outcome: Outcome, url: str) -> None:
        """Count and log that a model has no known price."""

    def tag(self, tags: Tags, backend: str, usage: Usage, cost: int | None) -> None:
        """Count tokens and a cost (attodollars) by the tags of a call."""


Tags = Sequence[tuple[str, str]]


class _PricedAt(NamedTuple):
    """Where a fetched answer is priced, as `call_cost` reads it of a call."""

    route: Route
    series: CallSeries
    model: str | None


class _Part(NamedTuple):
    """Something to count: the series, the usage of an outcome, and its cost in attodollars."""

    series: CallSeries
    outcome: Outcome
    cost: int | None
    least: int
    tags: Tags


class _LinesRead(NamedTuple):
    """Lines that were read and counted."""

    results: Results
    mark: int
    """Where the first of them begins."""
    parts: Sequence[_Part]
    amount: int
    """What is booked for them, in pico-dollars."""
    unknown: int
    """How many have no usage."""


class Answers:
    """Keeps and counts the answers of one meter."""

    def __init__(self, host: AnswerHost) -> None:
        self._host = host
        families = host.families
        # no reference to the meter here: it is freed with its last reference
        self._process = ProcessAnswers(lambda backend: families["forgotten_answers"].labels(backend).inc())
        self._runs = RunAnswers()

    @property
    def store(self) -> AnswerStore:
        """Where ids are kept: the ledger, or this process."""
        enforcer = self._host.enforcer
        return self._process if enforcer is None else enforcer.answers

    def counts(self) -> Mapping[str, int]:
        """Count the pending answers by backend; nothing of a ledger that does not answer at once."""
        enforcer = self._host.enforcer
        counts = self._process.counts() if enforcer is None else enforcer.pending_answers()
        return {} if counts is None else {**{each.name: 0 for each in self._host.backends.all}, **counts}

    def _submit(self, task: Callable[[], object], *, asynchronous: bool) -> None:
        """Do a task of the ledger: on its own thread, if it would block an event loop."""
        enforcer = self._host.enforcer
        if asynchronous and enforcer is not None and enforcer.ledger.blocking:
            enforcer.worker.submit(partial(self._guarded, task))
        else:
            self._guarded(task)

    def _guarded(self, task: Callable[[], object]) -> None:
        try:
            task()
        except LedgerError:
            # counted and logged by the ledger's guard: what is pending stays pending
            return
        except Exception as exc:
            self._host.swallow("answers", exc)

    # the call ends

    def ended(self, call: Call) -> None:
        """Keep the id of the answer that a call has asked for, and what is booked for it."""
        self._submit(partial(self._ended, call), asynchronous=call.asynchronous)

    def _ended(self, call: Call) -> None:
        later, entry, enforcer, series = call.later, call.admitted, self._host.enforcer, call.series
        assert later is not None
        answer = AnswerKey.of(call.route.provider, later.id)
        at = self._host.clock.now() if entry is None else entry.admitted
        if later.state is not AnswerState.OPEN:
            # counted by its call: never again when it is fetched
            if entry is not None and enforcer is not None:
                enforcer.book(call)
            self.store.advance(answer.counted, self.store.advance(answer.counted, 0) + 1)
            return
        amount = enforcer.pending_amount(call) if entry and enforcer else 0
        mixed = call.format.batch is not None and call.model is None
        model = (call.batch and call.batch.model) or "" if mixed else series.model
        names = (series.backend, series.model)
        try:
            # an id that was counted and comes again is a new answer
            mark = answer.owner if call.format.batch else answer.counted
            current = answer._replace(number=self.store.advance(mark, 0))
            shares = self._runs.defer(current.text, call.pending, names) if call.runs else ()
            note = json.dumps({"model": model, "tags": call.tags, "runs": shares})
            self.store.keep(current, Kept(series.backend, at, amount, note), entry)
        except LedgerError:
            # without its id, no answer can replace what is booked
            for (run, entries), amounts in call.pending if call.runs else ():
                run.book(entries, names, amounts, Basis.WORST_CASE if run.reserves else Basis.ESTIMATED)
            call.amount, call.basis = amount, self._unsure
            if entry is not None and enforcer is not None:
                enforcer.book(call)

    # the answer is fetched

    def fetched(self, fetch: Fetch, *, whole: bool) -> None:
        """Count what a fetch has brought."""
        task = partial(self._results, fetch, whole=whole) if fetch.reader else partial(self._answer, fetch)
        self._submit(task, asynchronous=fetch.asynchronous)

    def _answer(self, fetch: Fetch) -> None:
        if fetch.whole is None:
            reading = see(fetch.format, fetch.buffer.body(), fetch.buffer.headers).reading
            return self._one(fetch, fetch.claim.id, {}, reading)
        fetch.buffer.end()
        body = parse(bytes(fetch.whole.data))
        if fetch.claim.id:
            fields = mapping(body)
            return self._one(fetch, fetch.claim.id, fields, fetch.format.read(fields))
        for fields in listed_answers(body):
            reading = fetch.format.read(fields)
            # a list has many others, which are over since long
            if (later := reading.later) and later.state is not AnswerState.OPEN and self._is_pending(fetch, later.id):
                self._one(fetch, later.id, fields, reading)
        return None

    def _is_pending(self, fetch: Fetch, id: str) -> bool:
        answer = AnswerKey.of(fetch.route.provider, id)
        mark = answer.owner if fetch.format.batch else answer.counted
        return self.store.find(answer._replace(number=self.store.advance(mark, 0))) is not None

    def _one(self, fetch: Fetch, id: str, fields: Doc, reading: Reading) -> None:
        """Count one answer that was fetched, or note where the results of a batch are."""
        later = reading.later
        if later is None and reading.usage is not None:
            later = LaterAnswer(id, AnswerState.COMPLETED)
        if later is None or later.state is AnswerState.OPEN:
            return
        batch, answer = fetch.format.batch, AnswerKey.of(fetch.route.provider, id)
        if batch is None or later.empty:
            self._count(fetch, answer, later, reading)
        elif inline := batch.inline(fields):
            self._lines(fetch, answer, answer, later.state, inline_results(batch.result, inline))
        else:
            note = json.dumps({"batch": answer.owner, "state": later.state})
            row = Kept(of_files(fetch.route.label(None)), self._host.clock.now(), 0, note)
            for file in later.results:
                self.store.keep(AnswerKey.of(fetch.route.provider, file, "file"), row)
                self._catch_up(AnswerKey.of(fetch.route.provider, file), answer)

    def _catch_up(self, file: AnswerKey, answer: AnswerKey) -> None:
        """Release what is pending of a batch whose file was read before it was known whose file that is."""
        complete = self.store.advance(file.complete, 0)
        part = self._part_of(answer)
        row = self.store.find(part) if complete else None
        if row is not None:
            # what the lines came to is in no run, where the whole stays booked
            self._settle_runs(part, row, _cost_of((), self._unsure))
            unknown = complete > 1
            self.store.settle(part, row if unknown else row._replace(amount=0), self._basis(unsure=unknown))
            self.store.advance(answer.owner, part.number + 1)

    def _part_of(self, answer: AnswerKey) -> AnswerKey:
        """Return the part of a batch that is pending."""
        return answer._replace(number=self.store.advance(answer.owner, 0))

    def _count(self, fetch: Fetch, answer: AnswerKey, later: LaterAnswer, reading: Reading) -> None:
        """Count one answer, or the end of a batch that has no results."""
        verdict = verdict_of(later.state, used=reading.usage is not None)
        if later.empty:
            verdict = FetchVerdict.RELEASE
        times = self.store.advance(answer.counted, 0)
        answer = answer._replace(number=self.store.advance(answer.owner, 0) if fetch.format.batch else times)
        pending = self.store.find(answer)
        if pending is None and (times or not later.background or verdict is FetchVerdict.RELEASE):
            # counted before, or by its call, or not ours
            return
        if self.store.advance(answer.counted, times + 1) > times:
            # another process counts it just now
            return
        row = pending or self._stranger(fetch, reading.model)
        parts = [self._part(fetch, row, reading, None)] if verdict is FetchVerdict.COUNT else []
        if verdict is not FetchVerdict.UNKNOWN:
            row = row._replace(amount=self._amount(row, parts))
        basis = self._unsure if verdict is FetchVerdict.UNKNOWN else Basis.KNOWN
        # the metrics first: the ledger may be away from now on, and no other read counts this answer
        self._add(parts, fetch.route.url)
        if verdict is FetchVerdict.UNKNOWN and later.state is AnswerState.COMPLETED:
            self._host.families["without_usage"].labels("absent").inc()
        self._over(row, later.state)
        self.store.settle(answer, row, basis)
        self._settle_runs(answer, row, _cost_of(parts, basis))

    # the results of a batch

    def _results(self, fetch: Fetch, *, whole: bool) -> None:
        assert fetch.reader is not None
        results = results_of(fetch.reader, fetch.buffer, whole=whole)
        batch = self.store.find(AnswerKey.of(fetch.route.provider, fetch.claim.id, "file"))
        file, state = AnswerKey.of(fetch.route.provider, fetch.claim.id), AnswerState.COMPLETED
        answer = file
        if batch is not None:
            note = json.loads(batch.note)
            answer, state = AnswerKey(note["batch"]), AnswerState(note["state"])
        self._lines(fetch, file, answer, state, results)

    def _lines(self, fetch: Fetch, file: AnswerKey, answer: AnswerKey, state: AnswerState, results: Results) -> None:
        """Count the results that no read has counted before. Those of a batch that was not seen count as well.

        They are booked under an id of their own. What is pending is then released: whatever other processes do in
        between, no booking is lost.
        """
        mark = self.store.advance(file.read, 0)
        pending = self.store.find(self._part_of(answer))
        if results.start > mark or (pending is None and not results.readings):
            # what is between was not read: it stays pending
            return
        mark = self.store.advance(file.read, results.end)
        if mark >= results.end and not (pending and results.complete):
            return
        row = pending or self._stranger(fetch, None)
        fresh = [reading for end, reading in results.readings if end > mark]
        parts = [self._part(fetch, row, each, BATCH) for each in fresh if each.usage is not None]
        unknown = len(fresh) - len(parts)
        amount = self._least(row, parts)
        # the metrics first, as above
        self._add(parts, fetch.route.url)
        if unknown:
            self._host.families["without_usage"].labels("absent").inc(unknown)
        if results.complete:
            self._over(row, state)
        if amount:
            self.store.settle(AnswerKey(f"lines:{file.owner}", mark), row._replace(amount=amount))
        if pending:
            self._release(answer, pending, _LinesRead(results, mark, parts, amount, unknown))
        if results.complete:
            self.store.advance(file.complete, 2 if unknown else 1)

    def _release(self, answer: AnswerKey, pending: Kept, read: _LinesRead) -> None:
        """Release what is pending of a batch, for the lines that were booked; the rest of it is pending again."""
        end = read.results.end
        part = answer._replace(number=self.store.advance(answer.owner, end))
        if part.number >= end and not read.results.complete:
            # another process has read further
            return
        row = self.store.find(part) or pending
        # without usage or a price, nothing is released
        unsure = read.unknown > 0 or any(each.cost is None for each in read.parts)
        left = max(row.amount - read.amount, 0)
        rest = None if read.results.complete else answer._replace(number=end)
        # lines that were read before are in no run
        unknown = read.unknown or int(read.mark > part.number)
        note = self._settle_runs(part, row, _cost_of(read.parts, Basis.KNOWN, unknown=unknown), rest)
        if rest is None:
            self.store.advance(answer.owner, part.number + 1)
        else:
            self.store.keep(rest, row._replace(amount=0 if unsure else left, note=note))
        self.store.settle(part, row._replace(amount=left if unsure else 0), self._basis(unsure=unsure))

    # the file of a batch

    def uploaded(self, upload: Upload) -> None:
        """Note what a batch of an uploaded file may cost."""
        self._submit(partial(self._uploaded, upload), asynchronous=upload.asynchronous)

    def _uploaded(self, upload: Upload) -> None:
        fields = parse(upload.buffer.body().tail)
        id = fields.get("id") if isinstance(fields, dict) else None
        if isinstance(id, str) and upload.cost is not None:
            row = Kept(of_files(upload.route.label(None)), self._host.clock.now(), 0, upload.cost.note())
            self.store.keep(AnswerKey.of(upload.route.provider, id, "upload"), row)

    # what both share

    def _stranger(self, fetch: Fetch, model: str | None) -> Kept:
        """Return what would be kept of an answer that was asked for elsewhere."""
        note = json.dumps({"model": model or ""})
        return Kept(fetch.route.label(model), self._host.clock.now(), 0, note)

    def _settle_runs(self, answer: AnswerKey, row: Kept, cost: AnswerCost, rest: AnswerKey | None = None) -> str:
        """Book what an answer came to in its runs; return the note of its rest."""
        note = json.loads(row.note or "{}")
        shares = [PendingShare(*each) for each in note.get("runs", ())]
        enforcer = self._host.enforcer
        shared = None if enforcer is None else SharedRunLedger(enforcer.budget)
        left = self._runs.settle(AnswerRead(answer.text, rest and rest.text, cost, row.admitted), shares, shared)
        return json.dumps({**note, "runs": left})

    def _amount(self, row: Kept, parts: Sequence[_Part]) -> int:
        """Return what is booked for an answer. Where a price is missing, nothing pending is released."""
        amount = self._least(row, parts)
        return max(amount, row.amount) if any(part.cost is None for part in parts) else amount

    def _least(self, row: Kept, parts: Sequence[_Part]) -> int:
        """Return what these parts come to at least, in pico-dollars; 0 for a backend without a limit."""
        enforcer = self._host.enforcer
        if enforcer is None or row.backend not in enforcer.budget.lines:
            return 0
        return pico_up(sum(part.least if part.cost is None else part.cost for part in parts))

    def _part(self, fetch: Fetch, row: Kept, reading: Reading, tier: str | None) -> _Part:
        outcome, usage, lookup = Outcome(), reading.usage, self._host.price_lookup
        outcome.model, outcome.usage, outcome.charges = reading.model, usage, reading.charges
        outcome.wire_cost, outcome.tier, outcome.geo = reading.wire_cost, tier or reading.tier, reading.geo
        assert usage is not None
        note = json.loads(row.note or "{}")
        model = note.get("model") or reading.model
        place = _PricedAt(fetch.route, self._host.series_of(row.backend, model or ""), model)
        cost = call_cost(lookup, place, outcome, usage)
        least = least_cost(lookup, place, outcome, usage) if cost is None else 0
        return _Part(place.series, outcome, cost, least, [(key, value) for key, value in note.get("tags", ())])

    def _add(self, parts: Sequence[_Part], url: str) -> None:
        """Add the tokens and costs to the metrics."""
        for series, outcome, cost, _, tags in parts:
            usage = outcome.usage
            if usage is not None and series.later is not None:
                series.later(usage.prompt, usage.completion, cost)
                if tags:
                    self._host.tag(tags, series.backend, usage, cost)
                if cost is None:
                    self._host.unpriced(series, outcome, url)

    @property
    def _unsure(self) -> Basis:
        """How sure an amount is that no usage has replaced."""
        enforcer = self._host.enforcer
        worst = enforcer is not None and enforcer.settings.books_worst_cases
        return Basis.WORST_CASE if worst else Basis.ESTIMATED

    def _basis(self, *, unsure: bool) -> Basis:
        return self._unsure if unsure else Basis.KNOWN

    def _over(self, row: Kept, state: AnswerState) -> None:
        self._host.families["answers"].labels(row.backend, state.value).inc()


def _cost_of(parts: Sequence[_Part], basis: Basis, *, unknown: int = 0) -> AnswerCost:
    """Return what the parts of an answer came to, for runs. What is not known keeps what is pending."""
    if basis is not Basis.KNOWN:
        return AnswerCost(NONE, basis, UNITS)
    least = UNITS if unknown else ("usd",) if any(part.cost is None for part in parts) else ()
    dollars = pico_up(sum(part.least if part.cost is None else part.cost for part in parts))
    tokens = sum(part.outcome.usage.total for part in parts if part.outcome.usage)
    return AnswerCost(Amounts(dollars, 0, tokens), Basis.WORST_CASE if least else basis, least)
