"""The `Meter`: the object of an application, with methods for the transports and for `/metrics`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import httpx
from llmmetrics.instrumentation.httpx import Family
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import Settings
from llmmetrics.system.clock import Clock

if TYPE_CHECKING:
    # a program needs none or one of them
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

    from llmmetrics.budgets.spend_alerts import SpendAlert
    from llmmetrics.core.availability import BackendStatus
    from llmmetrics.metrics.exposition import AsgiApp, WsgiApp

T = TypeVar("T")


class Meter:
    """Meters LLM calls into the metric families of a Prometheus registry.

    `settings` is a `Settings` object or the content of a JSON file; `registry` holds the families (by default
    prometheus-client's own; several meters may share one); `clock` gives every reading of time; `on_spend_alert` is
    called once in a window for each share of a limit in `SpendAlerts` that the spend reaches.
    `with Meter() as meter:` closes it at the end. Raises `ConfigError`, which lists each wrong setting.
    """

    def __init__(
        self,
        settings: Settings | Mapping[str, Any] | None = None,
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Clock | None = None,
        on_spend_alert: Callable[[SpendAlert], object] | None = None,
    ) -> None:
        self.engine = Engine(settings, registry=registry, clock=clock, on_spend_alert=on_spend_alert)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def from_settings(
        cls,
        source: str | os.PathLike[str] | Mapping[str, Any] | Settings,
        *,
        registry: CollectorRegistry = REGISTRY,
        clock: Clock | None = None,
        on_spend_alert: Callable[[SpendAlert], object] | None = None,
    ) -> Self:
        """Make a meter from settings: a JSON file's path, its content, or `Settings`.

        Raises `ConfigError`, which lists each wrong key.
        """
        return cls(load(source), registry=registry, clock=clock, on_spend_alert=on_spend_alert)

    @property
    def settings(self) -> Settings:
        """The settings of the meter."""
        return self.engine.settings

    @property
    def registry(self) -> CollectorRegistry:
        """The registry with the families."""
        return self.engine.registry

    def close(self) -> None:
        """Book what is still open, and close the ledger. Later calls are not counted correctly."""
        self.engine.close()

    def status(self) -> Sequence[BackendStatus]:
        """Describe every configured backend: healthy or not, spent, limit, when it is back."""
        from llmmetrics.core import availability

        return availability.status(self.engine)

    def available(self) -> Sequence[str]:
        """List the configured backends that take calls now, in the order of the settings."""
        return [each.backend for each in self.status() if each.available]

    def transport(self, inner: Any = None, *, backend: str | None = None, family: Family = "httpx2") -> Any:
        """Make a metered transport for a sync client: `httpx2.Client(transport=meter.transport())`.

        `inner` is the transport to meter, of httpx or httpx2; without one it is a new `HTTPTransport` of
        `family`. `backend` is the name of the configured backend that every call through it belongs to;
        without it, each request's URL and model decide. Raises `ConfigError` if `inner` is not a sync transport.
        """
        return httpx.metered(self.engine, inner, backend, family, asynchronous=False)

    def async_transport(self, inner: Any = None, *, backend: str | None = None, family: Family = "httpx2") -> Any:
        """Make a metered transport for an async client; otherwise like `transport`."""
        return httpx.metered(self.engine, inner, backend, family, asynchronous=True)

    def asgi_app(self) -> AsgiApp:
        """Make an ASGI application that serves the registry, for a route or a mount of any framework."""
        from llmmetrics.metrics.exposition import AsgiApp

        return AsgiApp(self.registry)

    def wrap(self, client: T, *, backend: str | None = None) -> T:
        """Meter a client of httpx, requests or aiohttp, or an SDK's that holds one, in place; return it.

        Its proxies, pool limits, TLS settings and timeouts stay; a second call changes nothing.
        `backend` as for `transport`. Raises `ConfigError` if the object holds no such client.
        """
        from llmmetrics.instrumentation.wrap import wrap

        return wrap(self.engine, client, backend)

    def wsgi_app(self) -> WsgiApp:
        """Make a WSGI application that serves the registry."""
        from llmmetrics.metrics.exposition import WsgiApp

        return WsgiApp(self.registry)

    def start_http_server(
        self,
        port: int = 5000,
        addr: str = "127.0.0.1",
        *,
        token: str | None = None,
        basic_auth: tuple[str, str] | None = None,
        certfile: str | Path | None = None,
        keyfile: str | Path | None = None,
    ) -> tuple[WSGIServer, Thread]:
        """Serve the registry on a port of its own, from a daemon thread; port 0 takes a free one.

        A request needs the `token` (`Authorization: Bearer …`) or the user name and password of `basic_auth`, if
        given. With a PEM `certfile`, and a `keyfile` if the key is not in it, the port speaks TLS.
        At most 16 requests are answered at a time.
        Returns the server (`server_port`, `shutdown()`) and its thread. Raises `ConfigError` if the port is
        taken or not a number, a credential is empty, or a file is unusable.
        """
        from llmmetrics.metrics import http_server

        access = http_server.Access(token, basic_auth, certfile, keyfile)
        return http_server.start_http_server(self.registry, port, addr, access)
