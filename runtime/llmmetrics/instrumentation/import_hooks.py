"""Runs a callback when a module is imported, without importing it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

Act = Callable[[ModuleType], None]

_waiting: dict[str, list[Act]] = {}


def when(name: str, act: Act) -> Callable[[], None]:
    """Call `act` with the module of this name: now if it is imported, else when it is imported.

    Returns a function that cancels this. `act` must not raise: the import would fail.
    """
    acts = _waiting.setdefault(name, [])
    acts.append(act)
    if _finder not in sys.meta_path:
        # it is never removed: during an import in another thread, a removal could skip the next finder
        sys.meta_path.insert(0, _finder)

    def call_off() -> None:
        if act in acts:
            acts.remove(act)

    if name in sys.modules:
        # another thread may be importing it: this waits until it is done
        module = import_module(name)
        if act in acts:
            acts.remove(act)
            act(module)
    return call_off


class _Finder:
    """Asks the later finders for the modules that have callbacks, and ignores all others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _waiting.get(name):
            return None
        finders = sys.meta_path
        for finder in finders[finders.index(self) + 1 :] if self in finders else finders:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(name, path, target)
            if spec is not None:
                # a loader of the old kind has only load_module: it stays unchanged
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


_finder = _Finder()


class _Loader(Loader):
    """Loads a module with its own loader, and then runs its callbacks."""

    def __init__(self, inner: Loader) -> None:
        self._inner = inner

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # code that reads the module's source or data needs the module's own loader
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        acts = _waiting.get(module.__name__, [])
        while acts:
            acts.pop(0)(module)
