"""The provider of a host."""

import re
from typing import Any, NamedTuple

Hosts = tuple[tuple[str | re.Pattern[str], str], ...]
"""Hosts with the provider's id of each. A host is a name, `name:port`, a domain with all below it, or a pattern."""

_NAMES: dict[str, str] = {}
_PATTERNS: dict[re.Pattern[str], str] = {}


def add_hosts(hosts: Hosts, *, replace: bool) -> None:
    """Add the hosts of a format; `replace` the provider of a host that is known."""
    for host, provider in hosts:
        known: dict[Any, str] = _NAMES if isinstance(host, str) else _PATTERNS
        if replace or host not in known:
            known[host] = provider


LOCAL = frozenset({"ollama", "lmstudio"})
"""Providers that run on the user's own machines: no catalogue has their prices."""


class Origin(NamedTuple):
    """Where a request goes. `host` is lower-case; `port` is None for the scheme's own."""

    scheme: str
    host: str
    port: int | None

    @property
    def listens(self) -> int:
        """The port, also where it is the scheme's own."""
        return self.port or (443 if self.scheme in ("https", "wss") else 80)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")


def known_provider(origin: Origin) -> str | None:
    """Return the provider's id; None for a host that no format has which is in use (`llmmetrics.wire.provider_of`)."""
    if origin.port and (provider := _NAMES.get(f"{origin.host}:{origin.port}")):
        return provider
    # a copy: another thread may import formats just now
    patterns = tuple(_PATTERNS.items())
    if provider := next((each for pattern, each in patterns if pattern.search(origin.host)), None):
        return provider
    name = origin.host
    while name:
        if provider := _NAMES.get(name):
            return provider
        # Vertex writes its region before a dash
        label, _, rest = name.partition(".")
        name = f"{label.rpartition('-')[2]}.{rest}" if "-" in label and rest else rest
    return None
