"""Turns a recorded answer into the reply of a stand-in, with the cassette's fault. Pure."""

from __future__ import annotations

from typing import Any

from llmmetrics.testing import Reply
from pytest_llmmetrics.cassettes import streams
from pytest_llmmetrics.cassettes.files import Breakdown, Interaction


def reply_of(interaction: Interaction) -> Reply:
    """Return a recorded answer as a reply, with its fault."""
    response, fault = interaction.response, interaction.fault
    headers = tuple((name, value) for name, values in response["headers"].items() for value in _listed(values))
    named = {name.lower(): value for name, value in headers}
    text = response["body"].get("string") or b""
    body = text.encode() if isinstance(text, str) else text
    chunks = tuple(streams.split("" if "content-encoding" in named else named.get("content-type", ""), body))
    ended = {} if fault is None else _ending(fault, len(chunks))
    is_stream = len(chunks) > 1 or "cut_after" in ended or "stall_after" in ended
    return Reply(int(response["status"]["code"]), headers, chunks, is_stream, **ended)


def _listed(values: Any) -> list[str]:
    return [str(each) for each in values] if isinstance(values, list) else [str(values)]


def _ending(fault: Breakdown, events: int) -> dict[str, Any]:
    if fault.when == "headers":
        return {"raises": fault.raises, "says": fault.says}
    return {"stall_after" if fault.raises == "ReadTimeout" else "cut_after": events}
