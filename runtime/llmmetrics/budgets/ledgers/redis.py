"""The ledger of many machines: a Redis server, one Lua script a verb, every key of a backend in one cluster slot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

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
from llmmetrics.budgets.ledgers.redis_servers import RedisScript, RedisServers
from llmmetrics.settings.windows import Window

_NEWER = (
    f"it was written by a newer llmmetrics than this one, which knows schema {SCHEMA}: upgrade "
    "llmmetrics, or set LlmSettings.Budget.Namespace to another name"
)


NO_CALL = CallId("", 0)


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
        self._shared = f"llmmetrics:{{{whose}}}:"
        self._keys: dict[str, list[str]] = {}
        scripts = {name: lua.PRELUDE + body for name, body in lua.VERBS.items()}
        scripts |= {"prune": lua.PRUNE, "note": lua.DEFER, "answered": lua.ANSWERED, "advance": lua.ADVANCE}
        self._scripts = {name: RedisScript(text) for name, text in scripts.items()}

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
        admitted, spent, reserved, expired, generation, bookings = self._run(
            "reserve", key, id, numbers, durable=amount > 0
        )
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
        booked = _booked(self._run("settle", key, id, numbers, durable=True))
        if id.owner.startswith(ANSWER):
            self._about_answers("answered", id.owner)
        return booked

    def _settled_before(self, key: str, id: CallId) -> bool:
        """Check whether an id was settled by schema 1."""
        return bool(self._command("EXISTS", self._key(key, f"settled:{id.owner.removeprefix(V1)}")))

    # answers that come later

    def defer(
        self, key: str, id: CallId | None, amount: int, at: datetime, window: Window, answer: CallId, note: str
    ) -> Booked:
        # three steps, as it may be in three slots: what stops in between leaves too much booked, and never too little
        start, end = bounds(window)
        row = json.dumps([key, str(min(amount, MOST)), milliseconds(at), note])
        self._about_answers("note", answer.owner, row, key)
        numbers = f"{start} {end} {min(amount, MOST)} {milliseconds(at)}"
        *about, over = self._run("defer", key, answer, numbers, durable=True)
        if over:
            self._about_answers("answered", answer.owner)
        booked = _booked(about)
        if id is not None:
            rest = self.settle(key, id, 0, Basis.KNOWN, at, window)
            booked = rest._replace(first=booked.first)
        return booked

    def pending(self, answer: CallId) -> Pending | None:
        row = self._command("HGET", f"{self._shared}answers", answer.owner)
        if row is None:
            return None
        key, amount, at, note = json.loads(row)
        return Pending(key, int(amount), moment(at), note)

    def pending_counts(self) -> Mapping[str, int]:
        counts = self._command("HGETALL", f"{self._shared}pending")
        return {key: int(count) for key, count in counts.items()}

    def _about_answers(self, script: str, *args: str) -> None:
        keys = [f"{self._shared}answers", f"{self._shared}pending"]
        self._servers.run(self._scripts[script], keys, args, durable=True)

    def advance(self, mark: str, to: int) -> int:
        return int(self._servers.run(self._scripts["advance"], [f"{self._shared}marks"], (mark, to), durable=True))

    def claim_alert(self, key: str, window: Window, share: str) -> bool:
        (claimed,) = self._run("claim_alert", key, NO_CALL, _of(window), share)
        return bool(claimed)

    # what stands in it

    def balance(self, key: str, window: Window, uptime: float) -> Balance:  # noqa: ARG002 - as above
        return Balance(*map(int, self._run("balance", key, NO_CALL, _of(window))))

    def history(self, key: str | None = None) -> Sequence[WindowRow]:
        history = []
        for name in self._known(key):
            fields = self._command("HGETALL", self._key(name, "meta"))
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
            for row in self._command("LRANGE", self._key(name, "corrections"), 0, -1):
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
            pruned += self._servers.run(self._scripts["prune"], keys, (milliseconds(before),), durable=False)
        answers = self._command("HGETALL", f"{self._shared}answers")
        for owner, row in answers.items():
            if json.loads(row)[2] < milliseconds(before):
                self._about_answers("answered", owner)
        return pruned

    def retire(self, key: str, owner: str) -> None:
        self._command("DEL", self._key(key, f"owner:{owner}"))
        self._command("HDEL", self._key(key, "owners"), owner)

    def marks(self, prefix: str) -> Mapping[str, int]:
        marks = self._command("HGETALL", f"{self._shared}marks")
        return {mark: int(to) for mark, to in marks.items() if mark.startswith(prefix)}

    def forget(self, name: str) -> None:
        owners = self._command("HKEYS", self._key(name, "owners"))
        for kind in (*lua.KEYS, *(f"owner:{owner}" for owner in owners)):
            self._command("DEL", self._key(name, kind))
        self._command("SREM", f"{self._shared}backends", name)
        self._command("HDEL", f"{self._shared}marks", name)
        self._keys.pop(name, None)

    def close(self) -> None:
        self._servers.close()

    # the servers

    def _known(self, key: str | None) -> Sequence[str]:
        return [key] if key else sorted(self._command("SMEMBERS", f"{self._shared}backends"))

    def _command(self, name: str, key: str, *args: str | int) -> Any:
        def ask(redis: Any) -> Any:
            return redis.execute_command(name, key, *args)

        return self._servers.ask(key, ask)

    def _key(self, key: str, kind: str) -> str:
        # one hash tag for all keys of a limit: a cluster keeps them together
        return f"{self._prefix}{key}}}:{kind}"

    def _run(self, verb: str, key: str, id: CallId, numbers: str, *more: str, durable: bool = False) -> list[Any]:
        shared = self._keys.get(key)
        if shared is None:
            shared = [self._key(key, kind) for kind in lua.KEYS]
            self._command("SADD", f"{self._shared}backends", key)
            self._keys[key] = shared
        owner, number = id
        # in one argument: every argument costs as much as a command of the script
        args = (f"{owner}:{number}", numbers, *more)
        keys = (*shared, self._key(key, f"owner:{owner}"))
        answer: list[Any] = self._servers.run(self._scripts[verb], keys, args, durable=durable)
        return answer


def _of(window: Window) -> str:
    start, end = bounds(window)
    return f"{start} {end}"


def _booked(answer: Sequence[Any]) -> Booked:
    spent, generation, bookings, first, replaced = map(int, answer)
    return Booked(spent, generation, bookings, bool(first), bool(replaced))
