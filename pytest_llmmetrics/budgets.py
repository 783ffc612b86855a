"""Budgets as a test has them: limits in a private ledger, spent and spent up at will."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from llmmetrics import ConfigError
from llmmetrics.testing.harness import Engine, TestBudget, meters
from pytest_llmmetrics.exact import Usd
from pytest_llmmetrics.names import PROVIDERS, nearest


def meters_of(backend: str) -> list[Engine]:
    """The meters that have a backend of this name; for a provider's id, those without configured backends too.

    Raises `ConfigError` for a name that none of them can have.
    """
    alive = meters()
    known = backend in PROVIDERS
    found = [each for each in alive if backend in each.names() or (known and not each.settings.backends)]
    if not alive:
        raise ConfigError(
            f"no meter has a backend {backend!r}, since there is no meter yet: make the application's before its "
            "budget, or have the test use llm_metrics"
        )
    if not found:
        names = {name for each in alive for name in each.names()}
        raise ConfigError(f"no meter has a backend {backend!r}: {nearest(backend, names)}")
    return found


class LlmBudget:
    """Limits for the backends of every meter of the test. Nothing is kept where production keeps it."""

    def __init__(self, ledger: str, stack: ExitStack) -> None:
        self._ledger = ledger
        self._stack = stack
        self._held: WeakKeyDictionary[Engine, TestBudget] = WeakKeyDictionary()
        for meter in meters():
            if meter.enforcer is not None:
                self._of(meter)

    def set(
        self,
        backend: str,
        limit: str | int | Decimal,
        *,
        period: str | None = None,
        mode: str | None = None,
        **fields: Any,
    ) -> None:
        """Give a backend this limit in USD, exact: a text or a `Decimal`.

        `period` as `SpendResetPeriod` (`Hourly`, `Daily`, `Weekly`, `Monthly`, `Never`), `mode` as `Budget.Mode`;
        `fields` are further settings of a backend, in snake_case. Raises `ConfigError`.
        """
        if isinstance(limit, float):
            raise ConfigError(f'llm_budget.set({backend!r}, {limit!r}): a float is not exact; write "{limit}"')
        if period is not None:
            fields["spend_reset_period"] = period
        for meter in meters_of(backend):
            try:
                self._of(meter).limit(backend, limit, mode=mode, **fields)
            except ConfigError as exc:
                where = f"llm_budget.set({backend!r}, {limit!r}): "
                raise ConfigError(str(exc).replace("LlmSettings.backends[0].", where)) from None

    def exhaust(self, backend: str) -> None:
        """Spend whatever is left of this window's limit."""
        for each in self._limited(backend):
            each.spend(backend, each.remaining(backend))

    def spent(self, backend: str) -> Decimal:
        """USD in the window of this moment."""
        return Usd(self._limited(backend)[0].spent(backend))

    def remaining(self, backend: str) -> Decimal:
        """USD until the limit; never below 0."""
        return Usd(self._limited(backend)[0].remaining(backend))

    def _limited(self, backend: str) -> list[TestBudget]:
        return [self._of(meter) for meter in meters_of(backend)]

    def _of(self, meter: Engine) -> TestBudget:
        held = self._held.get(meter)
        if held is None:
            held = self._held[meter] = TestBudget(meter, self._ledger)
            self._stack.callback(held.restore)
        return held


@contextmanager
def budgets(ledger: str) -> Iterator[LlmBudget]:
    """Budgets in a private ledger; at the end every meter has its own again."""
    with ExitStack() as stack:
        yield LlmBudget(ledger, stack)
