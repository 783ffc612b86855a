"""Assistants' runs, whose usage comes later; and jobs, agents and sessions, of which nothing says how much is billed.

On a backend with a limit, `OnUnknownPrice` decides about the latter. `reading.endpoints` has the paths that are free.
"""

from __future__ import annotations

import re
from typing import Any

from llmmetrics.wire import anthropic, bedrock, cohere, gemini, openai
from llmmetrics.wire.format import NO_COMPLETION, Billing, Format, PromptNames, Reading, mapping, text
from llmmetrics.wire.framing.frames import DONE, Doc
from llmmetrics.wire.later import LaterAnswer, state_of

_OVER = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})


def _run(body: Doc) -> Reading:
    """Read a run. Its usage is the sum over its steps, and stands there when it is over."""
    reading = openai.read(body)
    id, state = text(body.get("id")), state_of(body.get("status"), used=reading.usage is not None)
    later = LaterAnswer(id, state, lasts=True) if id and id.startswith("run_") and state else None
    return reading._replace(later=later, error=mapping(body.get("error")) or None)


def _run_part(event: Doc) -> Doc:
    return event if event.get("object") == "thread.run" or "error" in event else {}


def _jobs(id: str, path: str, example: str, note: str, providers: frozenset[str], refusal: Any) -> Format:
    """Build the row of paths that are billed, and of which neither request nor answer tells how much."""
    return Format(
        id=id,
        vendor=id.partition(".")[0],
        path=re.compile(path),
        fields=("error",),
        read=lambda body: Reading(error=body.get("error")),
        billing=Billing.UNKNOWN,
        providers=providers,
        pieces=lambda _asked, _usage: (),
        bound=lambda _asked, _size: (),
        any_body=True,
        output_limits=NO_COMPLETION,
        refusal=refusal,
        example=example,
        note=note,
    )


FORMATS = (
    Format(
        id="openai.runs",
        # https://platform.openai.com/docs/api-reference/runs
        vendor="openai",
        providers=frozenset({"openai", "azure"}),
        # with the outputs of tools, a run goes on: its usage is that of the whole run
        path=re.compile(r"/threads(?:/[^/]+)?/runs(?:/[^/]+/submit_tool_outputs)?/?$"),
        fields=("usage", "model", "id", "status", "error"),
        members=("status", "object"),
        read=_run,
        part=_run_part,
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
        listed=re.compile(r"/threads/[^/]+/runs/?$"),
    ),
    _jobs(
        "openai.jobs",
        r"/fine_tuning/(?:jobs(?:/[^/]+/resume)?|alpha/graders/run)/?$|/evals/[^/]+/runs/?$|/containers/?$"
        r"|/video/generations/jobs/?$|/agents/sessions(?:/[^/]+/events)?/?$|/content_provenance_checks/?$"
        r"|/agents/automations/[^/]+/invocations/?$"
        r"|/(?:realtime/calls|live/sessions)(?:/[^/]+/(?:accept|fork))?/?$",
        "/v1/fine_tuning/jobs",
        "fine-tuning, evaluations, agents, containers, sessions over WebRTC",
        frozenset({"openai", "azure", "groq", "together"}),
        openai.refusal,
    ),
    _jobs(
        "anthropic.jobs",
        r"/v1/(?:sessions(?:/[^/]+/events)?|deployments/[^/]+/run|dreams)/?$",
        "/v1/sessions",
        "managed agents",
        frozenset({"anthropic"}),
        anthropic.refusal,
    ),
    _jobs(
        "google.jobs",
        r"/models/(?P<model>[^/:]+):predict(?:LongRunning)?$|:(?:uploadToFileSearchStore|importFile)$"
        r"|/(?:cachedContents|tuningJobs|tunedModels|batchPredictionJobs|triggers/[^/]+/executions)/?$",
        "/v1beta/cachedContents",
        "tuning, caches, indexes, predictions of other models",
        frozenset({"google", "google-vertex"}),
        gemini.refusal,
    ),
    _jobs(
        "mistral.jobs",
        r"/v1/(?:fine_tuning/jobs(?:/[^/]+/start)?|(?:chat/)?classifications|libraries/[^/]+/documents(?:/[^/]+/reprocess)?"
        r"|workflows/(?:registrations/)?[^/]+/execute|workflows/schedules/[^/]+/trigger"
        r"|audio/(?:agents|sessions)|context/search-indexes(?:/.+)?|observability/.+/live-judging|connectors/[^/]+/tools/[^/]+/call)/?$",
        "/v1/classifications",
        "fine-tuning, classifiers, libraries, workflows",
        frozenset({"mistral"}),
        openai.refusal,
    ),
    _jobs(
        "cohere.jobs",
        r"/v1/(?:classify|summarize|embed-jobs|finetuning/finetuned-models)/?$|/v2/(?:batches|parse)/?$",
        "/v1/embed-jobs",
        "classifiers, summaries, parsed pages, batches, fine-tuning",
        frozenset({"cohere"}),
        cohere.refusal,
    ),
    _jobs(
        "together.jobs",
        r"/v1/(?:fine-tunes|evaluation|queue/submit|deployments|compute/clusters(?:/storage/volumes)?"
        r"|deployments/storage/volumes|rl/model-resources|rl/training-sessions(?:/[^/]+/operations/[^/]+)?"
        r"|rl/model-resources/[^/]+/extend-expiry|shaping/prepare-for-fp4-inference)/?$"
        r"|/v2/projects/[^/]+/endpoints(?:/[^/]+/(?:deployments|abExperiments|shadowExperiments|rollouts"
        r"|rollouts/[^/]+/(?:start|resume|promote)))?/?$",
        "/v1/fine-tunes",
        "fine-tuning, evaluations, clusters and endpoints by the hour",
        frozenset({"together"}),
        openai.refusal,
    ),
    _jobs(
        "aws-bedrock.jobs",
        r"/(?:async-invoke|model-invocation-job|model-customization-jobs)/?$",
        "/async-invoke",
        "films, batches, fine-tuning",
        frozenset({"aws-bedrock"}),
        bedrock.refusal,
    ),
)
