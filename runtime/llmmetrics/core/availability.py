"""Which backends take calls now, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from llmmetrics.core.engine import Engine
from llmmetrics.core.health import Circuit
from llmmetrics.metrics.registry import PICO, Spend


class BackendStatus(NamedTuple):
    """The state of a configured backend. Amounts are in USD; None without a limit, or if the ledger does not answer."""

    backend: str
    available: bool
    """Whether it takes calls: healthy, not spent, and no `Retry-After` is running."""
    healthy: bool
    spent: Decimal | None
    limit: Decimal | None
    resets_at: datetime | None
    """When its spend starts again at 0."""
    tried_at: datetime | None
    """When a failover tries it again, if it waits: after its `Retry-After`, or with the next probe."""


def circuit_of(engine: Engine, backend: str) -> Circuit:
    """Return the circuit of a configured backend."""
    circuit = engine.circuits.get(backend)
    if circuit is None:
        new = Circuit(engine.health(backend), engine.settings.health.probe_seconds)
        circuit = engine.circuits.setdefault(backend, new)
    return circuit


def spends(engine: Engine) -> Mapping[str, Spend]:
    """Read the spend of the limited backends from the ledger."""
    return {} if engine.enforcer is None else engine.enforcer.spends()


def moment(engine: Engine, monotonic: float) -> datetime:
    """Convert monotonic seconds of the engine's clock to a date."""
    return engine.clock.now() + timedelta(seconds=monotonic - engine.clock.monotonic())


def status(engine: Engine) -> Sequence[BackendStatus]:
    """Describe every configured backend, in the order of the settings."""
    read, now = spends(engine), engine.clock.monotonic()
    return [_status(engine, each.name, read.get(each.name), now) for each in engine.backends.all]


def _status(engine: Engine, backend: str, spend: Spend | None, now: float) -> BackendStatus:
    circuit = circuit_of(engine, backend)
    opens = circuit.opens()
    blocked = spend is not None and spend.blocked
    return BackendStatus(
        backend,
        circuit.up and opens <= now and not blocked,
        circuit.up,
        None if spend is None else Decimal(spend.spent) / PICO,
        None if spend is None else Decimal(spend.limit) / PICO,
        None if spend is None else spend.window.resets_at,
        moment(engine, opens) if opens > now else None,
    )
