"""Budgets of tags: each value's spend is limited as a run's is, in windows as a backend's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from llmmetrics.budgets.from_settings import schedule_of
from llmmetrics.budgets.run import Run, RunLimits
from llmmetrics.budgets.run_budget import TAG, SharedRunLedger
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.attribution import Attribution, TagLimit, shown
from llmmetrics.settings.model import Settings
from llmmetrics.settings.windows import WindowSchedule
from llmmetrics.system.process_lock import ProcessLock

EACH = "*"
"""The value of a limit that each value has for itself."""


MOST = 10_000
"""Values whose limits this process holds at once; the oldest is forgotten first, and read again when it is called."""


class KeyLimit(NamedTuple):
    """What a key of a ledger may spend, in pico-dollars, and in which windows."""

    schedule: WindowSchedule
    amount: int


def limits_by_key(attribution: Attribution) -> Callable[[str], KeyLimit | None]:
    """Return a function that finds the limit of a key in a ledger; None for another key."""
    limits = {
        place: KeyLimit(schedule_of(limit), int(limit.max_spend_usd * PICO))
        for place, limit in limits_of(attribution).items()
    }

    def limit(key: str) -> KeyLimit | None:
        if not key.startswith(TAG):
            return None
        tag, _, value = key.removeprefix(TAG).partition("=")
        return limits.get((tag, value)) or limits.get((tag, EACH))

    return limit


def schedules(attribution: Attribution) -> Callable[[str], WindowSchedule | None]:
    """Return a function that finds the windows of the limit with a key in a ledger; None for another key."""
    find = limits_by_key(attribution)

    def schedule(key: str) -> WindowSchedule | None:
        limit = find(key)
        return None if limit is None else limit.schedule

    return schedule


def limits_of(attribution: Attribution) -> Mapping[tuple[str, str], TagLimit]:
    """Return the limits by tag and value."""
    return {
        (each.tag, each.value if each.value == EACH else shown(each.value, hashed=attribution.hash)): each
        for each in attribution.limits
    }


class TagLimitHost(Protocol):
    """What is needed of the meter."""

    settings: Settings

    def shared_runs(self) -> SharedRunLedger:
        """Return the ledger. Raises `ConfigError` if it cannot be opened."""


class TagLimits:
    """The limits of one meter's tags."""

    def __init__(self, host: TagLimitHost) -> None:
        self._host = host
        self._limits = limits_of(host.settings.attribution)
        self._runs: dict[tuple[str, str], Run] = {}
        self._lock = ProcessLock()

    def of(self, tags: tuple[tuple[str, str], ...]) -> tuple[Run, ...]:
        """Return the limits that hold for a call with these tags."""
        if not self._limits:
            return ()
        runs = [self._runs.get(tag) or self._new(tag) for tag in tags]
        return tuple(run for run in runs if run is not None)

    def _new(self, tag: tuple[str, str]) -> Run | None:
        limit = self._limits.get(tag) or self._limits.get((tag[0], EACH))
        if limit is None:
            return None
        with self._lock:
            if tag not in self._runs:
                run = Run(
                    RunLimits(
                        {"usd": int(limit.max_spend_usd * PICO)},
                        self._host.settings.budget.mode.value,
                        "=".join(tag),
                        schedule=schedule_of(limit),
                    )
                )
                run.pin(self._host.shared_runs(), self._host.settings.budget.lease_seconds)
                run.open = 1
                if len(self._runs) >= MOST:
                    del self._runs[next(iter(self._runs))]
                self._runs[tag] = run
            return self._runs[tag]
