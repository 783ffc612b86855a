"""`llmmetrics check SETTINGS`: validates settings, and shows backends, prices and limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from llmmetrics.cli.output.findings import Exit
from llmmetrics.cli.output.summary import Resolved, resolved
from llmmetrics.cli.output.tables import aligned, money, number
from llmmetrics.core.preflight import faults
from llmmetrics.errors import ConfigError
from llmmetrics.settings.loading import UnreadableSettingsError, joined, load
from llmmetrics.system import processes

_COLUMNS = ("name", "type", "base URL", "model", "price, USD per million in/out", "limit")


def run(source: str) -> Exit:
    """Print the backends of a settings file. Raises `ConfigError`, which lists every error."""
    try:
        settings = load(source)
    except UnreadableSettingsError as exc:
        sys.stderr.write(f"llmmetrics: {exc}\n")
        return Exit.CANNOT_LOOK
    around = [fault] if processes.VARIABLE in os.environ and (fault := processes.fault()) else []
    if problems := [*around, *faults(settings)]:
        raise ConfigError(joined(problems, "the settings have"))
    rows = [_COLUMNS, *map(_row, resolved(settings))]
    sys.stdout.write(f"ok: {source} is valid, with {number(len(rows) - 1, 'backend')}\n")
    if settings.backends:
        sys.stdout.writelines(aligned(rows))
    if not settings.telemetry.enable_metrics:
        sys.stdout.write("EnableMetrics is false: no metrics are exported\n")
    return Exit.FINE


def _row(backend: Resolved) -> Sequence[str]:
    price = backend.source
    if backend.prompt is not None or backend.completion is not None:
        price += f" {money(backend.prompt)}/{money(backend.completion)}"
    limit = "-" if backend.limit is None else f"{money(backend.limit)} USD, {backend.window}"
    return (backend.name, backend.type, backend.url or "missing", backend.model or "any", price, limit)
