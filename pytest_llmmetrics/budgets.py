"""The fixture `llm_budget`: sets budget limits in a private ledger, and exhausts them."""

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
    """Return the meters that have a backend of this name; for a provider's id, also those without configured backends.

    Raises `ConfigError` for a name that no meter can have.
    """
    alive = meters()
    known = backend in PROVIDERS
    matching = [each for each in alive if backend in each.names() or (known and not each.settings.backends)]
    if not alive:
        raise ConfigError(
            f"no meter has a backend {backend!r}: there is no meter yet. Create the application's meter before its "
            "budget, or use the fixture llm_metrics"
        )
    if not matching:
        names = {name for each in alive for name in each.names()}
        raise ConfigError(f"no meter has a backend {backend!r}: {nearest(backend, names)}")
    return matching


class LlmBudget:
    """Budget limits for the backends of every meter in the test. The ledger of production is not used."""

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
        """Set a backend's limit in USD, exact: a text or a `Decimal`.

        `period` as `SpendResetPeriod` (`Hourly`, `Daily`, `Weekly`, `Monthly`, `Never`), `mode` as `Budget.Mode`;
        `fields` are further settings of a backend, in snake_case. Raises `ConfigError`.
        """
        if isinstance(limit, float):
            raise ConfigError(f'llm_budget.set({backend!r}, {limit!r}): a float is not exact: write "{limit}"')
        if period is not None:
            fields["spend_reset_period"] = period
        for meter in meters_of(backend):
            try:
                self._of(meter).limit(backend, limit, mode=mode, **fields)
            except ConfigError as exc:
                where = f"llm_budget.set({backend!r}, {limit!r}): "
                raise ConfigError(str(exc).replace("LlmSettings.backends[0].", where)) from None

    def exhaust(self, backend: str) -> None:
        """Spend what is left of the current window's limit."""
        for each in self._limited(backend):
            each.spend(backend, each.remaining(backend))

    def spent(self, backend: str) -> Decimal:
        """Return the spend in the current window, in USD."""
        return Usd(self._limited(backend)[0].spent(backend))

    def remaining(self, backend: str) -> Decimal:
        """Return what is left of the limit in the current window, in USD; never below 0."""
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
    """Keep budgets in a private ledger inside the block; restore each meter's own ledger at the end."""
    with ExitStack() as stack:
        yield LlmBudget(ledger, stack)
