"""Failover over the user's own calls: tries backends in an order, skips those that are spent or unhealthy.

The caller's functions make the requests. Inside a try they belong to the backend that the try names: its label, its
price, its limit. A backend's fault leads to the next backend; the caller's own mistake is raised as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from inspect import isawaitable
from typing import Any, Literal, TypeVar

from llmmetrics.core import call_log
from llmmetrics.core import engine as engines
from llmmetrics.core.availability import circuit_of, moment, spends
from llmmetrics.core.context import current
from llmmetrics.core.engine import Engine, HasEngine
from llmmetrics.core.health import retry_after
from llmmetrics.core.trial import Trial
from llmmetrics.errors import ConfigError, NoBackendAvailable
from llmmetrics.metrics.registry import Spend

T = TypeVar("T")
F = TypeVar("F")

Order = Literal["given", "cost", "latency"]

NONE = "none"
"""The label `to` of a failover after which no backend was left."""


def first(
    *tries: tuple[str, Callable[[], T]],
    order: Order = "given",
    deadline: float | None = None,
    meter: HasEngine | None = None,
) -> T:
    """Return the answer of the first backend that answers: `first(("primary", call), ("backup", other))`.

    A try is the name of a configured backend and a function without arguments, which makes the call with any metered
    client. Backends that are spent or unhealthy, or have asked to wait (`Retry-After`), are skipped; an unhealthy one
    gets one probe per `ProbeSeconds`. `order` is `given`, `cost` (the lowest price of its `ModelName` first) or
    `latency` (the fastest first). `deadline` is in seconds, for all tries together, and is checked between them: set
    the SDK's own timeout too. `meter` is needed if the process has several.

    Raises `NoBackendAvailable` if none is left, `ConfigError` for an unknown backend or one that is named twice, and
    whatever a function raises that is not the backend's fault: a wrong request, a bug.
    """
    functions = _functions(tries)
    failover = Failover(_engine(meter), [name for name, _ in tries], order, deadline)
    read = spends(failover.engine)
    for name in failover.names():
        if failover.may_try(name, read.get(name)):
            with failover.trying(name):
                return _answer(name, functions[name]())
    raise failover.exhausted()


async def afirst(
    *tries: tuple[str, Callable[[], Awaitable[T]]],
    order: Order = "given",
    deadline: float | None = None,
    meter: HasEngine | None = None,
) -> T:
    """Return the answer of the first backend that answers, as `first` does, for functions that return awaitables.

    At the deadline, a try that is still running is cancelled.
    """
    # imported on demand: most programs have no failover
    from anyio import move_on_after, to_thread

    functions = _functions(tries)
    failover = Failover(_engine(meter), [name for name, _ in tries], order, deadline)
    read = await to_thread.run_sync(spends, failover.engine) if failover.engine.enforcer else {}
    for name in failover.names():
        if failover.may_try(name, read.get(name)):
            with failover.trying(name), move_on_after(failover.left()) as scope:
                return await _awaitable(name, functions[name]())
            if scope.cancelled_caught:
                failover.pass_over(name, "deadline")
    raise failover.exhausted()


def _functions(tries: Sequence[tuple[str, F]]) -> dict[str, F]:
    """Return the function of each backend. Raises `ConfigError` for what is no pair of a name and a function."""
    unchecked: Sequence[Any] = tries
    for each in unchecked:
        match each:
            case (str(), function) if callable(function):
                continue
            case (str(name), other):
                # not its repr: an answer may be in it
                raise ConfigError(
                    f"the try of {name!r:.80} has a value of the type {type(other).__name__}: pass the function "
                    "itself, as in lambda: client.chat.completions.create(...)"
                )
        raise ConfigError(f"a {type(each).__name__} is no try: pass pairs of a backend's name and a function")
    return dict(tries)


def _answer(name: str, answer: T) -> T:
    """Return what a function of `first` returned. Raises `ConfigError` for an awaitable: nothing was called yet."""
    if isawaitable(answer):
        if isinstance(answer, Coroutine):
            answer.close()
        raise ConfigError(f"the function of {name!r} returns an awaitable: use `await llmmetrics.afirst(...)`")
    return answer


def _awaitable(name: str, answer: Awaitable[T]) -> Awaitable[T]:
    """Return what a function of `afirst` returned. Raises `ConfigError` if it cannot be awaited."""
    if not isawaitable(answer):
        raise ConfigError(f"the function of {name!r} returns no awaitable: use llmmetrics.first, or an async client")
    return answer


def _checked(deadline: object) -> None:
    if deadline is not None and not (isinstance(deadline, int | float) and deadline > 0):
        raise ConfigError(f"deadline={deadline!r}: use a number of seconds above 0, or None")


def _engine(meter: HasEngine | None) -> Engine:
    if meter is not None:
        if not isinstance(getattr(meter, "engine", None), Engine):
            raise ConfigError(f"meter={meter!r:.80} is no Meter: pass the one that Meter.from_settings has made")
        return meter.engine
    alive = list(engines.alive)
    if len(alive) != 1:
        if not alive:
            raise ConfigError("there is no meter in this process: create one with Meter.from_settings")
        raise ConfigError(f"there are {len(alive)} meters in this process: pass one of them as meter=")
    return alive[0]


class Failover:
    """One failover: which backends were passed over, and why."""

    def __init__(self, engine: Engine, names: Sequence[str], order: Order, deadline: float | None) -> None:
        self.engine = engine
        _checked(deadline)
        self._ordered = _ordered(engine, names, order)
        self._ends = None if deadline is None else engine.clock.monotonic() + deadline
        self._waiting: list[tuple[str, str]] = []
        """Backends that were passed over since the last try, with the reason."""
        self._reasons: dict[str, str] = {}
        self._back: list[datetime] = []
        """When the backends that were passed over are expected back."""
        self._cause: Exception | None = None
        """What the last function raised."""

    def names(self) -> Iterator[str]:
        """Yield the backends in their order, until the deadline."""
        for name in self._ordered:
            left = self.left()
            if left is not None and left <= 0:
                self.pass_over(name, "deadline")
            else:
                yield name

    def left(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return None if self._ends is None else self._ends - self.engine.clock.monotonic()

    def may_try(self, name: str, spend: Spend | None) -> bool:
        """Return whether to try a backend now; if not, note why. Claims the probe of an unhealthy backend."""
        if spend is not None and spend.blocked:
            self.pass_over(name, "limit", spend.window.resets_at)
            return False
        circuit = circuit_of(self.engine, name)
        if circuit.claim(self.engine.clock.monotonic()):
            return True
        self.pass_over(name, "retry_after" if circuit.up else "unhealthy", moment(self.engine, circuit.opens()))
        return False

    @contextmanager
    def trying(self, name: str) -> Iterator[None]:
        """Assign the requests of a `with` block to a backend. Swallow what is the backend's fault, and note it."""
        self._count(name)
        trial = Trial(self.engine, name)
        token = current.set(current.get()._replace(trial=trial))
        try:
            yield
        except Exception as exc:
            if not self._is_fault(trial):
                raise
            self._cause = exc
        else:
            circuit_of(self.engine, name).answered(trial.duration if trial.healthy else None)
        finally:
            current.reset(token)
            if not trial.seen:
                self.engine.say(*call_log.unseen(name))

    def exhausted(self) -> NoBackendAvailable:
        """Make the error that says why no backend took the call."""
        self._count(NONE)
        error = NoBackendAvailable(self._reasons, min(self._back, default=None))
        error.__cause__ = self._cause
        return error

    def _is_fault(self, trial: Trial) -> bool:
        """Return whether a try failed by its backend's fault; note the reason, and when the backend is back."""
        name = trial.backend
        if trial.refused is not None:
            self.pass_over(name, trial.refused.reason, trial.refused.resets_at)
            # the limit of a run holds for all backends
            return trial.refused.reason != "run"
        if trial.healthy is not False:
            return False
        now = self.engine.clock.monotonic()
        wait = retry_after(trial.headers, self.engine.clock.now()) if trial.headers else None
        if wait:
            circuit_of(self.engine, name).wait(now + wait)
        self.pass_over(name, trial.reason, moment(self.engine, now + wait) if wait else None)
        return True

    def pass_over(self, name: str, reason: str, back: datetime | None = None) -> None:
        """Note why a backend did not take the call, and when it is expected back."""
        self._waiting.append((name, reason))
        self._reasons[name] = reason
        if back is not None:
            self._back.append(back)

    def _count(self, to: str) -> None:
        """Count the step from each backend that was passed over to the next try."""
        for name, reason in self._waiting:
            self.engine.families["failovers"].labels(name, to, reason).inc()
        self._waiting.clear()


