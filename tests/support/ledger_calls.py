"""Calls of a ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

from redis import Redis

from llmmetrics.budgets.ledgers import Basis, CallId
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)

LEASE = 60.0
"""Seconds."""

UPTIME = 1000.0

DAY, HOUR, NEVER = (WindowSchedule(each) for each in (ResetPeriod.DAILY, ResetPeriod.HOURLY, ResetPeriod.NEVER))

_numbers = count()
OWNER = uuid4().hex


def call_id(id=None):
    """The id of a call: a number of one owner, or a name that makes an owner of its own."""
    if id is None:
        return CallId(OWNER, next(_numbers))
    return id if isinstance(id, CallId) else CallId(f"owner-{id}", 0)


def reserve(ledger, amount=0, limit=100, id=None, now=NOW, backend="b", shape=DAY, uptime=UPTIME, lease=LEASE):
    return ledger.reserve(backend, shape.window(now), amount, limit, call_id(id), now, uptime, lease)


def renew(ledger, id, amount, admitted=NOW, backend="b", uptime=UPTIME, lease=LEASE):
    ledger.renew(backend, call_id(id), amount, admitted, uptime, lease)


def settle(ledger, amount, id=None, admitted=NOW, backend="b", shape=DAY, basis=Basis.KNOWN):
    return ledger.settle(backend, call_id(id), amount, basis, admitted, shape.window(admitted))


def balance(ledger, now=NOW, backend="b", shape=DAY, uptime=UPTIME):
    return ledger.balance(backend, shape.window(now), uptime)


def age(url, namespace, seconds, backend="b"):
    """Let a limit in Redis become so much older, as the server's clock would in many questions."""
    with Redis.from_url(url, decode_responses=True) as client:
        key = f"llmmetrics:{{{namespace}:{backend}}}:meta"
        if head := client.hget(key, "head"):
            old, rest = head.split(" ", 1)
            client.hset(key, "head", f"{int(old) + int(seconds * 1000)} {rest}")
