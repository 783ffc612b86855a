"""What the code around a call says about it: the try of a failover, tags, runs. It follows `contextvars`.

asyncio tasks and `asyncio.to_thread` inherit it; threads, executors and `run_in_executor` do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from llmmetrics.errors import ConfigError

if TYPE_CHECKING:
    from llmmetrics.budgets.run import Run
    from llmmetrics.core.trial import Trial

F = TypeVar("F", bound=Callable[..., Any])


class TagSet(dict[str, str]):
    """The tags of a context. It never changes."""

    counted: tuple[object, tuple[tuple[str, str], ...]] = (None, ())
    """A meter's series by tag, and what they count of these tags: most contexts have calls of one meter."""


class CallContext(NamedTuple):
    """The context in which a call begins."""

    trial: Trial | None = None
    tags: TagSet = TagSet()
    runs: tuple[Run, ...] = ()


NOTHING = CallContext()
"""The context of most calls: compared by identity, so that they pay for one look."""

current: ContextVar[CallContext] = ContextVar("llmmetrics", default=NOTHING)


class OpenRuns:
    """The runs that are open in this process."""

    process_wide: tuple[Run, ...] = ()
    """Those of scope `process`."""
    active = False
    """Whether a run is open: every call asks."""

    def __init__(self) -> None:
        self.open_in: Counter[int] = Counter()
        """How many runs of scope `context` are open, by the thread in which they began."""


open_runs = OpenRuns()


class Scope:
    """A `with` block that changes the context of the calls inside; a decorator of functions and generators as well.

    A decorated function gets a scope of its own in each call. A generator's scope holds while the generator runs, not
    while its caller does.
    """

    def __init__(self) -> None:
        self._tokens: list[Token[CallContext]] = []

    def changed(self, context: CallContext) -> CallContext:
        """Return the context inside this scope."""
        raise NotImplementedError

    def fresh(self) -> Self:
        """Return a scope with the same arguments, for one call of a decorated function."""
        raise NotImplementedError

    def begin(self) -> None:
        """Do what the first entry needs."""

    def end(self) -> None:
        """Do what the last exit needs."""

    @contextmanager
    def active(self) -> Iterator[None]:
        """Change the context of a block, without a beginning or an end of the scope."""
        token = current.set(self.changed(current.get()))
        try:
            yield
        finally:
            # a generator may be closed in another context than it was opened in
            with suppress(ValueError):
                current.reset(token)

    def __enter__(self) -> Self:
        self.begin()
        self._tokens.append(current.set(self.changed(current.get())))
        return self

    def __exit__(self, *_: object) -> None:
        for token in reversed(self._tokens):
            # several tasks may be in one scope, each in a context of its own
            with suppress(ValueError):
                current.reset(token)
                self._tokens.remove(token)
                break
        else:
            # a generator that was dropped is closed in another context
            self._tokens.pop()
        self.end()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __call__(self, function: F) -> F:
        """Decorate a function, a coroutine function or a generator function."""
        decorate = next((wrapper for test, wrapper in _WRAPPERS if test(function)), None)
        if decorate is None:
            raise ConfigError(f"{function!r:.80} cannot be decorated: use it on a function, or in a with statement")
        return wraps(function)(decorate(self, function))  # type: ignore[return-value]


def _plain(scope: Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with scope.fresh():
            return function(*args, **kwargs)

    return call


def _coroutine(scope: Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with scope.fresh():
            return await function(*args, **kwargs)

    return call


def _generator(scope: Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        own = scope.fresh()
        own.begin()
        steps, sent = function(*args, **kwargs), None
        try:
            while True:
                with own.active():
                    item = steps.send(sent)
                sent = yield item
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()
            own.end()

    return call


def _async_generator(scope: Scope, function: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        own = scope.fresh()
        own.begin()
        steps, sent = function(*args, **kwargs), None
        try:
            while True:
                with own.active():
                    item = await steps.asend(sent)
                sent = yield item
        except StopAsyncIteration:
            return
        finally:
            await steps.aclose()
            own.end()

    return call


_WRAPPERS: tuple[tuple[Callable[[Any], bool], Callable[[Scope, Callable[..., Any]], Callable[..., Any]]], ...] = (
    (iscoroutinefunction, _coroutine),
    (isasyncgenfunction, _async_generator),
    (isgeneratorfunction, _generator),
    (callable, _plain),
)
"""How each kind of function is decorated: the first that fits."""