def _ordered(engine: Engine, names: Sequence[str], order: Order) -> Sequence[str]:
    """Check the names of a failover, and return them in the order of the tries."""
    if not names:
        raise ConfigError("first() has no tries: pass pairs of a backend's name and a function")
    for name in names:
        engine.require_backend(name)
        if names.count(name) > 1:
            raise ConfigError(f"backend {name!r} stands in two tries: name each backend once")
    if order not in _KEYS:
        raise ConfigError(f"order={order!r} is unknown: use {', '.join(map(repr, _KEYS))}")
    return sorted(names, key=lambda name: _KEYS[order](engine, name))


def _cost(engine: Engine, name: str) -> float:
    """Return the price of a token of prompt and one of completion, for comparison; infinite if it is unknown."""
    (backend,) = engine.backends.named(name)
    price = backend.price or engine.price_lookup.listed(backend, sorted(backend.models))
    units: Mapping[str, int] = price.units if price else {}
    return units["input"] + units["output"] if {"input", "output"} <= units.keys() else float("inf")


def _latency(engine: Engine, name: str) -> float:
    """Return the average duration of a backend's tries; 0 if there was none, so that it gets one."""
    return circuit_of(engine, name).latency or 0.0


_KEYS: Mapping[str, Callable[[Engine, str], float]] = {
    "given": lambda _engine, _name: 0.0,
    "cost": _cost,
    "latency": _latency,
}
