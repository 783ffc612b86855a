"""The `Meter`: what an application holds. Its doors lead to the transports and to `/metrics`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any, Self, TypeVar
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, CollectorRegistry

from llmmetrics.budgets.budget import SpendAlert
from llmmetrics.core.engine import Engine
from llmmetrics.instrumentation import httpx
from llmmetrics.instrumentation import wrap as wrapping
from llmmetrics.instrumentation.httpx import Family
from llmmetrics.metrics import exposition
from llmmetrics.settings.loading import load
from llmmetrics.settings.model import Settings
from llmmetrics.system.clock import Clock

T = TypeVar("T")


class Meter:
    """Meters LLM calls into the metric families of a Prometheus registry.

    `settings` are the guide's, as `Settings` or as the content of a JSON file; `registry` is where the families are
    registered (prometheus-client's own by default; several meters may share one); `clock` is asked for every reading
    of time; `on_spend_alert` is told, once a window, of each share of a limit in `SpendAlerts` that the spend reaches.
    `with Meter() as meter:` closes it at the end. Raises `ConfigError`, which names each setting that is wrong.
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
        """A meter of the guide's settings: a JSON file's path, its content, or `Settings`.

        Raises `ConfigError`, which names each key that is wrong.
        """
        return cls(load(source), registry=registry, clock=clock, on_spend_alert=on_spend_alert)

    @property
    def settings(self) -> Settings:
        """The settings that the meter was made of."""
        return self.engine.settings

    @property
    def registry(self) -> CollectorRegistry:
        """The registry that the families are in."""
        return self.engine.registry

    def close(self) -> None:
        """Book what is still to be booked, and close the ledger. Calls that come later are not metered right."""
        self.engine.close()

    def transport(self, inner: Any = None, *, backend: str | None = None, family: Family = "httpx2") -> Any:
        """A metered transport for a sync client: `httpx2.Client(transport=meter.transport())`.

        `inner` is the transport to meter, of httpx or httpx2; without one it is a new `HTTPTransport` of
        `family`. `backend` is the name of the configured backend that every call through it belongs to;
        without it each request's URL and model decide. Raises `ConfigError` for what is no sync transport.
        """
        return httpx.metered(self.engine, inner, backend, family, asynchronous=False)

    def async_transport(self, inner: Any = None, *, backend: str | None = None, family: Family = "httpx2") -> Any:
        """A metered transport for an async client, as `transport` for a sync one."""
        return httpx.metered(self.engine, inner, backend, family, asynchronous=True)

    def asgi_app(self) -> exposition.AsgiApp:
        """An ASGI application that serves the registry, for a route or a mount of any framework."""
        return exposition.AsgiApp(self.registry)

    def wrap(self, client: T, *, backend: str | None = None) -> T:
        """Meter a client in place and give it back: an httpx or httpx2 client, or an SDK's that holds one.

        Its proxies, pool limits, TLS settings and timeouts stay; wrapping it twice is wrapping it once.
        `backend` as for `transport`. Raises `ConfigError` for what holds no such client.
        """
        return wrapping.wrap(self.engine, client, backend)

    def wsgi_app(self) -> exposition.WsgiApp:
        """A WSGI application that serves the registry."""
        return exposition.WsgiApp(self.registry)

    def start_http_server(self, port: int = 5000, addr: str = "127.0.0.1") -> tuple[WSGIServer, Thread]:
        """Serve the registry on a port of its own, from a daemon thread; port 0 takes a free one.

        Returns the server (`server_port`, `shutdown()`) and its thread. Raises `ConfigError` for a port that
        is taken or no number.
        """
        return exposition.start_http_server(self.registry, port, addr)
