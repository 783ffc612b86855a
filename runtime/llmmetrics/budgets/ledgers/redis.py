"""The ledger of many machines: a Redis server, one Lua script a verb, every key of a backend in one cluster slot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from llmmetrics.budgets.ledgers import lua
from llmmetrics.budgets.ledgers.base import (
    QUARTER,
    REMEMBERED,
    SCHEMA,
    Balance,
    Reset,
    Standing,
    WindowRow,
    bounds,
    milliseconds,
    moment,
)
from llmmetrics.errors import ConfigError, LedgerError
from llmmetrics.settings.windows import Window

TIMEOUT = 0.5
"""Seconds that a call waits for the server; `?socket_timeout=` in the URL says otherwise."""


class RedisLedger:
    """See `Ledger`."""

    local = False
    blocking = True

    def __init__(self, url: str, namespace: str) -> None:
        self.name = _shown(url)
        self.reach = "every machine that uses it"
        whose = quote(namespace, safe="")
        self._prefix = f"llmmetrics:{{{whose}:"
        self._all = f"llmmetrics:{{{whose}}}:backends"
        self._keys: dict[str, list[bytes]] = {}
        # every verb may be sent twice: a connection that an idle firewall has cut is tried again, once
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        try:
            self._redis: Redis = Redis.from_url(
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=retry, decode_responses=True
            )
        except (ValueError, TypeError):
            raise ConfigError(
                f"LlmSettings.Budget.Ledger: {self.name} is no URL that redis-py understands: write "
                "redis://[user:password@]host[:port]/[database] or rediss://…"
            ) from None
        self._scripts = {name: self._redis.register_script(lua.PRELUDE + body) for name, body in lua.VERBS.items()}

    # the verbs

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        admitted, *rest = self._run(
            "reserve",
            backend,
            id,
            (*bounds(window), milliseconds(now), amount, "none" if limit is None else limit, milliseconds(now + lease)),
        )
        return Standing(bool(admitted), *rest)

    def renew(self, backend: str, id: str, amount: int, admitted: datetime, now: datetime, lease: timedelta) -> None:
        self._run("renew", backend, id, (amount, milliseconds(admitted), milliseconds(now + lease)))

    def settle(self, backend: str, id: str, amount: int, admitted: datetime, window: Window) -> Balance:
        at = milliseconds(admitted)
        remembered = REMEMBERED // timedelta(milliseconds=1)
        numbers = (*bounds(window), at, amount, at // QUARTER * QUARTER, remembered)
        return Balance(*self._run("settle", backend, id, numbers))

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        return Balance(*self._run("balance", backend, "", (*bounds(window), milliseconds(now))))

    def history(self, backend: str | None = None) -> Sequence[WindowRow]:
        history = []
        for name in self._backends(backend):
            windows, limits = self._checked(lambda name=name: self._history(name))
            for ends, spent in windows.items():
                start, end = ends.split(":")
                limit = limits.get(ends)
                window = Window(moment(int(start)), moment(int(end)))
                history.append(WindowRow(name, window, int(spent), int(limit) if limit else None))
        return sorted(history, key=lambda row: (row.window, row.backend), reverse=True)

    def _history(self, backend: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        with self._redis.pipeline(transaction=False) as pipe:
            for key in ("meta", "windows"):
                pipe.hgetall(self._key(backend, key))
            meta, windows = pipe.execute()
        past, limits = (
            {name[2:]: value for name, value in meta.items() if name.startswith(kind)} for kind in ("p|", "l|")
        )
        return {**past, **windows}, limits

    def reset(self, backend: str, window: Window, now: datetime, by: str) -> int:
        at = milliseconds(now)
        (amount,) = self._run("reset", backend, "", bounds(window), json.dumps([at, by]))
        return int(amount)

    def resets(self, backend: str | None = None) -> Sequence[Reset]:
        resets = []
        for name in self._backends(backend):
            rows = self._checked(lambda name=name: self._redis.lrange(self._key(name, "resets"), 0, -1))
            for row in rows:
                (at, by), amount = json.loads(row)
                resets.append(Reset(name, moment(at), by, amount))
        return sorted(resets, key=lambda reset: reset.at, reverse=True)

    def close(self) -> None:
        self._redis.close()

    # the server

    def _backends(self, backend: str | None) -> Sequence[str]:
        return [backend] if backend else sorted(self._checked(lambda: self._redis.smembers(self._all)))

    def _key(self, backend: str, kind: str) -> str:
        # one hash tag for all keys of a backend: a cluster keeps them together
        return f"{self._prefix}{backend}}}:{kind}"

    def _run(self, verb: str, backend: str, id: str, numbers: Sequence[str | int], *more: str) -> list[int]:
        shared = self._keys.get(backend)
        if shared is None:
            shared = [self._key(backend, kind).encode() for kind in lua.KEYS]
            self._checked(lambda: self._redis.sadd(self._all, backend))
            self._keys[backend] = shared
        keys: list[bytes | str | memoryview[int]] = [*shared, self._key(backend, f"settled:{id}")]
        # in one argument: every argument costs as much as a command of the script
        args = (id, " ".join(map(str, numbers)), *more)
        answer: list[int] = self._checked(lambda: self._scripts[verb](keys=keys, args=args))
        return answer

    def _checked(self, ask: Any) -> Any:
        try:
            return self._twice(ask)
        except RedisError as exc:
            hint = next((hint for kind, hint in _HINTS.items() if isinstance(exc, kind)), f"it says {exc}")
            if lua.NEWER in str(exc):
                hint = (
                    f"it was written by a newer llmmetrics than this one, which knows schema {SCHEMA}: upgrade "
                    "llmmetrics, or set LlmSettings.Budget.Namespace to another name"
                )
            raise LedgerError(f"{self.name}: {hint}") from None

    def _twice(self, ask: Any) -> Any:
        """Ask a second time, on a new connection, if the first one leads to a server that is not the master now."""
        try:
            return ask()
        except _NOT_HERE:
            # the address may belong to another server by now. Other threads' commands go on
            self._redis.connection_pool.disconnect(inuse_connections=False)
            return ask()


_NOT_HERE = (ReadOnlyError, AskError, ClusterDownError, TryAgainError)
"""What a server says that is not the master. MOVED is a kind of ASK, MASTERDOWN of CLUSTERDOWN; redis-py itself asks
again after LOADING, on a new connection."""

_HINTS: Mapping[type[RedisError], str] = {
    AuthenticationError: "it refuses the password: see LlmSettings.Budget.Ledger",
    AuthorizationError: "it does not let this user do what a ledger does: see its ACL",
    RedisTimeoutError: f"no answer within {TIMEOUT} s: see that it is well, and near",
    ReadOnlyError: "it is a replica: write the master's address in LlmSettings.Budget.Ledger",
    BusyLoadingError: "it is loading its data: it answers when it has",
    RedisConnectionError: "no connection: see that it runs, and that this machine may reach it",
    OutOfMemoryError: "its memory is full: raise maxmemory, and keep maxmemory-policy noeviction",
}


def _shown(url: str) -> str:
    """Take the user and the password out of a URL, also if one with a / or a # in it was not quoted."""
    parts = urlsplit(url)
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return f"{parts.scheme}://..."
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
