"""Table of a meter's routes, backends' health and models' series, each created once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Lock

from llmmetrics.core.health import BackendHealth
from llmmetrics.core.routes import Place, Route, route_of
from llmmetrics.metrics.registry import CallSeries, Families
from llmmetrics.settings.backends import Backends
from llmmetrics.settings.model import Settings
from llmmetrics.system import locks

OTHER = "other"
"""The model label of a call whose backend has shown too many models."""

LONGEST_MODEL = 200
"""Maximum length of a model's name, in characters: a longer one is counted as `other`."""

MOST_ROUTES = 4096
"""Maximum number of stored routes; Gemini has one for every model."""


class SeriesTable:
    """Grows with the backends and models that a process calls. Calls read existing entries without a lock."""

    def __init__(self, settings: Settings, families: Families, say: Callable[[str, str], None]) -> None:
        self.backends = Backends(settings.backends)
        self.routes: dict[Place, Route] = {}
        self.series: dict[tuple[str, str | None], CallSeries] = {}
        self.health: dict[str, BackendHealth] = {}
        """The health of every backend: the configured ones, and the providers that were called."""
        self._settings = settings
        self._families = families
        self._say = say
        self._models: dict[str, int] = {}
        self._limited: Collection[str] = ()
        self._injecting = {each.name for each in settings.backends if each.inject_stream_usage}
        self._lock = Lock()

    def limit(self, backends: Collection[str]) -> None:
        """Set which backends have a budget."""
        with self._lock:
            self._limited = backends
            for series in self.series.values():
                series.limited = series.backend in backends

    def new_route(self, place: Place) -> Route:
        """Create the route of the first request to a place."""
        if len(self.routes) > MOST_ROUTES:
            self.routes.clear()
        route = self.routes[place] = route_of(place, self.backends)
        if not route.backends:
            self.new_backend(route.provider)
            if route.claim and self.backends.all:
                self._say(
                    f"host {route.origin}",
                    f"no configured backend has the BaseUrl {route.origin}: "
                    f"its calls are counted as {route.provider!r}",
                )
        return route

    def new_backend(self, name: str) -> None:
        """Create a backend's series, at 0, and its health, unless they exist."""
        with self._lock:
            if name not in self.health:
                limits, proven = self._settings.health, not self._families.multiprocess
                self.health[name] = BackendHealth(limits.unhealthy_threshold, limits.healthy_threshold, proven=proven)
                self._families.backend(name)

    def new_series(self, backend: str, model: str) -> CallSeries:
        """Create the series of a backend and model; return it, or that of `other` if there are too many."""
        with self._lock:
            full = self._models.get(backend, 0) >= self._settings.telemetry.max_models_per_backend
            if (backend, model) not in self.series and (full or len(model) > LONGEST_MODEL):
                self._families["folded"].labels(backend).inc()
                model = OTHER
            if (backend, model) not in self.series:
                self._models[backend] = self._models.get(backend, 0) + 1
                price = self.backends.own_price(backend, model)
                series = self.series[backend, model] = self._families.series(backend, model, price)
                series.limited = backend in self._limited
                series.injects = backend in self._injecting
            return self.series[backend, model]

    def forked(self) -> None:
        """Renew the locks in a forked process: another thread of the parent may have held one."""
        locks.renew((self, *self.health.values()))
