"""`llmmetrics.spending`: a `with` block, or a decorator, whose calls have a budget of their own."""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from threading import get_ident
from typing import Literal, Self

from llmmetrics.budgets.run import BEGAN, Mode, Run, RunLimits
from llmmetrics.core import record
from llmmetrics.core.context import CallContext, Scope, current, open_runs
from llmmetrics.errors import ConfigError
from llmmetrics.metrics.registry import PICO
from llmmetrics.system.process_lock import ProcessLock

Reach = Literal["context", "process"]

DAY = 86_400.0

_LONGEST_TTL = 3650 * DAY

LONGEST = 200
"""Characters of a run's name."""

_DOLLARS = 9_000_000
"""The largest limit that every ledger can store exactly."""

_SMALLEST = Decimal(1) / PICO

_began = count(1)

_lock = ProcessLock()


class Spending(Scope):
    """The scope that `spending` makes; it gives the `Run`."""

    def __init__(self, limits: RunLimits, reach: Reach) -> None:
        super().__init__()
        self._limits = limits
        self._reach = reach
        self._run = Run(limits, _attach)
        self._thread = 0

    def fresh(self) -> Self:
        return type(self)(self._limits, self._reach)

    def __enter__(self) -> Run:  # type: ignore[override]
        # a name that is nested in itself is the same run, which has the report
        outside = (*open_runs.process_wide, *current.get().runs)
        same = [run for run in outside if run.open and run.is_same(self._run)]
        outer = min(same, key=BEGAN, default=self._run)
        super().__enter__()
        return outer

    async def __aenter__(self) -> Run:  # type: ignore[override]
        return self.__enter__()

    def changed(self, context: CallContext) -> CallContext:
        # also if an outer run has its name: that may end first
        if self._reach == "process" or self._run in context.runs:
            return context
        return context._replace(runs=(*context.runs, self._run))

    def begin(self) -> None:
        with _lock:
            self._run.open += 1
            if self._run.open > 1:
                return
            self._run.began = next(_began)
            if self._reach == "process":
                open_runs.process_wide = (*open_runs.process_wide, self._run)
            else:
                self._thread = get_ident()
                open_runs.open_in[self._thread] += 1
            open_runs.active = True

    def end(self) -> None:
        with _lock:
            self._run.open -= 1
            if self._run.open:
                return
            if self._reach == "process":
                open_runs.process_wide = tuple(run for run in open_runs.process_wide if run is not self._run)
            else:
                open_runs.open_in[self._thread] -= 1
                if not open_runs.open_in[self._thread]:
                    del open_runs.open_in[self._thread]
            open_runs.active = bool(open_runs.process_wide or open_runs.open_in)


def spending(
    usd: str | int | Decimal | None = None,
    *,
    calls: int | None = None,
    tokens: int | None = None,
    mode: Mode = "strict",
    scope: Reach = "context",
    name: str | None = None,
    ttl: float = DAY,
) -> Spending:
    """Limit what the calls of a `with` block or of a decorated function may spend; `as` gives the `Run`.

    `usd` is in dollars, `calls` counts attempts on the wire, `tokens` are prompt and completion; 0 refuses every call.
    A call that could pass a limit is refused before it is sent: `BudgetExceeded` with the reason `run`. `mode`
    `strict` reserves each call's worst case first, `documented` refuses once a limit is reached, `shadow` only counts.

    Scope `context` follows `contextvars`: asyncio tasks and `asyncio.to_thread` belong to the run; other threads need
    `run.bind(function)`. Scope `process` holds for every call of the process. Nested runs all hold. With a `name`, the
    run is kept in the meter's ledger, over processes and machines, until it was not used for `ttl` seconds; else it is
    in memory, and a fork does not inherit it. Raises `ConfigError` for a wrong argument.
    """
    if callable(usd):
        raise ConfigError("@llmmetrics.spending needs brackets: write @llmmetrics.spending(usd=...) above the function")
    limits = {
        "usd": pico_of("spending(usd={})", usd),
        "calls": _whole("calls", calls),
        "tokens": _whole("tokens", tokens),
    }
    if mode not in ("strict", "documented", "shadow"):
        raise ConfigError(f"spending(mode={mode!r}): use 'strict', 'documented' or 'shadow'")
    if scope not in ("context", "process"):
        raise ConfigError(f"spending(scope={scope!r}): use 'context' or 'process'")
    if name is not None and not _is_name(name):
        raise ConfigError(f"spending(name={name!r:.80}): a name should be 1 to {LONGEST} printable characters")
    if not _is_ttl(ttl):
        raise ConfigError(f"spending(ttl={ttl!r}): use a number of seconds above 0, and at most ten years")
    known = {unit: limit for unit, limit in limits.items() if limit is not None}
    return Spending(RunLimits(known, mode, name, ttl), scope)


def _attach(run: Run) -> None:
    """Keep a named run in the ledger of the process's only meter. With several, its first call decides."""
    meters = list(record.alive)
    if len(meters) == 1:
        meters[0].attach(run)


def _is_ttl(seconds: object) -> bool:
    return isinstance(seconds, int | float) and seconds is not True and 0 < seconds <= _LONGEST_TTL


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= LONGEST and name.isprintable()


def pico_of(argument: str, amount: object) -> int | None:
    """Return an amount of dollars in pico-dollars. Raises `ConfigError`; `argument` says where the amount stands."""
    if amount is None:
        return None
    exact = isinstance(amount, str | int | Decimal) and not isinstance(amount, bool)
    try:
        dollars = Decimal(amount) if exact else Decimal("nan")  # type: ignore[arg-type]
        if 0 <= dollars <= _DOLLARS and dollars == dollars.quantize(_SMALLEST):
            return int(dollars * PICO)
    except ArithmeticError:
        pass
    hint = " as text, an int or a Decimal: a float is not exact" if isinstance(amount, float) else ""
    raise ConfigError(f'{argument.format(f"{amount!r:.80}")}: use dollars from 0 to {_DOLLARS}, such as "0.25"{hint}')


def _whole(argument: str, number: object) -> int | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 10**15:
        raise ConfigError(f"spending({argument}={number!r:.80}): use a whole number from 0 to 10**15")
    return number
