"""Parts of an object that are made, with their modules, when they are first used: most programs do not need them."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class on_first_use(Generic[T]):  # noqa: N801 - a decorator, as `functools.cached_property` is
    """Makes an attribute with this method at its first use, and keeps it.

    It holds no lock, which another thread may hold at a fork. Threads that make one at once all get the first.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__

    def __get__(self, host: Any, owner: type[Any]) -> T:
        # later uses find the attribute before they look here
        kept: T = host.__dict__.setdefault(self._name, self._make(host))
        return kept
