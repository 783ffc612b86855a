"""Meters every client of the libraries that have a door in the process, existing and future.

In httpx it patches `_send_single_request`, in botocore `Endpoint._send`: they see each attempt once, with any
transport, mock or recorder below them. The modules of the other doors say what they patch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

from llmmetrics.core.engine import Engine, HasEngine
from llmmetrics.errors import ConfigError
from llmmetrics.instrumentation import botocore, import_hooks, unmetered
from llmmetrics.instrumentation.httpx import Metered
from llmmetrics.instrumentation.send import FAMILIES, asend, send, streams

_METHOD = "_send_single_request"

DOORS = (
    ("aiohttp.client", "aiohttp"),
    ("aiohttp.client", "aiohttp_socket"),
    ("urllib3.connectionpool", "urllib3"),
    ("websockets.asyncio.client", "websockets"),
    ("websockets.sync.client", "websockets"),
)
"""A module of a library, and the module of this package that says what to replace in it. It is imported then."""


def _imports_for_bundlers() -> None:
    """Never called: PyInstaller takes along the modules that an import statement names."""
    from llmmetrics.instrumentation import aiohttp, aiohttp_socket, urllib3, websockets  # noqa: F401


_lock = Lock()


class Doors:
    """Patches the clients' methods; a patch with `beneath` is active only while the process is not instrumented."""

    def __init__(self, *, beneath: bool = False) -> None:
        self.meter: Engine | None = None
        self._beneath = beneath
        self._replaced: list[tuple[type[Any], str, Any, Any]] = []
        """Patched methods: class, name, original method, new method."""
        self._call_off: list[Callable[[], None]] = []

    def open(self, meter: Engine) -> None:
        """Meter every client with this meter."""
        if self.meter is None:
            kinds: list[tuple[str, Callable[[Any], None]]] = [
                *((name, self._httpx) for name in FAMILIES),
                (botocore.MODULE, self._botocore),
                *((name, partial(self._door, door)) for name, door in DOORS),
            ]
            self._call_off = [import_hooks.when(name, partial(self._patch, meter, patch)) for name, patch in kinds]
        self.meter = meter

    def shut(self) -> None:
        """Undo the patches."""
        self.meter = None
        for call_off in self._call_off:
            call_off()
        self._call_off = []
        # in reverse order: httpx2.alias_httpx() makes both families one class, which is then patched twice
        for owner, name, before, after in reversed(self._replaced):
            # if other code has patched our method, its patch stays, and ours below it passes everything through
            if getattr(owner, name) is after:
                setattr(owner, name, before)
        self._replaced.clear()

    def now(self) -> Engine | None:
        """Return the engine that meters requests now; None if there is none."""
        return None if self._beneath and _doors.meter is not None else self.meter

    def _patch(self, meter: Engine, patch: Callable[[Any], None], module: ModuleType) -> None:
        """Patch the clients of a library that the user's code has just imported."""
        try:
            patch(module)
        except Exception as exc:
            meter.swallow("instrument", exc)

    def _httpx(self, library: Any) -> None:
        stream, async_stream = streams(library)
        for owner, made in (
            (library.Client, self._sync(getattr(library.Client, _METHOD), stream)),
            (library.AsyncClient, self._async(getattr(library.AsyncClient, _METHOD), async_stream)),
        ):
            self._replace(owner, _METHOD, made)

    def _botocore(self, module: Any) -> None:
        endpoint = module.Endpoint
        self._replace(endpoint, "_send", self._boto(endpoint._send))  # noqa: SLF001

    def _door(self, door: str, module: Any) -> None:
        patches = import_module(f"{__package__}.{door}").patches
        for owner, name, made in patches(module, self.now):
            self._replace(owner, name, made)

    def _replace(self, owner: type[Any], name: str, made: Any) -> None:
        self._replaced.append((owner, name, getattr(owner, name), made))
        setattr(owner, name, made)

    def _sync(self, original: Callable[[Any, Any], Any], stream: type[Any]) -> Callable[[Any, Any], Any]:
        doors = self

        @wraps(original)
        def _send_single_request(self: Any, request: Any) -> Any:
            meter = doors.now()
            if meter is None or _has_its_own(self, request):
                return original(self, request)
            return send(meter, None, request, stream, lambda request: original(self, request))

        return _send_single_request

    def _async(self, original: Callable[[Any, Any], Any], stream: type[Any]) -> Callable[[Any, Any], Any]:
        doors = self

        @wraps(original)
        async def _send_single_request(self: Any, request: Any) -> Any:
            meter = doors.now()
            if meter is None or _has_its_own(self, request):
                return await original(self, request)
            return await asend(meter, None, request, stream, lambda request: original(self, request))

        return _send_single_request

    def _boto(self, original: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        doors = self

        @wraps(original)
        def _send(self: Any, request: Any) -> Any:
            meter = doors.now()
            if meter is None or not botocore.takes(self):
                return original(self, request)
            return botocore.send(meter, None, request, lambda request: original(self, request))

        return _send


def _has_its_own(client: Any, request: Any) -> bool:
    """Return whether this request will go through a metered transport, which may name the backend."""
    return isinstance(client._transport_for_url(request.url), Metered)  # noqa: SLF001


_doors = Doors()


def instrument(meter: HasEngine) -> None:
    """Meter every client of this process, existing and future, of httpx, httpx2, boto3 (Bedrock), urllib3 and aiohttp.

    A client with a metered transport, or a wrapped client, stays as it is: each call counts once, for the backend that
    was named there. A second call with the same meter changes nothing; with another meter it raises `ConfigError`.
    This function imports none of the libraries: each is metered when your code imports it. requests sends through
    urllib3; aiobotocore and aioboto3 through aiohttp. A connection to an LLM host that goes past all of them is counted
    in `llmmetrics_unmetered_connections_total`, and a warning names the host once.
    """
    engine = getattr(meter, "engine", None)
    if not isinstance(engine, Engine):
        raise ConfigError(f"instrument takes a Meter, not {meter!r}: instrument(Meter.from_settings(...))")
    with _lock:
        if _doors.meter is not None and _doors.meter is not engine:
            raise ConfigError(
                "this process is already instrumented with another meter: use one meter, "
                "or call llmmetrics.uninstrument() first"
            )
        _doors.open(engine)
        unmetered.watch(engine)


def uninstrument() -> None:
    """Undo `instrument`. Calls in flight are still counted."""
    with _lock:
        unmetered.watch(None)
        _doors.shut()
