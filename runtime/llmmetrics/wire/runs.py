"""OpenAI's assistants: runs of a thread, whose answer comes later.

https://platform.openai.com/docs/api-reference/runs.
"""

from __future__ import annotations

import re

from llmmetrics.wire import openai
from llmmetrics.wire.format import Format, PromptNames, Reading, mapping, text
from llmmetrics.wire.framing.frames import DONE, Doc
from llmmetrics.wire.later import LaterAnswer, state_of

_OVER = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})


def _read(body: Doc) -> Reading:
    """Read a run. Its usage is the sum over its steps, and stands there when it is over."""
    reading = openai.read(body)
    id, state = text(body.get("id")), state_of(body.get("status"), used=reading.usage is not None)
    later = LaterAnswer(id, state, lasts=True) if id and id.startswith("run_") and state else None
    return reading._replace(later=later, error=mapping(body.get("error")) or None)


def _part(event: Doc) -> Doc:
    return event if event.get("object") == "thread.run" or "error" in event else {}


FORMATS = (
    Format(
        id="openai.runs",
        vendor="openai",
        providers=frozenset({"openai", "azure"}),
        # with the outputs of tools, a run goes on: its usage is that of the whole run
        path=re.compile(r"/threads(?:/[^/]+)?/runs(?:/[^/]+/submit_tool_outputs)?/?$"),
        fields=("usage", "model", "id", "status", "error"),
        members=("status", "object"),
        read=_read,
        part=_part,
        ended=lambda event: event is DONE or (event.get("object") == "thread.run" and event.get("status") in _OVER),
        prompt_names=PromptNames(
            messages=("additional_messages", "thread"), system=("instructions", "additional_instructions")
        ),
        refusal=openai.refusal,
        output_limits=(("max_completion_tokens",),),
        completion_names=openai.COMPLETION | {"instructions"},
        example="/v1/threads/runs",
        note="the usage stands in the run that is fetched when it is over",
        deferred=True,
        fetched=re.compile(r"/threads/[^/]+/runs/(?P<id>[^/]+)(?:/cancel)?/?$"),
    ),
)
