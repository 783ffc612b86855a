"""Budgets for a test: sets limits and spend of a meter's backends, in a private ledger."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.enforcer import Enforcer
from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.budgets.spend_limit import SpendLimit
from llmmetrics.core.engine import Engine
from llmmetrics.errors import ConfigError
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import Settings
from llmmetrics.settings.windows import Window
from llmmetrics.system.clock import SystemClock, uptime_of


def has_own_clock(meter: Engine) -> bool:
    """Return whether a meter has a clock of its own, so that no test tool can change its time."""
    return not isinstance(meter.clock, SystemClock)


def next_reset(meter: Engine, backend: str) -> datetime | None:
    """Return the start of a limited backend's next window; None if it is never reset. Raises `ConfigError`."""
    return window_of(meter, backend).resets_at


def window_of(meter: Engine, backend: str) -> Window:
    """Return a limited backend's current window. Raises `ConfigError` for a backend without a limit."""
    return _line(meter, backend).at(meter.clock.now())


def _line(meter: Engine, backend: str) -> SpendLimit:
    line = meter.enforcer.budget.lines.get(backend) if meter.enforcer is not None else None
    if line is None:
        raise ConfigError(f'{backend!r} has no limit: set one first, as in llm_budget.set({backend!r}, "0.01")')
    return line


class TestBudget:
    """The limits of one meter, moved to a private ledger until `restore`."""

    __test__ = False

    def __init__(self, meter: Engine, ledger: str) -> None:
        self.meter = meter
        self._before = meter.enforcer
        self._ledger = open_ledger(ledger, namespace=f"test-{uuid4().hex}")
        self._limited = {each.name: each for each in meter.settings.backends if each.max_spend_usd is not None}
        self._budget = meter.settings.budget
        if self._limited:
            self._fund()

    def limit(
        self, backend: str, max_spend_usd: str | int | Decimal, *, mode: str | None = None, **fields: Any
    ) -> None:
        """Give a backend this limit in USD; `fields` are fields of a backend, such as `spend_reset_period`.

        Its spend stays. Raises `ConfigError` for an invalid limit.
        """
        own = {"name": backend, "max_spend_usd": str(max_spend_usd), **fields}
        settings = load({"backends": [own], "budget": {} if mode is None else {"mode": mode}})
        if mode is not None:
            self._budget = self._budget.model_copy(update={"mode": settings.budget.mode})
        self._limited[backend] = settings.backends[0]
        self._fund()

    def _fund(self) -> None:
        self._let_go()
        settings = Settings(telemetry=self.meter.settings.telemetry, budget=self._budget)
        self.meter.fund(Enforcer(settings, self._limited, self.meter, None, self._ledger))

    def _let_go(self) -> None:
        if self.meter.enforcer is not None and self.meter.enforcer is not self._before:
            self.meter.enforcer.close()

    def spent(self, backend: str) -> Decimal:
        """Return the spend of the current window, in USD."""
        return usd(self._spent(backend))

    def remaining(self, backend: str) -> Decimal:
        """Return the USD left until the limit; at least 0."""
        return usd(max(_line(self.meter, backend).limit - self._spent(backend), 0))

    def spend(self, backend: str, amount_usd: Decimal) -> None:
        """Book an amount, as a call would."""
        window = window_of(self.meter, backend)
        id = CallId(uuid4().hex, 0)
        self._ledger.settle(backend, id, int(amount_usd * PICO), Basis.KNOWN, self.meter.clock.now(), window)

    def _spent(self, backend: str) -> int:
        self.meter.flush()
        return self._ledger.balance(backend, window_of(self.meter, backend), uptime_of(self.meter.clock)()).spent

    def restore(self) -> None:
        """Restore the meter's own limits and ledger."""
        self._let_go()
        self.meter.fund(self._before)
        self._ledger.close()
