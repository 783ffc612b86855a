"""Alerts: each share of a limit that the spend reaches is told once a window, over all processes of the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import NamedTuple

from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.resilient_ledger import ResilientLedger
from llmmetrics.budgets.spend_limit import SpendLimit
from llmmetrics.budgets.worker import Worker
from llmmetrics.metrics.registry import Families
from llmmetrics.settings.windows import Window

log = logging.getLogger("llmmetrics")


class SpendAlert(NamedTuple):
    """A share of a limit that this window's spend has reached; amounts in USD."""

    backend: str
    share: Decimal
    spent: Decimal
    limit: Decimal
    window_start: datetime
    resets_at: datetime | None
    worst_case: Decimal = Decimal(0)
    """The part of `spent` that calls of unknown outcome may have cost at most."""


class SpendAlerts:
    """Logs alerts, and calls `on_alert` with them."""

    def __init__(
        self,
        shares: Sequence[Decimal],
        guard: ResilientLedger,
        families: Families,
        on_alert: Callable[[SpendAlert], object] | None,
    ) -> None:
        self.shares = shares
        self._guard = guard
        self._families = families
        self._on_alert = on_alert
        self.worker = Worker("llmmetrics-alerts")
        """Calls `on_alert`, which may itself make calls that wait for the ledger's thread."""

    def look(self, line: SpendLimit, window: Window, spent: int) -> None:
        """Tell the shares that this spend has reached, unless another process has told them."""
        for share in self.shares:
            if share in line.alerted or spent < share * line.limit:
                continue
            claimed = self._guard.claim_alert(line.backend, window, str(share))
            if claimed is None:
                # the ledger is away: the next call looks again
                return
            line.alerted.add(share)
            if claimed:
                self._told(line, window, share, spent)

    def _told(self, line: SpendLimit, window: Window, share: Decimal, spent: int) -> None:
        ends = window.start, window.resets_at
        worst = usd(self._guard.worst_case(line.backend, window) or 0)
        alert = SpendAlert(line.backend, share, usd(spent), usd(line.limit), *ends, worst)
        log.warning(
            "%r has spent $%s%s, which is %d %% or more of its $%s since %s",
            *(alert.backend, alert.spent, f" (${worst} of it are worst cases)" if worst else ""),
            *(share * 100, alert.limit, window.start.isoformat()),
        )
        if self._on_alert:
            self.worker.submit(partial(self._tell, self._on_alert, alert))

    def _tell(self, on_alert: Callable[[SpendAlert], object], alert: SpendAlert) -> None:
        try:
            on_alert(alert)
        except Exception as exc:
            self._families["internal"].labels("on_spend_alert").inc()
            log.warning("on_spend_alert raised %s: the alert is lost, the call goes on", type(exc).__name__)
