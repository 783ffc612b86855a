"""Ledgers: where the spend of budgets is kept. The scheme of a URL picks one; its driver is imported with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from llmmetrics.budgets.ledgers.base import (
    Balance,
    Basis,
    Booked,
    CallId,
    Correction,
    Pending,
    Standing,
    WindowRow,
    answer_id,
)
from llmmetrics.budgets.ledgers.protocol import Ledger
from llmmetrics.budgets.ledgers.redis_urls import split_url
from llmmetrics.errors import ConfigError

__all__ = [
    "Balance",
    "Basis",
    "Booked",
    "CallId",
    "Correction",
    "Ledger",
    "LedgerFactory",
    "Pending",
    "Standing",
    "WindowRow",
    "answer_id",
    "default_url",
    "file_of",
    "look",
    "open_ledger",
    "register",
    "state_directory",
]


def state_directory() -> Path:
    """Where this user's programs keep their state."""
    from platformdirs import user_state_path

    return user_state_path("llmmetrics", appauthor=False)


def default_url(namespace: str) -> str:
    """The ledger of a limited backend whose settings name none: a file of this user, one for each namespace."""
    plain = "".join(each if each.isalnum() or each in "-_" else "_" for each in namespace)[:80]
    unlike = "" if plain == namespace else f"-{hashlib.sha256(namespace.encode()).hexdigest()[:8]}"
    return f"sqlite:///{state_directory() / f'budget-{plain}{unlike}.db'}"


LedgerFactory = Callable[[str, str, str], Ledger]
"""Opens the ledger of a URL, for a namespace and a `Durability`, all strings. Raises `ConfigError` for a wrong URL."""


def _memory(_url: str, _namespace: str, _durability: str) -> Ledger:
    from llmmetrics.budgets.ledgers.memory import MemoryLedger

    return MemoryLedger()


def _sqlite(url: str, namespace: str, durability: str) -> Ledger:
    from llmmetrics.budgets.ledgers.sqlite import SqliteLedger

    if durability == "replicated":
        raise ConfigError(
            "LlmSettings.Budget.Durability: replicated is for a Redis ledger, whose replicas it waits for; an SQLite "
            "file has normal and full"
        )
    return SqliteLedger(file_of(url), namespace, durability)


def _redis(url: str, namespace: str, durability: str) -> Ledger:
    parts = split_url(url)
    if not parts.hostname:
        raise ConfigError(
            f"LlmSettings.Budget.Ledger: {parts.scheme}:// needs a host, as in {parts.scheme}://localhost:6379/0"
        )
    try:
        from llmmetrics.budgets.ledgers.redis import RedisLedger
    except ImportError:
        raise ConfigError("a redis:// ledger needs redis-py: pip install 'llmmetrics[redis]'") from None
    return RedisLedger(url, namespace, durability)


REDIS_SCHEMES = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

_FACTORIES: dict[str, LedgerFactory] = {"memory": _memory, "sqlite": _sqlite, **dict.fromkeys(REDIS_SCHEMES, _redis)}
"""The ledger of each scheme; a package adds its own by an entry point in the group `ENTRY_POINTS`."""

ENTRY_POINTS = "llmmetrics.ledgers"


def register(scheme: str, factory: LedgerFactory) -> None:
    """Open URLs that begin with `scheme://` by this factory, in this process. A known scheme is replaced."""
    _FACTORIES[scheme] = factory


def _factory(scheme: str) -> LedgerFactory | None:
    if scheme in _FACTORIES:
        return _FACTORIES[scheme]
    from importlib.metadata import entry_points

    return next((each.load() for each in entry_points(group=ENTRY_POINTS, name=scheme)), None)


def open_ledger(url: str, *, namespace: str, durability: str = "normal") -> Ledger:
    """Open the ledger at a URL: `memory://`, `sqlite:///path`, `redis://…` and its kinds, or a registered scheme.

    Raises `ConfigError` for a URL that is none of them, and for a file that cannot be one.
    """
    scheme = url.partition("://")[0] if "://" in url else ""
    if not scheme.replace("+", "").isalnum():
        # what stands there may be a password
        scheme = ""
    if factory := _factory(scheme):
        return factory(url, namespace, durability)
    raise ConfigError(
        f"LlmSettings.Budget.Ledger begins with {scheme + '://' if scheme else 'no scheme'}: it should be memory://, "
        "sqlite:///path/to/file, redis://host:port/0, redis+sentinel://…, redis+cluster://…, or rediss with TLS; a "
        "ledger of your own is named to llmmetrics.budgets.ledgers.register"
    )


def look(url: str) -> None:
    """See whether a ledger could be opened there. Nothing is made, changed, or asked over a network.

    Raises `ConfigError` and `LedgerError` as `open_ledger` does.
    """
    if url.startswith("sqlite://"):
        from llmmetrics.budgets.ledgers import sqlite

        sqlite.look(file_of(url))
    else:
        open_ledger(url, namespace="default").close()


def file_of(url: str) -> Path:
    """The file of an sqlite:// URL. Raises `ConfigError` for one that names none."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise ConfigError(
            "LlmSettings.Budget.Ledger: a file is written sqlite:///relative/path or sqlite:////absolute/path"
        )
    return Path(path).expanduser().absolute()
