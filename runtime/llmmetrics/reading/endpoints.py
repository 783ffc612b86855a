"""The paths of a POST that cost nothing, at each provider, and how any path is billed.

Every path of the official SDKs is here or is claimed by a format: tests/runtime/reading/test_endpoints.py walks them.
Other methods (GET, DELETE, PUT, PATCH) are free. What is not known here is no call, and passes untouched.
"""

import re
from typing import NamedTuple

from llmmetrics import wire
from llmmetrics.wire.format import Billing


class Free(NamedTuple):
    """Paths that cost nothing at a provider."""

    provider: str
    what: str
    """What they are for, in a few words for the documentation."""
    path: str
    """A pattern of the whole path, compiled when it is needed: to compile all of them takes 8 ms."""


def _free(provider: str, what: str, path: str) -> Free:
    return Free(provider, what, rf"(?:/[\w.-]+)*?(?:{path})/?")


_ID = r"/[^/]+"
_ADMIN = rf"/v1/(?:organizations?|projects{_ID}/(?:groups|users|roles)|compliance)(?:{_ID})*"

FREE = (
    _free("openai", "files and uploads", rf"/v1/(?:files|uploads(?:{_ID}/(?:cancel|complete|parts))?)"),
    _free("openai", "moderation", r"/v1/moderations"),
    _free(
        "openai",
        "changes of what is stored: completions, conversations, threads, assistants, agents, skills, voices",
        rf"/v1/(?:chat/completions{_ID}|conversations(?:{_ID}(?:/items)?)?|assistants(?:{_ID})?"
        rf"|threads(?:/(?!runs/?$)[^/]+(?:/messages(?:{_ID})?|/runs{_ID})?)?"
        rf"|agents(?:/(?!sessions)[^/]+)?|agents/(?:automations(?:{_ID}(?:/pause|/resume)?)?|sessions{_ID}"
        rf"|environments(?:/templates(?:{_ID})?|{_ID}/files)?)|skills(?:{_ID}(?:/versions)?)?|vaults(?:{_ID})*"
        rf"|audio/voices|audio/voice_consents(?:{_ID})?|videos/characters|evals(?:{_ID})?|containers{_ID}/files"
        rf"|webhook_endpoints(?:{_ID})*)",
    ),
    _free("openai", "vector stores: only their storage is billed, and is not metered", rf"/v1/vector_stores(?:{_ID})*"),
    _free(
        "openai",
        "cancelling, pausing, checking",
        rf"/v1/(?:responses|batches|threads{_ID}/runs|evals{_ID}/runs){_ID}/cancel"
        rf"|/v1/fine_tuning/(?:jobs{_ID}/(?:cancel|pause)|alpha/graders/validate|checkpoints{_ID}/permissions)",
    ),
    _free(
        "openai",
        "keys for sessions, whose own traffic is billed; ending a session",
        rf"/v1/(?:realtime/(?:client_secrets|sessions|transcription_sessions|translations/client_secrets)"
        rf"|chatkit/sessions(?:{_ID}/cancel)?|(?:realtime/calls|live/sessions){_ID}/(?:hangup|refer|reject))",
    ),
    _free("openai", "administration", _ADMIN),
    _free("anthropic", "files and skills", rf"/v1/(?:files|skills(?:{_ID}/versions)?)"),
    _free("anthropic", "cancelling a batch", rf"/v1/messages/batches{_ID}/cancel"),
    _free(
        "anthropic",
        "agents, environments, memories, vaults: only a session runs a model",
        rf"/v1/(?:agents|environments|memory_stores|vaults|tunnels|user_profiles)(?:{_ID})*"
        rf"|/v1/deployments(?:{_ID}(?:/archive|/pause|/unpause)?)?|/v1/dreams{_ID}/(?:archive|cancel)"
        rf"|/v1/sessions{_ID}(?:/archive|/resources(?:{_ID})?|/threads{_ID}/archive)?",
    ),
    _free("anthropic", "administration", _ADMIN),
    _free("google", "files", r"/(?:upload/)?v1\w*/files(?::register)?"),
    _free(
        "google",
        "cancelling, and polls that are a POST",
        rf"/v1\w*(?:{_ID})*{_ID}(?::|/)(?:cancel|fetchPredictOperation)",
    ),
    _free(
        "google",
        "keys, agents, environments, triggers, webhooks, voices, stores, checks",
        rf"/v1\w*/(?:auth_tokens|interactions{_ID}/auth_tokens|agents|credentials|environments|triggers|voices"
        rf"|fileSearchStores|webhooks(?:{_ID}:\w+)?|.+:validateReinforcementTuningReward)",
    ),
    _free("mistral", "files", r"/v1/files"),
    _free("mistral", "moderation", r"/v1/(?:chat/)?moderations"),
    _free(
        "mistral",
        "agents, connectors, libraries, prompts, skills, voices, keys",
        rf"/v1/(?:agents|audio/voices|libraries|client/sessions|service-accounts|webhooks|triggers"
        rf"|connectors(?:{_ID}{_ID}/(?:activate|deactivate|credentials))?|fine_tuning/models{_ID}/archive)"
        rf"|/v2/(?:prompts|skills)(?:{_ID}/versions)?",
    ),
    _free("mistral", "cancelling a batch", rf"/v1/(?:batch|fine_tuning)/jobs{_ID}/cancel"),
    _free(
        "mistral",
        "observability, and what workflows need besides running",
        rf"/v1/observability/(?!.*live-judging)(?:[^/]+/?)*|/v1/workflows/(?:deployments|executions|schedules)"
        rf"(?:{_ID})*(?<!/trigger)|/v1/workflows{_ID}/tags",
    ),
    _free(
        "cohere",
        "keys, connectors, data sets, tokens to text, cancelling",
        rf"/v1/(?:check-api-key|connectors(?:{_ID}/oauth/authorize)?|datasets|detokenize|embed-jobs{_ID}/cancel)"
        rf"|/v2/batches{_ID}:cancel",
    ),
    _free("groq", "files, cancelling a batch", rf"/v1/(?:files|batches{_ID}/cancel)"),
    _free(
        "together",
        "cancelling, stopping, previews of a price, repairs",
        rf"/v1/(?:(?:batches|fine-tunes|shaping){_ID}/cancel|queue/(?:cancel|clear)|deployments/secrets"
        rf"|deployments{_ID}/rollback|fine-tunes/(?:estimate-price|preview)|shaping/prepare-for-fp4-inference/estimate"
        rf"|rl/model-resources/estimate-cost|rl/(?:model-resources|training-sessions){_ID}/stop"
        rf"|compute/clusters{_ID}/instances{_ID}/remediations(?:{_ID}/(?:approve|cancel|reject))?)"
        rf"|/v2/projects{_ID}/(?:models(?:/uploads)?|endpoints{_ID}/(?:deployments{_ID}/adapters"
        rf"|rollouts(?:/preview-defaults|{_ID}/(?:cancel|pause))|shadowExperiments{_ID}/targets))",
    ),
    _free("ollama", "models on the user's own machine", r"/api/(?:blobs/[^/]+|copy|create|pull|push|show)"),
    _free("ollama", "searches, which are part of an account", r"/api/(?:web_search|web_fetch)"),
)


def billing_of(host: str, path: str, provider: str | None = None) -> Billing | None:
    """Return how a POST to this path is billed; None if it is not known. `provider` is as for `wire.claim`."""
    if claimed := wire.claim("POST", host, path, provider):
        return claimed.format.billing
    free = any(re.fullmatch(each.path, path) for each in FREE if provider in (each.provider, wire.ANY))
    return Billing.FREE if free else None
