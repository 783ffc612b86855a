"""A wire format of somebody else, in its two rows, and a list of what a format's rows lack."""

from __future__ import annotations

import json
import re

from llmmetrics import wire
from llmmetrics.testing import Answer, Request, reply
from llmmetrics.testing.messages.provider_errors import ProviderErrors
from llmmetrics.testing.shapes import SHAPES
from llmmetrics.testing.shapes.base import Shape, sse
from llmmetrics.wire.estimation.estimate import completion_tokens
from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.framing.body_buffer import keep


def _read(body):
    used = wire.mapping(body.get("consumption"))
    buckets = {"input": wire.count(used.get("read")), "output": wire.count(used.get("written"))}
    return wire.Reading(body.get("engine"), wire.usage_of(buckets) if used else None, error=body.get("failure"))


FORMAT = wire.Format(
    id="acme.talk",
    vendor="acme",
    path=re.compile(r"/acme/talk$"),
    fields=("consumption", "engine", "failure"),
    read=_read,
    ended=lambda event: event is wire.DONE,
    hosts=(("api.acme.example", "acme"),),
    example="/acme/talk",
    note="an example",
    refusal=lambda message: {"failure": {"reason": message}},
    output_limits=(("bounds", "most"),),
    answer_counts=(("bounds", "answers"),),
    completion_names=frozenset({"speech"}),
    families=(ModelFamily(re.compile("acme"), 2, 1, 0, 0, 0, 0, 0, 0),),
)


def _whole(request, answer):
    used = {"read": answer.prompt_tokens, "written": answer.completion_tokens}
    return {"engine": request.model, "speech": answer.text, **({"consumption": used} if answer.usage else {})}


def _events(request, answer):
    for piece in answer.deltas:
        yield sse({"engine": request.model, "speech": piece})
    yield sse(_whole(request, answer) | {"speech": ""})
    yield b"data: [DONE]\n\n"


ERRORS = ProviderErrors("acme", {}, lambda _http, code, message: {"failure": {"reason": message, "code": code}})
SHAPE = Shape("acme.talk", ERRORS, _whole, _events)

_TEXT = "What a model has written is estimated from these words."


def _answer(format):
    """What the simulator answers at a format's example; None if no shape answers it."""
    model = "text-bison" if format.id == "vertex.predict" else "meta.llama"
    path = re.sub(r"MODEL|text-embedding-\d+", model, format.example)
    return reply(Request("POST", path, body=json.dumps({"model": model, "stream": False}).encode()), Answer(_TEXT))


def forgotten(format):
    """What a format's rows lack, each as a sentence that begins with the format's id."""
    example = wire.claim("POST", "", re.sub("MODEL", "m", format.example))
    lacks = {
        "example: write a path that it claims": example is None or example.format.id != format.id,
        "note: write what is special about it, for docs/formats.md": not format.note,
        "refusal: write the provider's JSON body of an error": format.refusal is None,
        "output_limits: name the fields that limit the completion, or NO_COMPLETION": format.output_limits is None,
        "shape: add a row to llmmetrics/testing/shapes": format.id not in {each.id for each in SHAPES},
    }
    found = [f"{format.id} has no {what}" for what, lacking in lacks.items() if lacking]
    if not found and format.output_limits:
        (body,) = _answer(format).chunks
        if not completion_tokens(keep(body), format):
            found.append(f"{format.id} has no completion_names: name the answer's fields that hold generated text")
    return found
