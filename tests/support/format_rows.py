"""A wire format of somebody else, in its two rows, and a list of what a format's rows lack."""

from __future__ import annotations

import json
import re

from llmmetrics import wire
from llmmetrics.reading.exchange import see
from llmmetrics.testing import Answer, Request, faults, reply
from llmmetrics.testing.messages.provider_errors import ProviderErrors
from llmmetrics.testing.shapes import SHAPES
from llmmetrics.testing.shapes.base import Shape, sse
from llmmetrics.wire.estimation.estimate import completion_tokens
from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.framing.body_buffer import keep


def _read(body):
    used = wire.mapping(body.get("consumption"))
    buckets = {"input": wire.count(used.get("read")), "output": wire.count(used.get("written"))}
    error = body.get("failure") or body.get("error")
    return wire.Reading(body.get("engine"), wire.usage_of(buckets) if used else None, error=error)


FORMAT = wire.Format(
    id="acme.talk",
    vendor="acme",
    path=re.compile(r"/acme/talk$"),
    fields=("consumption", "engine", "error", "failure"),
    read=_read,
    ended=lambda event: event is wire.DONE,
    hosts=(("api.acme.example", "acme"),),
    example="/acme/talk",
    note="an example",
    refusal=lambda message: {"failure": {"reason": message}},
    output_limits=(("bounds", "most"),),
    answer_counts=(("bounds", "answers"),),
    model_names=("engine",),
    prompt_names=wire.PromptNames(messages=("talk",), system=("briefing",)),
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


def simulated(format, script, *, stream=False):
    """The body that the simulator sends at a format's example."""
    model = "text-bison" if format.id == "vertex.predict" else "meta.llama"
    path = re.sub(r"MODEL|text-embedding-\d+", model, format.example)
    request = Request("POST", path, body=json.dumps({format.model_names[0]: model, "stream": stream}).encode())
    return keep(b"".join(reply(request, script).chunks))


def forgotten(format):
    """What a format's rows lack, each as a sentence that begins with the format's id."""
    example = wire.claim("POST", "", re.sub("MODEL", "m", format.example), wire.ANY)
    simulated_too = format.billing in {wire.Billing.READ, wire.Billing.FREE}
    shape = next((each for each in SHAPES if each.id == format.id), None)
    lacks = {
        "example: write a path that it claims": example is None or example.format.id != format.id,
        "note: write what is special about it, for docs/formats.md": not format.note,
        "refusal: write the provider's JSON body of an error": format.refusal is None,
        "output_limits: name the fields that limit the completion, or NO_COMPLETION": format.output_limits is None,
        "prompt_names: name the request's fields that hold the prompt": simulated_too
        and not (format.batch or any(format.prompt_names or ())),
        "shape: add a row to llmmetrics/testing/shapes": simulated_too and shape is None,
    }
    if shape and example and example.format.id == format.id:
        lacks |= {
            "completion_names: name the answer's fields that hold generated text": format.output_limits
            and not format.deferred
            and not completion_tokens(simulated(format, Answer(_TEXT)), format),
            "error: let `read` return the error that its shape sends inside a 200": any(
                not see(format, simulated(format, faults.ERROR_IN_200, stream=stream)).reading.error
                for stream in {False, shape.events is not None and "stream" not in format.path.groupindex}
            ),
        }
    return [f"{format.id} has no {what}" for what, lacking in lacks.items() if lacking]
