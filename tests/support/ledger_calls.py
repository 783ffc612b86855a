"""Calls of a ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)

LEASE = timedelta(seconds=60)

DAY, HOUR, NEVER = (WindowSchedule(each) for each in (ResetPeriod.DAILY, ResetPeriod.HOURLY, ResetPeriod.NEVER))


def reserve(ledger, amount=0, limit=100, id=None, now=NOW, backend="b", shape=DAY):
    return ledger.reserve(backend, shape.window(now), amount, limit, id or uuid4().hex, now, LEASE)


def settle(ledger, amount, id=None, admitted=NOW, backend="b", shape=DAY):
    return ledger.settle(backend, id or uuid4().hex, amount, admitted, shape.window(admitted))


def balance(ledger, now=NOW, backend="b", shape=DAY):
    return ledger.balance(backend, shape.window(now), now)
