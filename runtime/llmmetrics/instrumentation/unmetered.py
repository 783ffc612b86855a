"""Counts the connections to LLM hosts that no door is making, and warns once of each host.

A door claims the URL that it sends to, in its context (`send.claimed`); the tasks that a library starts for a
connection have that context, too. Two of Python's audit events show a connection: the lookup of its name, and for an
address without a name the connect. Asyncio looks names up in another thread, so its loops' own method is wrapped;
uvloop raises no event, so the wrapper raises it. Libraries that connect outside Python raise none: curl_cffi, gRPC.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from types import FrameType
from typing import Any

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import import_hooks
from llmmetrics.instrumentation.send import claimed, read_claims
from llmmetrics.settings.backends import normal
from llmmetrics.wire.hosts import Origin, provider_of

_meter: Engine | None = None
_hooked = False
_undo: list[Callable[[], None]] = []

connecting: set[str] = set()
"""Modules that connect before their door can claim: their frame on the stack stands for the claim."""

_PLUMBING = frozenset(
    {*sys.stdlib_module_names, "llmmetrics", "anyio", "aiohappyeyeballs", "sniffio", "uvloop", "trio"}
)
"""Modules that connect for others, so that none of them is the library to name. `__main__` is the user's own code."""


def watch(meter: Engine | None) -> None:
    """Set the meter that counts; None: nothing is counted."""
    global _meter, _hooked  # noqa: PLW0603 - an audit hook is the process', and can never be removed
    _meter = meter
    if meter is None:
        while _undo:
            _undo.pop()()
        return
    read_claims()
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hook)
    if not _undo:
        _undo.append(import_hooks.when("asyncio.base_events", _wrap_asyncio))
        _undo.append(import_hooks.when("uvloop", _wrap_uvloop))


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _meter is None:
        return
    if event == "socket.getaddrinfo":
        # a loop's lookup in another thread was seen in the caller's context
        if not _is_in_executor(sys._getframe(1)):  # noqa: SLF001
            _looked_up(args[0])
    elif event == "socket.connect":
        _connected(args[1])


def _looked_up(name: Any) -> None:
    """Count the lookup of an LLM host's name, if no door makes it."""
    meter = _meter
    if meter is None:
        return
    try:
        text = name.decode("ascii") if isinstance(name, bytes) else name
        host = text.lower() if isinstance(text, str) else ""
        provider = provider_of(Origin("https", host, None)) or meter.backends.on(host)
        if provider is not None and not _is_claimed(host, None):
            _count(meter, host, provider)
    except Exception as exc:
        # an exception in an audit hook would break the connection
        meter.swallow("outside", exc)


def _connected(address: Any) -> None:
    """Count a connection to the address of a configured backend that has no name, if no door makes it."""
    meter = _meter
    # IPv6 is an address of four; what is no tuple is a local socket
    if meter is None or not isinstance(address, tuple) or len(address) != 2:
        return
    try:
        host, port = address
        origin = normal(Origin("http", host, port))
        provider = meter.backends.on_port(origin.host, port) or provider_of(Origin("http", origin.host, port))
        if provider is not None and not _is_claimed(origin.host, port):
            _count(meter, f"{origin.host}:{port}", provider)
    except Exception as exc:
        meter.swallow("outside", exc)


def _is_claimed(host: str, port: int | None) -> bool:
    """Return whether a door is sending to this host in this context."""
    url = claimed.get()
    if url is not None:
        origin = normal(Origin(url.scheme, url.host.lower(), url.port))
        if origin.host == host and port in (None, origin.listens):
            return True
    return bool(connecting) and any(name in connecting for name in _modules())


def _modules() -> Iterator[str]:
    """Yield the modules on the stack, the innermost first."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001
    while frame is not None:
        yield frame.f_globals.get("__name__", "")
        frame = frame.f_back


def _is_in_executor(frame: FrameType | None) -> bool:
    """Return whether `socket.getaddrinfo` was itself what a thread of an executor was given to run."""
    caller = frame.f_back if frame is not None else None
    return caller is not None and caller.f_globals.get("__name__") == "concurrent.futures.thread"


def _count(meter: Engine, host: str, provider: str) -> None:
    meter.families["unmetered_connections"].labels(host).inc()
    library = next((top for name in _modules() if (top := name.partition(".")[0]) and top not in _PLUMBING), None)
    by = f", made by {library}" if library else ""
    meter.say(
        f"outside {host}",
        f"a connection to {host} ({provider}) goes past the meter{by}: the calls on it are not metered, and no budget "
        "stops them. `llmmetrics doctor` says how each installed SDK is metered",
    )


def _wrap_asyncio(module: Any) -> None:
    _undo.append(_wrap(module.BaseEventLoop, "getaddrinfo", 0, lambda host, _: _looked_up(host)))


def _wrap_uvloop(module: Any) -> None:
    _undo.extend(_audited(module))


@contextmanager
def audited_uvloop() -> Iterator[None]:
    """Have uvloop raise the audit events of connections inside the block, as other loops do."""
    undo: list[Callable[[], None]] = []
    undo.append(import_hooks.when("uvloop", lambda module: undo.extend(_audited(module))))
    try:
        yield
    finally:
        while undo:
            undo.pop()()


def _audited(module: Any) -> Iterator[Callable[[], None]]:
    for name, place in (("getaddrinfo", 0), ("create_connection", 1)):
        # once is enough: `instrument` and a test may both ask for it
        if not hasattr(getattr(module.Loop, name), "__wrapped__"):
            yield _wrap(module.Loop, name, place, partial(_raise_events, connects=name == "create_connection"))


def _raise_events(host: Any, port: Any, *, connects: bool) -> None:
    """Raise the audit events that another loop raises: also hooks of others see them, and may stop the connection."""
    sys.audit("socket.getaddrinfo", host, port, 0, 0, 0)
    # a name was seen by its lookup
    if connects and isinstance(host, str) and (host == "localhost" or host[:1].isdigit()):
        sys.audit("socket.connect", None, (host, port))


def _wrap(owner: Any, name: str, place: int, tell: Callable[[Any, Any], None]) -> Callable[[], None]:
    """Wrap a method of a loop, so that it tells host and port, which are its arguments `place` and `place` + 1.

    Return what undoes it.
    """
    original, own = getattr(owner, name), name in vars(owner)

    @wraps(original)
    def wrapped(self: Any, *args: Any, **options: Any) -> Any:
        host = args[place] if len(args) > place else options.get("host")
        if host is not None:
            tell(host, args[place + 1] if len(args) > place + 1 else options.get("port"))
        return original(self, *args, **options)

    def undo() -> None:
        if getattr(owner, name) is wrapped:
            setattr(owner, name, original) if own else delattr(owner, name)

    setattr(owner, name, wrapped)
    return undo
