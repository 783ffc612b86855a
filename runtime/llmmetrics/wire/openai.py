"""OpenAI's wire formats: chat, completions, embeddings, responses. Many other hosts speak them.

https://platform.openai.com/docs/api-reference; a comment marks what other hosts add.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from typing import Any, Final

from llmmetrics.wire.families import ModelFamily, tiles
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    MOST,
    NO_COMPLETION,
    Charge,
    Format,
    PromptNames,
    Reading,
    count,
    counter,
    counts,
    items,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.framing.frames import DONE, Doc
from llmmetrics.wire.hosted_tools import IMAGES, has_fees, image_tokens, plus, tool_fees, usage_fees
from llmmetrics.wire.later import AnswerState, LaterAnswer, state_of
from llmmetrics.wire.tiers import tier_of
from llmmetrics.wire.usage import Usage, add, usage_of

_NOTHING: Final[Any] = {}.get


_new: Final = tuple.__new__
"""Makes a NamedTuple, in half the time of its own constructor."""


_COUNTS: Final[Any] = itemgetter(
    "prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"
)


def _usual(usage: Doc) -> Usage | None:
    """Fast path: text, counted under OpenAI's own names. `tokens` returns the same, slower. None: it has to."""
    # five names: these, and no others. What costs time here is the number of bytecodes, which the C calls keep low
    if len(usage) != 5:
        return None
    try:
        prompt, completion, total, inward, outward = _COUNTS(usage)
        # not `or`: both have to be objects
        details = any(inward.values()) | any(outward.values())
    except (KeyError, AttributeError):
        return None
    if type(prompt) is not int or type(completion) is not int or prompt + completion != total:
        return None
    if 0 < prompt < total < MOST:
        if not details:
            return _new(Usage, (prompt, completion, 0, {"input": prompt, "output": completion}))
        return _detailed(prompt, completion, inward, outward)
    return None


def _detailed(prompt: int, completion: int, inward: Doc, outward: Doc) -> Usage | None:
    """Fast path: text with tokens of a cache or of reasoning, and no other details."""
    cached, reasoning = inward.get("cached_tokens"), outward.get("reasoning_tokens")
    if len(inward) != 2 or inward.get("audio_tokens", True) or outward.get("audio_tokens"):
        return None
    if outward.get("image_tokens") or type(cached) is not int or type(reasoning) is not int:
        return None
    if 0 <= cached <= prompt and 0 <= reasoning <= completion:
        return _of_text(prompt, cached, completion, reasoning, cached)
    return None


def _of_text(prompt: int, cached: int, completion: int, reasoning: int, said: int) -> Usage:
    """Make the usage of a text call, without empty buckets; `said` is the provider's own count of cached tokens."""
    buckets = {"input": prompt - cached} if prompt != cached else {}
    if cached:
        buckets["cache_read"] = cached
    if completion != reasoning:
        buckets["output"] = completion - reasoning
    if reasoning:
        buckets["reasoning"] = reasoning
    return _new(Usage, (prompt, completion, said, buckets))


