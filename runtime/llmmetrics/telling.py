"""What is told of a finished call: a line in the log, and the observers of a test."""

from __future__ import annotations

import json
import logging
import re

from llmmetrics.call import CallRecord
from llmmetrics.settings import Telemetry

log = logging.getLogger("llmmetrics.calls")

_PLAIN = re.compile(r"[\w./:@+-]+")


def line(record: CallRecord, telemetry: Telemetry) -> str:
    """One line of key=value, without content; a value that is not plain is quoted as JSON."""
    usage = record.usage
    fields: dict[str, object] = {
        "backend": record.backend,
        "model": record.model,
        "status": record.status,
        "error_type": record.error_type or "-",
    }
    if telemetry.log_token_counts:
        fields["prompt_tokens"] = usage.prompt if usage else 0
        fields["completion_tokens"] = usage.completion if usage else 0
        fields["tokens"] = "known" if record.usage_known else "estimated"
        fields["cost_usd"] = "unknown" if record.cost_usd is None else f"{record.cost_usd:f}"
    if telemetry.log_timing:
        fields["duration_seconds"] = f"{record.duration:.6f}"
    return " ".join(f"{name}={_shown(str(value))}" for name, value in fields.items())


def _shown(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value)
