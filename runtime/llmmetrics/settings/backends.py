"""The configured backends: finds the backend of a request."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from llmmetrics.errors import ConfigError
from llmmetrics.pricing.price import Price
from llmmetrics.settings.model import Backend, BackendType
from llmmetrics.wire import provider_of
from llmmetrics.wire.hosts import Origin


class _Kind(NamedTuple):
    """The implications of a backend's type."""

    provider: str | None
    """The provider whose wire format it uses; None: the host decides."""
    seller: str | None
    """The provider's id in the price catalogue."""
    local: bool = False
    """Whether it runs on the user's machines, so that no catalogue has a price."""


KINDS: dict[BackendType, _Kind] = {
    BackendType.OPENAI: _Kind("openai", "openai"),
    BackendType.AZURE_OPENAI: _Kind("azure", "azure"),
    BackendType.ANTHROPIC: _Kind("anthropic", "anthropic"),
    BackendType.GEMINI: _Kind("google", "google"),
    BackendType.COHERE: _Kind("cohere", "cohere"),
    BackendType.OLLAMA: _Kind("ollama", None, local=True),
    BackendType.LM_STUDIO: _Kind("lmstudio", None, local=True),
    BackendType.GENERIC_OPENAI: _Kind(None, None),
}

_LOOPBACK = {"127.0.0.1": "localhost", "::1": "localhost", "0.0.0.0": "localhost"}  # noqa: S104 - a name, not a bind


def normal(origin: Origin) -> Origin:
    """Normalize an origin: drop the scheme's default port, use one name for this machine."""
    host = _LOOPBACK.get(origin.host, origin.host)
    port = None if origin.port == {"http": 80, "https": 443}.get(origin.scheme) else origin.port
    return Origin(origin.scheme, host, port)


class Configured(NamedTuple):
    """A backend of the settings, ready to be matched."""

    name: str
    models: frozenset[str]
    """The models that it matches: its ModelName and its deployment. Empty: any model."""
    price: Price | None
    provider: str | None
    seller: str | None
    local: bool
    origin: Origin | None
    path: str
    """The path of its BaseUrl, without a slash at the end."""

    @property
    def url(self) -> str:
        """Its URL without userinfo: a BaseUrl may contain a password."""
        return f"{self.origin}{self.path}"

    def own_price(self, model: str) -> Price | None:
        """Return the configured price of a call that requests this model."""
        return self.price if not self.models or model in self.models else None

    def matches(self, origin: Origin, path: str) -> bool:
        if self.origin is None:
            # Azure has a host for every customer
            return self.provider == "azure" and provider_of(origin) == "azure"
        return self.origin == normal(origin) and (path + "/").startswith(self.path + "/")


def _configured(backend: Backend) -> Configured:
    kind = KINDS[backend.type]
    url = urlsplit(backend.base_url_or_default or "")
    origin = normal(Origin(url.scheme, url.hostname or "", url.port)) if url.hostname else None
    return Configured(
        backend.name,
        frozenset(filter(None, (backend.model_name, backend.deployment_name))),
        backend.price,
        kind.provider or (provider_of(origin) if origin else None),
        kind.seller,
        kind.local,
        origin,
        url.path.rstrip("/"),
    )


class Backends:
    """Finds a request's backend: the longest BaseUrl wins, then the model, then the order in the file."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self.all = tuple(map(_configured, backends))

    def at(self, origin: Origin, path: str) -> tuple[Configured, ...]:
        """Return the backends whose BaseUrl is the longest match, in the order of the file."""
        matching = [each for each in self.all if each.matches(origin, path)]
        longest = max((len(each.path) for each in matching), default=0)
        return tuple(each for each in matching if len(each.path) == longest)

    def on(self, host: str) -> str | None:
        """Return the backend of a host; None for this machine, whose name many programs share."""
        names = (each.name for each in self.all if each.origin and each.origin.host == host)
        return None if host == "localhost" else next(names, None)

    def on_port(self, host: str, port: int) -> str | None:
        """Return the backend at this host and port, of this machine too."""
        found = (each for each in self.all if each.origin and each.origin.host == host)
        return next((each.name for each in found if each.origin and each.origin.listens == port), None)

    def named(self, name: str) -> tuple[Configured, ...]:
        """Return the backend with this name. Raises `ConfigError` if there is none."""
        backends = tuple(each for each in self.all if each.name == name)
        if not backends:
            known = ", ".join(repr(each.name) for each in self.all) or "there are none"
            raise ConfigError(f"backend={name!r} is not configured: use one of the settings' Backends ({known})")
        return backends

    def own_price(self, name: str, model: str) -> Price | None:
        """Return the configured price of a model at the backend with this name."""
        return next((each.own_price(model) for each in self.all if each.name == name), None)