def tokens(usage: Doc) -> Usage:
    """Return the buckets of a usage object, with the names of chat or of responses."""
    get = usage.get
    # Writer writes both with `token` in the singular
    details = get("prompt_tokens_details") or get("input_tokens_details") or get("prompt_token_details")
    inward = details.get if type(details) is dict else _NOTHING
    details = get("completion_tokens_details") or get("output_tokens_details") or get("completion_token_details")
    outward = details.get if type(details) is dict else _NOTHING
    prompt, completion, total, said, written, audio_in, audio_out, image_out, reasoning = counts(
        get("prompt_tokens") or get("input_tokens") or 0,
        get("completion_tokens") or get("output_tokens") or 0,
        get("total_tokens") or 0,
        # DeepSeek, Mistral, Moonshot, and LiteLLM and Databricks have names of their own for it
        inward("cached_tokens")
        or get("prompt_cache_hit_tokens")
        or get("num_cached_tokens")
        or get("cached_tokens")
        or get("cache_read_input_tokens")
        or 0,
        # OpenAI, LiteLLM, DashScope, LiteLLM's streams and Databricks, Together
        inward("cache_write_tokens")
        or inward("cache_creation_tokens")
        or inward("cache_creation_input_tokens")
        or get("cache_creation_input_tokens")
        or get("created_cache_tokens")
        or 0,
        inward("audio_tokens") or 0,
        outward("audio_tokens") or 0,
        outward("image_tokens") or 0,
        outward("reasoning_tokens") or 0,
    )
    # tokens that only the total shows: Mistral's audio input, elsewhere reasoning, which xAI says in the details too
    hidden = total - prompt - completion
    if hidden > 0 and (prompt or completion):
        if get("prompt_audio_seconds"):
            prompt, audio_in = prompt + hidden, audio_in + hidden
        else:
            completion += hidden
            reasoning = reasoning if reasoning == hidden else reasoning + hidden
    # Grok on Azure says that more was cached than the prompt has
    cached = min(said, prompt)
    fresh = prompt - cached - written - audio_in
    visible = completion - reasoning - audio_out - image_out
    if fresh < 0 or visible < 0:
        return usage_of({"input": prompt - cached, "cache_read": cached, "output": completion}, cache_read=said)
    if audio_in or written or audio_out or image_out:
        for_an_hour = _for_an_hour(usage, inward, written)
        buckets = {
            "input": fresh,
            "input_audio": audio_in,
            "cache_read": cached,
            "cache_write": written - for_an_hour,
            "cache_write_1h": for_an_hour,
            "output": visible,
            "output_audio": audio_out,
            "output_image": image_out,
            "reasoning": reasoning,
        }
        return usage_of(buckets, cache_read=said)
    return _of_text(prompt, cached, completion, reasoning, said)


def _for_an_hour(usage: Doc, inward: Callable[[str], Any], written: int) -> int:
    """Those of the tokens that were written to a cache that stay there for an hour: LiteLLM and DashScope say it."""
    split = inward("cache_creation_token_details") or inward("cache_creation") or usage.get("cache_creation")
    return min(count(mapping(split).get("ephemeral_1h_input_tokens")), written)


_EITHER = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")


def read(body: Doc) -> Reading:
    """Read a completion or a response."""
    get = body.get
    usage = get("usage")
    if type(usage) is not dict:
        usage = _choice_usage(body)
    known, cost = _usual(usage), None
    if known is None:
        known, cost = _unusual(usage), wire_cost(usage)
    tier = get("service_tier")
    if tier is not None:
        tier = None if tier == "default" else tier_of(tier)
    model = get("model")
    if type(model) is not str or not model:
        model = None
    # xAI defers: the body has nothing else than an id
    later = _deferred(body) if known is None and body.keys() == _DEFERRED else None
    return _new(Reading, (model, known, (), cost, get("error"), tier, None, later))


_DEFERRED = {"request_id"}


def _deferred(body: Doc) -> LaterAnswer | None:
    """Read what xAI answers to `deferred`: https://docs.x.ai/docs/guides/deferred-chat-completions."""
    id = text(body.get("request_id"))
    return LaterAnswer(id, AnswerState.OPEN) if id else None


def _unusual(usage: Doc) -> Usage | None:
    """Read a usage under any host's names; None if it has no counts."""
    known = tokens(usage) if usage else None
    if known and not (known.prompt or known.completion) and all(usage.get(name) is None for name in _EITHER):
        # a total alone does not say what it is the total of
        return None
    return plus(known, usage_fees(usage)) if known and has_fees(usage) else known


def _choice_usage(body: Doc) -> Doc:
    """The usage that Moonshot puts into the choice: https://platform.moonshot.ai/docs/api/chat."""
    for choice in items(body.get("choices")):
        if type(choice) is dict and type(usage := choice.get("usage")) is dict:
            return usage
    return {}


