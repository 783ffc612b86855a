"""The ledger of many machines: a Redis server, one Lua script a verb, every key of a backend in one cluster slot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
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
    ANSWER,
    MOST,
    SCHEMA,
    V1,
    Balance,
    Basis,
    Booked,
    CallId,
    Correction,
    Pending,
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


NO_CALL = CallId("", 0)


class RedisLedger:
    """See `Ledger`."""

    local = False
    blocking = True

    def __init__(self, url: str, namespace: str) -> None:
        self.name = _shown(url)
        self.reach = "every machine that uses it"
        whose = quote(namespace, safe="")
        self._prefix = f"llmmetrics:{{{whose}:"
        self._shared = f"llmmetrics:{{{whose}}}:"
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
        scripts = {name: lua.PRELUDE + body for name, body in lua.VERBS.items()}
        scripts |= {"prune": lua.PRUNE, "note": lua.DEFER, "answered": lua.ANSWERED, "advance": lua.ADVANCE}
        self._scripts = {name: self._redis.register_script(text) for name, text in scripts.items()}

    # a call

    def reserve(
        self,
        key: str,
        window: Window,
        amount: int,
        limit: int | None,
        id: CallId,
        at: datetime,
        uptime: float,  # noqa: ARG002 - the server's clock counts
        lease: float,
    ) -> Standing:
        start, end = bounds(window)
        bound = "none" if limit is None else limit
        numbers = f"{start} {end} {min(amount, MOST)} {bound} {lease * 1000:.0f} {milliseconds(at)} {id[1]}"
        admitted, spent, reserved, expired, generation, bookings = self._run("reserve", key, id, numbers)
        return Standing(bool(admitted), int(spent), int(reserved), expired, int(generation), int(bookings))

    def renew(
        self,
        key: str,
        id: CallId,
        amount: int,
        at: datetime,
        uptime: float,  # noqa: ARG002 - as above
        lease: float,
    ) -> None:
        numbers = f"- - {min(amount, MOST)} {lease * 1000:.0f} {milliseconds(at)} {id.number}"
        self._run("renew", key, id, numbers)

    def settle(self, key: str, id: CallId, amount: int, basis: Basis, at: datetime, window: Window) -> Booked:
        start, end = bounds(window)
        if id.owner.startswith(V1) and self._settled_before(key, id):
            amount = 0
        numbers = f"{start} {end} {min(amount, MOST)} {basis.value} {milliseconds(at)} {id.number}"
        booked = _booked(self._run("settle", key, id, numbers))
        if id.owner.startswith(ANSWER):
            self._about_answers("answered", id.owner)
        return booked

    def _settled_before(self, key: str, id: CallId) -> bool:
        """Check whether an id was settled by schema 1."""
        old = self._key(key, f"settled:{id.owner.removeprefix(V1)}")
        return bool(self._checked(lambda: self._redis.exists(old)))

    # answers that come later

    def defer(
        self, key: str, id: CallId | None, amount: int, at: datetime, window: Window, answer: CallId, note: str
    ) -> Booked:
        # three steps, as it may be in three slots: what stops in between leaves too much booked, and never too little
        start, end = bounds(window)
        row = json.dumps([key, str(min(amount, MOST)), milliseconds(at), note])
        self._about_answers("note", answer.owner, row, key)
        numbers = f"{start} {end} {min(amount, MOST)} {milliseconds(at)}"
        *about, over = self._run("defer", key, answer, numbers)
        if over:
            self._about_answers("answered", answer.owner)
        booked = _booked(about)
        if id is not None:
            rest = self.settle(key, id, 0, Basis.KNOWN, at, window)
            booked = rest._replace(first=booked.first)
        return booked

    def pending(self, answer: CallId) -> Pending | None:
        row = self._checked(lambda: self._redis.hget(f"{self._shared}answers", answer.owner))
        if row is None:
            return None
        key, amount, at, note = json.loads(row)
        return Pending(key, int(amount), moment(at), note)

    def pending_counts(self) -> Mapping[str, int]:
        counts = self._checked(lambda: self._redis.hgetall(f"{self._shared}pending"))
        return {key: int(count) for key, count in counts.items()}

    def _about_answers(self, script: str, *args: str) -> None:
        keys = [f"{self._shared}answers", f"{self._shared}pending"]
        self._checked(lambda: self._scripts[script](keys=keys, args=args))

    def advance(self, mark: str, to: int) -> int:
        keys = [f"{self._shared}marks"]
        return int(self._checked(lambda: self._scripts["advance"](keys=keys, args=(mark, to))))

    def claim_alert(self, key: str, window: Window, share: str) -> bool:
        (claimed,) = self._run("claim_alert", key, NO_CALL, _of(window), share)
        return bool(claimed)

    # what stands in it

    def balance(self, key: str, window: Window, uptime: float) -> Balance:  # noqa: ARG002 - as above
        return Balance(*map(int, self._run("balance", key, NO_CALL, _of(window))))

    def history(self, key: str | None = None) -> Sequence[WindowRow]:
        history = []
        for name in self._known(key):
            fields = self._checked(lambda name=name: self._redis.hgetall(self._key(name, "meta")))
            for field, value in fields.items():
                if field.startswith("w|"):
                    start, end = field[2:].split(":")
                    spent, *_, limit = value.split()
                    window = Window(moment(int(start)), moment(int(end)))
                    history.append(WindowRow(name, window, int(spent), None if limit == "none" else int(limit)))
        return sorted(history, key=lambda row: (row.window, row.key), reverse=True)

    def corrections(self, key: str | None = None) -> Sequence[Correction]:
        corrections = []
        for name in self._known(key):
            found = self._checked(lambda name=name: self._redis.lrange(self._key(name, "corrections"), 0, -1))
            for row in found:
                kind, (at, by), amount = json.loads(row)
                corrections.append(Correction(kind, name, moment(at), by, int(amount)))
        return sorted(corrections, key=lambda each: each.at, reverse=True)

    # an operator's

    def reset(self, key: str, window: Window, now: datetime, by: str) -> int:
        (amount,) = self._run("reset", key, NO_CALL, _of(window), json.dumps([milliseconds(now), by]))
        return int(amount)

    def release(self, key: str, window: Window, now: datetime, by: str) -> int:
        (amount,) = self._run("release", key, NO_CALL, _of(window), json.dumps([milliseconds(now), by]))
        return int(amount)

    def prune(self, before: datetime) -> int:
        pruned = 0
        for name in self._known(None):
            keys = [self._key(name, kind) for kind in lua.KEYS]
            pruned += self._checked(lambda keys=keys: self._scripts["prune"](keys=keys, args=(milliseconds(before),)))
        answers = self._checked(lambda: self._redis.hgetall(f"{self._shared}answers"))
        for owner, row in answers.items():
            if json.loads(row)[2] < milliseconds(before):
                self._about_answers("answered", owner)
        return pruned

    def retire(self, key: str, owner: str) -> None:
        def forget() -> None:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.delete(self._key(key, f"owner:{owner}"))
                pipe.hdel(self._key(key, "owners"), owner)
                pipe.execute()

        self._checked(forget)

    def close(self) -> None:
        self._redis.close()

    # the server

    def _known(self, key: str | None) -> Sequence[str]:
        return [key] if key else sorted(self._checked(lambda: self._redis.smembers(f"{self._shared}backends")))

    def _key(self, key: str, kind: str) -> str:
        # one hash tag for all keys of a limit: a cluster keeps them together
        return f"{self._prefix}{key}}}:{kind}"

    def _run(self, verb: str, key: str, id: CallId, numbers: str, *more: str) -> list[Any]:
        shared = self._keys.get(key)
        if shared is None:
            shared = [self._key(key, kind).encode() for kind in lua.KEYS]
            self._checked(lambda: self._redis.sadd(f"{self._shared}backends", key))
            self._keys[key] = shared
        owner, number = id
        keys: list[bytes | str | memoryview[int]] = [*shared, self._key(key, f"owner:{owner}")]
        # in one argument: every argument costs as much as a command of the script
        args = (f"{owner}:{number}", numbers, *more)
        answer: list[Any] = self._checked(lambda: self._scripts[verb](keys=keys, args=args))
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


def _of(window: Window) -> str:
    start, end = bounds(window)
    return f"{start} {end}"


def _booked(answer: Sequence[Any]) -> Booked:
    spent, generation, bookings, first, replaced = map(int, answer)
    return Booked(spent, generation, bookings, bool(first), bool(replaced))


def _shown(url: str) -> str:
    """Take the user and the password out of a URL, also if one with a / or a # in it was not quoted."""
    parts = urlsplit(url)
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return f"{parts.scheme}://..."
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
