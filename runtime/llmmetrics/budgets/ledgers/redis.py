"""The ledger of many machines: a Redis server, one Lua script a verb, every key of a backend in one cluster slot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

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
from llmmetrics.budgets.ledgers.redis_servers import RedisScript, RedisServers
from llmmetrics.settings.windows import Window

_NEWER = (
    f"it was written by a newer llmmetrics than this one, which knows schema {SCHEMA}: upgrade "
    "llmmetrics, or set LlmSettings.Budget.Namespace to another name"
)


class RedisLedger:
    """See `Ledger`."""

    local = False
    blocking = True

    def __init__(self, url: str, namespace: str, durability: str) -> None:
        self._servers = RedisServers(url, replicated=durability == "replicated", hints={lua.NEWER: _NEWER})
        self.name = self._servers.name
        self.reach = "every machine that uses it"
        whose = quote(namespace, safe="")
        self._prefix = f"llmmetrics:{{{whose}:"
        self._all = f"llmmetrics:{{{whose}}}:backends"
        self._keys: dict[str, list[str]] = {}
        self._scripts = {name: RedisScript(lua.PRELUDE + body) for name, body in lua.VERBS.items()}

    # the verbs

    def reserve(
        self, backend: str, window: Window, amount: int, limit: int | None, id: str, now: datetime, lease: timedelta
    ) -> Standing:
        admitted, *rest = self._run(
            "reserve",
            backend,
            id,
            (*bounds(window), milliseconds(now), amount, "none" if limit is None else limit, milliseconds(now + lease)),
            durable=amount > 0,
        )
        return Standing(bool(admitted), *rest)

    def renew(self, backend: str, id: str, amount: int, admitted: datetime, now: datetime, lease: timedelta) -> None:
        self._run("renew", backend, id, (amount, milliseconds(admitted), milliseconds(now + lease)))

    def settle(self, backend: str, id: str, amount: int, admitted: datetime, window: Window) -> Balance:
        at = milliseconds(admitted)
        remembered = REMEMBERED // timedelta(milliseconds=1)
        numbers = (*bounds(window), at, amount, at // QUARTER * QUARTER, remembered)
        return Balance(*self._run("settle", backend, id, numbers, durable=amount > 0))

    def balance(self, backend: str, window: Window, now: datetime) -> Balance:
        return Balance(*self._run("balance", backend, "", (*bounds(window), milliseconds(now))))

    def history(self, backend: str | None = None) -> Sequence[WindowRow]:
        history = []
        for name in self._backends(backend):
            windows, limits = self._history(name)
            for ends, spent in windows.items():
                start, end = ends.split(":")
                limit = limits.get(ends)
                window = Window(moment(int(start)), moment(int(end)))
                history.append(WindowRow(name, window, int(spent), int(limit) if limit else None))
        return sorted(history, key=lambda row: (row.window, row.backend), reverse=True)

    def _history(self, backend: str) -> tuple[Mapping[str, str], Mapping[str, str]]:
        meta, windows = (self._command("HGETALL", self._key(backend, kind)) for kind in ("meta", "windows"))
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
            for row in self._command("LRANGE", self._key(name, "resets"), 0, -1):
                (at, by), amount = json.loads(row)
                resets.append(Reset(name, moment(at), by, amount))
        return sorted(resets, key=lambda reset: reset.at, reverse=True)

    def close(self) -> None:
        self._servers.close()

    # the servers

    def _backends(self, backend: str | None) -> Sequence[str]:
        return [backend] if backend else sorted(self._command("SMEMBERS", self._all))

    def _command(self, name: str, key: str, *args: str | int) -> Any:
        def ask(redis: Any) -> Any:
            return redis.execute_command(name, key, *args)

        return self._servers.ask(key, ask)

    def _key(self, backend: str, kind: str) -> str:
        # one hash tag for all keys of a backend: a cluster keeps them together
        return f"{self._prefix}{backend}}}:{kind}"

    def _run(
        self, verb: str, backend: str, id: str, numbers: Sequence[str | int], *more: str, durable: bool = False
    ) -> list[int]:
        shared = self._keys.get(backend)
        if shared is None:
            shared = [self._key(backend, kind) for kind in lua.KEYS]
            self._command("SADD", self._all, backend)
            self._keys[backend] = shared
        # in one argument: every argument costs as much as a command of the script
        args = (id, " ".join(map(str, numbers)), *more)
        keys = (*shared, self._key(backend, f"settled:{id}"))
        answer: list[int] = self._servers.run(self._scripts[verb], keys, args, durable=durable)
        return answer