def _responded(body: Doc) -> Reading:
    """What a response says, with the tools that ran inside it."""
    reading = read(body)
    if body.get("background") or (reading.usage is None and body.get("status")):
        reading = reading._replace(later=_background(body, used=reading.usage is not None))
    tools = body.get("tool_usage")
    if reading.usage is None or type(tools) is not dict:
        return reading
    own = plus(reading.usage, tool_fees(tools))
    drawn = image_tokens(mapping(tools.get(IMAGES)))
    if not drawn.total:
        return reading._replace(usage=own)
    hosted = (mapping(each) for each in items(body.get("tools")))
    model = next((text(each.get("model")) for each in hosted if each.get("type") == "image_generation"), None)
    # without its model, what it costs is unknown
    images = Charge(model, drawn if model else plus(drawn, {"tool_use": 1}))
    return reading._replace(usage=add((own, drawn)), charges=(Charge(None, own), images))


def _background(body: Doc, *, used: bool) -> LaterAnswer | None:
    """Read the state of a response: https://platform.openai.com/docs/guides/background."""
    id, state = text(body.get("id")), state_of(body.get("status"), used=used)
    # in a piece of a long answer, the last id may be that of an item
    known = id is not None and id.startswith("resp") and state is not None
    return LaterAnswer(id or "", state, body.get("background") is True) if known and state else None


def _embeddings(body: Doc) -> Reading:
    usage = mapping(body.get("usage"))
    if usage.get("total_tokens"):
        # https://docs.voyageai.com/reference/embeddings-api: only the total, all of which is input
        return read({**body, "usage": {**usage, "prompt_tokens": usage["total_tokens"]}})
    return read(body)


def chunk(event: Doc) -> Doc:
    """Turn a chunk of a streamed completion into a part of it."""
    # Groq puts a stream's usage under a key of its own
    usage = event.get("usage") or mapping(event.get("x_groq")).get("usage") or _choice_usage(event) or None
    return {
        "usage": usage,
        "model": event.get("model"),
        "service_tier": event.get("service_tier"),
        "error": event.get("error"),
    }


def stopped(event: Doc) -> bool:
    """Whether a chunk ends a streamed completion: `[DONE]`, why each choice of it stopped, or the usage alone."""
    if event is DONE:
        return True
    choices = event.get("choices")
    if not isinstance(choices, list):
        return False
    if not choices:
        return isinstance(event.get("usage"), dict)
    return all(mapping(choice).get("finish_reason") for choice in choices)


def _response(event: Doc) -> Doc:
    if event.get("type") == "error":
        return {"error": event}
    return mapping(event.get("response")) or event


_LAST_EVENTS = ("response.completed", "response.failed", "response.incomplete", "error")
_FIELDS = ("usage", "model", "service_tier", "error")
# Azure: /openai/deployments/NAME/…, the deployment is what is asked for; long ago OpenAI's own engines were
_DEPLOYMENT = r"(?:/(?:deployments|engines)/(?P<model>[^/]+)(?:/extensions)?)?"

