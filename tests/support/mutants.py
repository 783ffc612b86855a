"""Breaks the meter, so that tests see whether the contract suites notice: `pytest -p mutants`, with LLM_MUTANT=NAME.

This is the only switch: production code has none.
"""

from __future__ import annotations

import os
from functools import wraps

from llmmetrics.core import call, engine
from llmmetrics.core.call import Call
from llmmetrics.core.engine import Engine
from llmmetrics.metrics import batching, registry
from llmmetrics.metrics.batching import Batches
from llmmetrics.metrics.names import COST
from llmmetrics.metrics.registry import Families
from llmmetrics.reading.error_types import ErrorType, Status


def around(owner, name):
    """Replace a function by one that gets the original as its first argument."""

    def replaced(made):
        original = getattr(owner, name)
        setattr(owner, name, wraps(original)(lambda *args, **kwargs: made(original, *args, **kwargs)))
        return made

    return replaced


def double_count():
    @around(Batches, "flush")
    def flush(original, self):
        self.finished *= 2
        original(self)


def lost_cancel():
    @around(Engine, "settle")
    def settle(original, self, one, out, *args):
        if out.status is not Status.CANCELLED:
            original(self, one, out, *args)


def changed(change):
    """Change the result of a call."""

    @around(call, "outcome_of")
    def outcome_of(original, *args):
        out = original(*args)
        change(out)
        return out


def wrong_error_type():
    def change(out):
        if out.error is ErrorType.RATE_LIMIT:
            out.error = ErrorType.API_ERROR

    changed(change)


def timeouts_as_failures():
    def change(out):
        if out.status is Status.TIMEOUT:
            out.status = Status.FAILURE

    changed(change)


def estimates_as_known():
    def change(out):
        out.known, out.reason = True, None

    changed(change)


def cost_times_ten():
    @around(engine, "call_cost")
    def call_cost(original, *args):
        cost = original(*args)
        return cost and cost * 10


def unknown_price_as_0():
    @around(engine, "call_cost")
    def call_cost(original, *args):
        return original(*args) or 0


def stream_tokens_lost():
    @around(Engine, "settle")
    def settle(original, self, one, out, *args):
        if one.streamed:
            out.usage = None
        original(self, one, out, *args)


def active_never_decremented():
    @around(Call, "_close")
    def _close(_, self):
        if self.admitted is not None:
            self.meter.book(self)


def labels_swapped():
    @around(Families, "_tally")
    def _tally(original, self, backend, model):
        return original(self, model, backend)


def duration_not_observed():
    batching._observe = lambda *_: None


def retries_as_one():
    last = {}

    @around(Engine, "settle")
    def settle(original, self, one, out, *args):
        again = last.get(self) == one.request_body and out.error is not None
        last[self] = one.request_body if out.error is not None else None
        if not again:
            original(self, one, out, *args)


def budget_not_enforced():
    async def aadmit(*_):
        return None

    Engine.admit = lambda *_: None
    Engine.aadmit = aadmit


def cost_named_total():
    @around(registry, "exact")
    def exact(original, metric):
        if metric.name != COST:
            return original(metric)
        metric.samples = [replaced(each) for each in metric.samples if not each.name.endswith("_created")]
        return metric

    def replaced(sample):
        return sample._replace(name=f"{COST}_total")


def error_of_a_cancelled_call():
    def change(out):
        if out.status is Status.CANCELLED:
            out.error = ErrorType.NETWORK

    changed(change)


MUTANTS = {
    each.__name__: each
    for each in (
        *(double_count, lost_cancel, wrong_error_type, timeouts_as_failures, estimates_as_known, cost_times_ten),
        *(unknown_price_as_0, stream_tokens_lost, active_never_decremented, labels_swapped, duration_not_observed),
        *(retries_as_one, budget_not_enforced, cost_named_total, error_of_a_cancelled_call),
    )
}

if name := os.environ.get("LLM_MUTANT"):
    MUTANTS[name]()
