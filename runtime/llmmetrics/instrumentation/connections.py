"""Tells watchers of the connections that Python code opens: the lookup of a name, and the connect to an address.

The standard library's functions are wrapped, and the loops' own ones: asyncio looks names up in another thread, and
uvloop connects outside Python. An audit hook would see as much, but it runs at every import and every open of a file,
can never be removed, and under coverage or a debugger it makes threads of Python 3.11 fail at their start: "Cannot
install a trace function while another trace function is being installed".
"""

from __future__ import annotations

import socket
import sys
from collections import Counter
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

from llmmetrics.instrumentation import import_hooks
from llmmetrics.system.process_lock import ProcessLock


class ConnectionWatcher(Protocol):
    """What is told before a connection is opened, in the context of the code that opens it. It may raise."""

    def looked_up(self, host: Any) -> None:
        """See the lookup of a name: text, bytes or None."""

    def connected(self, address: Any) -> None:
        """See the connect to an address, as `socket.connect` takes it."""


_watchers: tuple[ConnectionWatcher, ...] = ()

_undo: list[Callable[[], None]] = []
"""What restores the functions that are wrapped."""

_handed_over: Counter[Any] = Counter()
"""The names that asyncio is looking up in other threads: they were seen in the caller's context."""

_replaced = WeakKeyDictionary[FunctionType, Any]()
"""What wrappers wrap that could not be undone: what patched the function may put them back later."""

_lock = ProcessLock()


def watch(watcher: ConnectionWatcher) -> Callable[[], None]:
    """Tell a watcher of every connection from now on, before earlier watchers; return what ends this."""
    global _watchers  # noqa: PLW0603 - the functions that are wrapped are the process'
    with _lock:
        _watchers = (watcher, *_watchers)
        if not _undo:
            _wrap(socket, "getaddrinfo", _lookup)
            for name in ("connect", "connect_ex"):
                _wrap(socket.socket, name, _socket_connect)
            _undo.append(import_hooks.when("asyncio.base_events", _wrap_asyncio))
            _undo.append(import_hooks.when("uvloop", _wrap_uvloop))

    def end() -> None:
        global _watchers  # noqa: PLW0603 - see above
        with _lock:
            _watchers = tuple(each for each in _watchers if each is not watcher)
            while _undo and not _watchers:
                _undo.pop()()
            if not _watchers:
                _handed_over.clear()

    return end


def _looked_up(host: Any) -> None:
    for watcher in _watchers:
        watcher.looked_up(host)


def _connected(address: Any) -> None:
    for watcher in _watchers:
        watcher.connected(address)


# each takes what the wrapped function takes, by the same names, and leaves wrong arguments to that one


def _socket_connect(_socket: Any, address: Any = None, *_args: Any) -> None:
    _connected(address)


_THREADS = ("concurrent.futures.thread", "asyncio.base_events")
"""The modules from which asyncio calls the lookup that it has handed over; the second one in debug mode."""


def _lookup(host: Any = None, *_args: Any, **_options: Any) -> None:
    if sys._getframe(2).f_globals.get("__name__") in _THREADS:  # noqa: SLF001
        with _lock:
            if host in _handed_over:
                _handed_over[host] -= 1
                if not _handed_over[host]:
                    del _handed_over[host]
                return
    _looked_up(host)


def _asyncio_lookup(_loop: Any, host: Any = None, *_args: Any, **_options: Any) -> None:
    _looked_up(host)
    with _lock:
        _handed_over[host] += 1


def _loop_lookup(_loop: Any, host: Any = None, *_args: Any, **_options: Any) -> None:
    _looked_up(host)


def _loop_connect(
    _loop: Any, protocol_factory: Any = None, host: Any = None, port: Any = None, *_args: Any, **_options: Any
) -> None:
    del protocol_factory
    _looked_up(host)
    # a name was seen by its lookup
    if isinstance(host, str) and (host == "localhost" or host[:1].isdigit()):
        _connected((host, port))


def _wrap_asyncio(module: Any) -> None:
    _wrap(module.BaseEventLoop, "getaddrinfo", _asyncio_lookup)


def _wrap_uvloop(module: Any) -> None:
    _wrap(module.Loop, "getaddrinfo", _loop_lookup)
    _wrap(module.Loop, "create_connection", _loop_connect)


def _wrap(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Wrap a function, so that it first calls `tell` with its own arguments."""
    found, own, over = getattr(owner, name), name in vars(owner), False
    original = _replaced.get(found, found) if isinstance(found, FunctionType) else found

    @wraps(original)
    def wrapper(*args: Any, **options: Any) -> Any:
        if not over:
            tell(*args, **options)
        return original(*args, **options)

    def undo() -> None:
        nonlocal over
        over = True
        if getattr(owner, name) is not wrapper:
            _replaced[cast("FunctionType", wrapper)] = original
        elif own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)

    setattr(owner, name, wrapper)
    _undo.append(undo)