# https://platform.openai.com/docs/api-reference: reasoning models take the second name only
_HOSTS: Final = (
    ("api.openai.com", "openai"),
    ("openai.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("azure-api.net", "azure"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("api.eu.mistral.ai", "mistral"),
    ("api.us.mistral.ai", "mistral"),
    ("api.deepseek.com", "deepseek"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.x.ai", "x-ai"),
    ("openrouter.ai", "openrouter"),
    ("api.perplexity.ai", "perplexity"),
    ("localhost:1234", "lmstudio"),
    ("127.0.0.1:1234", "lmstudio"),
    ("router.huggingface.co", "huggingface"),
    ("api.cerebras.ai", "cerebras"),
    ("api.fireworks.ai", "fireworks"),
    ("api.moonshot.ai", "moonshotai"),
    ("api.z.ai", "zai"),
    ("api.writer.com", "writer"),
    ("api.voyageai.com", "voyageai"),
)
# the weights of the other models are the estimator's defaults; this one counts images otherwise
_MINI: Final = ModelFamily(re.compile("4o-mini"), 0.97, 0.55, 3, 4, 0, 1, 7, 1, tiles(2833, 5667))
# DeepSeek, Groq and OpenRouter have names of their own for reasoning
COMPLETION: Final = COMPLETION_NAMES | {"refusal", "reasoning", "reasoning_content", "thinking", "arguments", "input"}
# https://platform.openai.com/docs/api-reference/responses: what the code interpreter runs
_RESPONSE: Final = COMPLETION | {"code"}
TIER: Final = (("service_tier",),)
PROMPT: Final = PromptNames(messages=("messages",))
_RESPONSES_PROMPT = PromptNames(("input",), ("instructions",), ("prompt",))
MAX_TOKENS: Final = (("max_tokens",), ("max_completion_tokens",))


def refusal(message: str) -> Doc:
    """Return the body of an error: https://platform.openai.com/docs/guides/error-codes."""
    return {"error": {"message": message, "type": "insufficient_quota", "param": None, "code": "budget_exceeded"}}


def _xai_refusal(message: str) -> Doc:
    # https://docs.x.ai/docs/key-information/debugging
    return {"code": "Some resource has been exhausted", "error": message}


FORMATS = (
    Format(
        id="openai.chat",
        vendor="openai",
        # Writer has a path of its own for it
        path=re.compile(_DEPLOYMENT + r"/chat/completions/?$|^api\.writer\.com/v1/chat$"),
        fields=_FIELDS,
        short_at_ends=True,
        members=("choices", "output"),
        read=read,
        part=chunk,
        ended=stopped,
        usage_on_request=True,
        prompt_names=PROMPT,
        refusal=refusal,
        output_limits=MAX_TOKENS,
        answer_counts=(("n",),),
        completion_names=COMPLETION,
        families=(_MINI,),
        hosts=_HOSTS,
        example="/v1/chat/completions",
        note="other hosts have other names for the cache and other counts; xAI's `deferred` answers come later",
        tier_names=TIER,
        fetched=re.compile(r"/chat/deferred-completion/(?P<id>[^/]+)/?$"),
    ),
    Format(
        id="openai.responses",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/responses(?:/compact)?/?$"),
        fields=("usage", "model", "tool_usage", "tools", "service_tier", "id", "status", "background", "error"),
        members=("output", "status"),
        read=_responded,
        part=_response,
        ended=lambda event: event.get("type") in _LAST_EVENTS,
        prompt_names=_RESPONSES_PROMPT,
        refusal=refusal,
        output_limits=(("max_output_tokens",),),
        completion_names=_RESPONSE,
        example="/v1/responses",
        note="the usage stands in the last event; with `background`, in the answer that is fetched",
        tier_names=TIER,
        fetched=re.compile(r"/responses/(?P<id>[^/]+)(?:/cancel)?/?$"),
    ),
    Format(
        id="openai.completions",
        vendor="openai",
        path=re.compile(_DEPLOYMENT + r"/completions/?$|/v1/edits$"),
        fields=_FIELDS,
        members=("choices", "text"),
        read=read,
        part=chunk,
        ended=stopped,
        usage_on_request=True,
        prompt_names=PromptNames(texts=("prompt", "input", "instruction")),
        refusal=refusal,
        output_limits=MAX_TOKENS,
        answer_counts=(("n",), ("best_of",)),
        completion_names=COMPLETION,
        plain_prompt=True,
        example="/v1/completions",
        note="text in, text out",
        tier_names=TIER,
    ),
    Format(
        id="openai.embeddings",
        vendor="openai",
        # Voyage has more kinds of them; Ollama's own are at /api, watsonx' at /text
        path=re.compile(_DEPLOYMENT + r"(?<!/api)(?<!/text)/(?:multimodal|contextualized)?embeddings/?$"),
        fields=_FIELDS,
        members=("data", "embeddings"),
        read=_embeddings,
        prompt_names=PromptNames(texts=("input", "inputs")),
        refusal=refusal,
        output_limits=NO_COMPLETION,
        plain_prompt=True,
        example="/v1/embeddings",
        note="Voyage sends a total only, all of it prompt",
        tier_names=TIER,
    ),
    # https://platform.openai.com/docs/api-reference/responses/input-tokens
    counter("openai", r"/responses/input_tokens/?$", "/v1/responses/input_tokens", refusal, _RESPONSES_PROMPT),
    # xAI speaks OpenAI's formats, and has this path of its own
    counter("x-ai", r"/v1/tokenize-text/?$", "/v1/tokenize-text", _xai_refusal, PromptNames(texts=("text",))),
)
