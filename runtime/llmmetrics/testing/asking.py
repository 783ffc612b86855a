"""What a request asks for, of any format: for the gate of the pytest plugin. Pure."""

from __future__ import annotations

from typing import Any

from llmmetrics import wire
from llmmetrics.pricing.worst_case import most_output
from llmmetrics.wire import prompt_names
from llmmetrics.wire.estimation.estimate import fields_tokens
from llmmetrics.wire.format import NO_COMPLETION, Format, PromptNames
from llmmetrics.wire.framing.frames import parse

__all__ = ["Format", "PromptNames", "fields_of", "format_of", "output_limit", "prompt_names", "tokens_of"]


def fields_of(body: bytes) -> dict[str, Any] | None:
    """Parse a request; None: it is not a JSON object, or nested too deep."""
    fields = parse(body)
    return fields if isinstance(fields, dict) else None


def format_of(api: str) -> Format | None:
    """Return the wire format of this id."""
    return next((each for each in wire.FORMATS if each.id == api), None)


def tokens_of(fields: dict[str, Any], format: Format, model: str) -> float:
    """Estimate the prompt tokens of a request, or of a part of one."""
    return fields_tokens(fields, format, model)


def output_limit(fields: dict[str, Any], format: Format) -> int | None:
    """Return the most tokens that an answer may have: 0 if the format has no completion, None without a limit."""
    return 0 if format.output_limits == NO_COMPLETION else most_output(format, fields)
