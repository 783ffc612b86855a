"""The ledger of many machines: a Redis server, one Lua script a verb, every key of a backend in one cluster slot."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from llmmetrics.budgets.ledgers import lua, lua_windows
from llmmetrics.budgets.ledgers.base import (
    ANSWER,
    MOST,
    QUARTER_HOUR,
    SCHEMA,
    TALLY,
    V1,
    Balance,
    Basis,
    Booked,
    CallId,
    Correction,
    Pending,
    Standing,
    TagSum,
    WindowRow,
    bounds,
    milliseconds,
)
from llmmetrics.budgets.ledgers.base import moment as at_moment
from llmmetrics.budgets.ledgers.lua_parts import OPEN
from llmmetrics.budgets.ledgers.redis_servers import RedisScript, RedisServers
from llmmetrics.settings.windows import Window

_NEWER = (
    f"it was written by a newer llmmetrics than this one, which knows schema {SCHEMA}: upgrade "
    "llmmetrics, or set LlmSettings.Budget.Namespace to another name"
)


NO_CALL = CallId("", 0)

_PART = ("COUNT", 1000)
_SPECIAL = re.compile(r"[*?\[\]\\]")
"""What has a meaning in a pattern of Redis."""


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
        self._keys: dict[str, tuple[str, ...]] = {}
        self._scripts = {name: RedisScript(text) for name, text in _SCRIPTS.items()}

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
        moment = milliseconds(at)
        bound = "none" if limit is None else limit
        numbers = f"{min(amount, MOST)} {bound} {lease * 1000:.0f} {moment}"
        answer = self._run("reserve", key, id, window, moment, numbers, durable=amount > 0)
        admitted, spent, reserved, expired, generation, bookings = map(int, answer)
        return Standing(bool(admitted), spent, reserved, expired, generation, bookings)

    def renew(
        self,
        key: str,
        id: CallId,
        amount: int,
        at: datetime,
        uptime: float,  # noqa: ARG002 - as above
        lease: float,
    ) -> None:
        moment = milliseconds(at)
        numbers = f"{min(amount, MOST)} {lease * 1000:.0f} {moment}"
        self._run("renew", key, id, None, moment, numbers)

    def settle(self, key: str, id: CallId, amount: int, basis: Basis, at: datetime, window: Window) -> Booked:
        if id.owner.startswith(V1) and self._settled_before(key, id):
            amount = 0
        moment = milliseconds(at)
        numbers = f"{min(amount, MOST)} {basis.value} {moment}"
        booked = _booked(self._run("settle", key, id, window, moment, numbers, durable=True))
        if id.owner.startswith(ANSWER):
            self._about_answers("answered", id.owner)
        return booked

    def _settled_before(self, key: str, id: CallId) -> bool:
        """Check whether an id was settled by schema 1."""
        return bool(self._command("EXISTS", self._key(key, f"settled:{id.owner.removeprefix(V1)}")))

    # answers that come later

    def defer(
        self, key: str, id: CallId | None, amount: int, at: datetime, window: Window, answer: CallId, note: str | None
    ) -> Booked:
        # three steps, as it may be in three slots: what stops in between leaves too much booked, and never too little
        moment = milliseconds(at)
        if note is not None:
            row = json.dumps([key, str(min(amount, MOST)), moment, note])
            self._about_answers("note", answer.owner, row, key)
        numbers = f"{min(amount, MOST)} {moment}"
        *about, over = self._run("defer", key, answer, window, moment, numbers, durable=True)
        if over == "1" and note is not None:
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
        return Pending(key, int(amount), at_moment(at), note)

    def pending_counts(self) -> Mapping[str, int]:
        counts = self._command("HGETALL", f"{self._shared}pending")
        return {key: int(count) for key, count in counts.items()}

    def _about_answers(self, script: str, *args: str) -> None:
        keys = [f"{self._shared}answers", f"{self._shared}pending"]
        self._servers.run(self._scripts[script], keys, args, durable=True)

    def advance(self, mark: str, to: int) -> int:
        return int(self._servers.run(self._scripts["advance"], [f"{self._shared}marks"], (mark, to), durable=True))

    def claim_alert(self, key: str, window: Window, share: str) -> bool:
        (claimed,) = self._run("claim_alert", key, NO_CALL, window, 0, share)
        return claimed == "1"

    # what stands in it

    def balance(self, key: str, window: Window, uptime: float) -> Balance:  # noqa: ARG002 - as above
        return Balance(*map(int, self._run("balance", key, NO_CALL, window, 0, "")))

    def history(self, key: str | None = None) -> Sequence[WindowRow]:
        history = []
        for name in self._known(key):
            fields = self._command("HGETALL", self._key(name, "meta"))
            for field, value in fields.items():
                if field.startswith(("w|", "p|")):
                    start, end = field[2:].split(":")
                    spent, *_, limit = value.split()
                    window = Window(at_moment(int(start)), at_moment(int(end)))
                    history.append(WindowRow(name, window, int(spent), None if limit == "none" else int(limit)))
        return sorted(history, key=lambda row: (row.window, row.key), reverse=True)

    def corrections(self, key: str | None = None) -> Sequence[Correction]:
        corrections = []
        for name in self._known(key):
            for row in self._command("LRANGE", self._key(name, "corrections"), 0, -1):
                kind, (at, by), amount = json.loads(row)
                corrections.append(Correction(kind, name, at_moment(at), by, int(amount)))
        return sorted(corrections, key=lambda each: each.at, reverse=True)

    # an operator's

    def reset(self, key: str, window: Window, now: datetime, by: str) -> int:
        (amount,) = self._run("reset", key, NO_CALL, window, 0, json.dumps([milliseconds(now), by]))
        return int(amount)

    def release(self, key: str, window: Window, now: datetime, by: str) -> int:
        (amount,) = self._run("release", key, NO_CALL, window, 0, json.dumps([milliseconds(now), by]))
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
        self._command("HDEL", self._key(key, "meta"), f"o|{owner}")

    def marks(self, prefix: str) -> Mapping[str, int]:
        # in parts, so that no call waits long: every answer that came later has a mark
        marks: dict[str, str] = {}
        cursor, pattern = None, _SPECIAL.sub(r"\\\g<0>", prefix) + "*"
        while cursor != 0:
            cursor, part = self._command("HSCAN", f"{self._shared}marks", cursor or 0, "MATCH", pattern, *_PART)
            marks |= part
        return {mark: int(to) for mark, to in marks.items()}

    def forget(self, name: str) -> None:
        fields = self._command("HKEYS", self._key(name, "meta"))
        owners = [field.removeprefix("o|") for field in fields if field.startswith("o|")]
        for kind in (*lua.KEYS, "corrections", *(f"owner:{owner}" for owner in owners)):
            self._command("DEL", self._key(name, kind))
        self._command("SREM", f"{self._shared}backends", name)
        self._command("HDEL", f"{self._shared}marks", name)
        self._keys.pop(name, None)

    def tally(self, id: CallId, sums: Sequence[TagSum]) -> None:
        hashes = {(each.tag, each.day): f"{self._shared}tags:{each.tag}:{each.day}" for each in sums}
        places = {name: place for place, name in enumerate(hashes, 1)}
        rows = [(places[each.tag, each.day], each.value, each.amount) for each in sums]
        keys = [f"{self._shared}marks", *hashes.values()]
        args = (f"{TALLY}{id.owner}", id.number, *(field for row in rows for field in row))
        self._servers.run(self._scripts["tally"], keys, args, durable=True)

    def tallies(self, tag: str, first: int, last: int) -> Mapping[str, int]:
        sums = Counter[str]()
        for day in range(first, last + 1):
            for value, amount in self._command("HGETALL", f"{self._shared}tags:{tag}:{day}").items():
                sums[value] += int(amount)
        return sums

    def look_again(self) -> None:
        self._servers.look_again()

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

    def _run(
        self, verb: str, key: str, id: CallId, window: Window | None, at: int, numbers: str, *, durable: bool = False
    ) -> list[str]:
        shared = self._keys.get(key)
        if shared is None:
            shared = tuple(self._key(key, kind) for kind in lua.KEYS)
            self._command("SADD", f"{self._shared}backends", key)
            self._keys[key] = shared
        owner, number = id
        own, inside = "-", 0
        if window is not None:
            start, end = bounds(window)
            own, inside = f"{start}:{end}", int(start <= at < end)
        # few arguments, and one text as an answer: each part costs as much as a command of the script
        args = (owner, f"{number} {own} {inside} {at - at % QUARTER_HOUR} {numbers}")
        keys = (*shared, f"{shared[0][:-4]}owner:{owner}")
        answer: str = self._servers.run(self._scripts[verb], keys, args, durable=durable)
        if answer == OPEN:
            self._servers.run(self._scripts["open"], shared, (own,), durable=False)
            answer = self._servers.run(self._scripts[verb], keys, args, durable=durable)
        return answer.split(" ")


_SCRIPTS = {
    "reserve": lua.RESERVE,
    "renew": lua.RENEW,
    "settle": lua.SETTLE,
    "defer": lua.DEFER,
    "balance": lua.BALANCE,
    "claim_alert": lua.CLAIM_ALERT,
    "open": lua_windows.OPEN_WINDOW,
    "reset": lua_windows.RESET,
    "release": lua_windows.RELEASE,
    "prune": lua_windows.PRUNE,
    "note": lua_windows.NOTE_ANSWER,
    "answered": lua_windows.ANSWERED,
    "advance": lua_windows.ADVANCE,
    "tally": lua_windows.TALLY,
}


def _booked(answer: Sequence[str]) -> Booked:
    spent, generation, bookings, first, replaced = map(int, answer)
    return Booked(spent, generation, bookings, bool(first), bool(replaced))
