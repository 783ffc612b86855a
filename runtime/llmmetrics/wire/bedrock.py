"""Amazon Bedrock: Converse, which is the same for every model, and InvokeModel, which is each model's own.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and …/API_runtime_InvokeModel.html;
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html has the models' own bodies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from llmmetrics.wire import anthropic, openai
from llmmetrics.wire.families import ModelFamily
from llmmetrics.wire.format import (
    COMPLETION_NAMES,
    MOST,
    Format,
    MalformedUsageError,
    PromptNames,
    Reading,
    count,
    counter,
    items,
    mapping,
    text,
    wire_cost,
)
from llmmetrics.wire.framing.frames import Doc
from llmmetrics.wire.tiers import tier_of
from llmmetrics.wire.usage import Usage, usage_of

_METRICS = "amazon-bedrock-invocationMetrics"
"""The field that Bedrock adds to the last chunk of every model's stream."""

_HEADER = "x-amzn-bedrock-{}-token-count"


def tokens(usage: Doc) -> Usage:
    """Return the buckets of a TokenUsage. `inputTokens` does not include cache reads and writes.

    https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html; Nova's own bodies
    have other names for the cache.
    """
    written = count(usage.get("cacheWriteInputTokens") or usage.get("cacheWriteInputTokenCount"))
    details = [mapping(each) for each in items(usage.get("cacheDetails"))]
    for_an_hour = min(sum(count(each.get("inputTokens")) for each in details if each.get("ttl") == "1h"), written)
    return usage_of(
        {
            "input": count(usage.get("inputTokens")),
            "cache_read": count(usage.get("cacheReadInputTokens") or usage.get("cacheReadInputTokenCount")),
            "cache_write": written - for_an_hour,
            "cache_write_1h": for_an_hour,
            "output": count(usage.get("outputTokens")),
        }
    )


def _counted(said: Callable[[str], object]) -> Usage | None:
    """Return the buckets of Bedrock's own counts; `said` returns the count of one kind."""
    kinds = {"input": "input", "output": "output", "cache_read": "cache-read-input", "cache_write": "cache-write-input"}
    found = {bucket: said(kind) for bucket, kind in kinds.items()}
    if found["input"] is None and found["output"] is None:
        return None
    return usage_of({bucket: count(n) for bucket, n in found.items()})


def _headers(headers: Mapping[str, str]) -> Usage | None:
    def said(kind: str) -> int | None:
        value = headers.get(_HEADER.format(kind))
        if value is None:
            return None
        if not value.isdecimal() or len(value) > len(str(MOST)):
            raise MalformedUsageError
        return int(value)

    return _counted(said)


def _tier(headers: Mapping[str, str]) -> str | None:
    return tier_of(headers.get("x-amzn-bedrock-service-tier"), headers.get("x-amzn-bedrock-performanceconfig-latency"))


def _metrics(body: Doc) -> Usage | None:
    said = mapping(body.get(_METRICS))
    names = {
        "input": "inputTokenCount",
        "output": "outputTokenCount",
        "cache-read-input": "cacheReadInputTokenCount",
        "cache-write-input": "cacheWriteInputTokenCount",
    }
    return _counted(lambda kind: said.get(names[kind]))


def _llama(body: Doc) -> Usage:
    return usage_of(
        {"input": count(body.get("prompt_token_count")), "output": count(body.get("generation_token_count"))}
    )


def _titan(body: Doc) -> Usage:
    results = [mapping(each) for each in items(body.get("results"))]
    output = sum(count(each.get("tokenCount")) for each in results)
    return usage_of({"input": count(body.get("inputTextTokenCount")), "output": output})


_OWN: dict[str, Callable[[Doc], Usage]] = {"prompt_token_count": _llama, "inputTextTokenCount": _titan}
"""How to read the bodies that have no `usage`, by a field that they have."""


def _converse(body: Doc) -> Reading:
    usage = mapping(body.get("usage"))
    known = "inputTokens" in usage or "outputTokens" in usage
    # a prompt router says which model it chose
    router = mapping(mapping(body.get("trace")).get("promptRouter"))
    return Reading(
        model=text(router.get("invokedModelId")),
        usage=tokens(usage) if known else None,
        wire_cost=wire_cost(usage),
        error=body.get("error"),
        tier=tier_of(
            mapping(body.get("serviceTier")).get("type"), mapping(body.get("performanceConfig")).get("latency")
        ),
    )


def _invoke(body: Doc) -> Reading:
    usage = mapping(body.get("usage"))
    if "inputTokens" in usage:
        return _converse(body)
    if "prompt_tokens" in usage:
        return openai.read(body)
    reading = anthropic.read(body)
    if reading.usage is not None:
        return reading
    own = next((read(body) for name, read in _OWN.items() if name in body), None)
    return reading._replace(usage=_metrics(body) if own is None else own)


def _converse_part(event: Doc) -> Doc:
    return {**mapping(event.get("metadata")), "error": event.get("error")}


def _invoke_part(event: Doc) -> Doc:
    """Return a part of the maker's body from a chunk, with Bedrock's own counts."""
    part = mapping(event.get("metadata")) or anthropic.part(event)
    return {**part, "model": part.get("model") or event.get("model"), _METRICS: event.get(_METRICS)}


# the model's id is an ARN where it is a profile, with slashes in it; images and videos are no calls
_MODEL = r"/model/(?!stability\.|amazon\.titan-image|amazon\.nova-(?:canvas|reel))(?P<model>.+)/"

# with a region in the middle: https://docs.aws.amazon.com/general/latest/gr/bedrock.html, and a VPC's own endpoints
_HOSTS = (
    (re.compile(r"(^|\.)bedrock-(runtime|mantle)(-fips)?\.[\w-]+\.(vpce\.)?(amazonaws\.com|api\.aws)"), "aws-bedrock"),
)
_FAMILIES = (
    ModelFamily(re.compile("nova"), 1.0, 1.0, 0, 1, 600, 20, 9, 2),
    ModelFamily(re.compile("llama"), 1.0, 1.0, 15, 5, 250, 20, 20, 2),
)
# a streamed call of a tool has its arguments in a string
_CONVERSE_COMPLETION = COMPLETION_NAMES | {"input"}
# Llama's, Titan's and the legacy Claude's names, and those of the makers whose API it is elsewhere
_INVOKE_COMPLETION = frozenset({"generation", "outputText", "completion", *anthropic.COMPLETION, *openai.COMPLETION})
_TIER = (("serviceTier", "type"), ("performanceConfig", "latency"))
_CONVERSE_LIMIT = ("inferenceConfig", "maxTokens")
_LLAMA_LIMIT = ("max_gen_len",)
_TITAN_LIMIT = ("textGenerationConfig", "maxTokenCount")
# the makers' own bodies; Nova's has Converse's name, and makers not named here have Anthropic's or OpenAI's
_INVOKE_PROMPT = PromptNames(
    ("messages", "message", "chat_history", "input"),
    ("system", "preamble"),
    ("prompt", "inputText", "texts", "inputs", "query", "documents", "images", "singleEmbeddingParams"),
)
_INVOKE_LIMITS = (
    *(*openai.MAX_TOKENS, *anthropic.MAX_TOKENS_TO_SAMPLE),
    *(_LLAMA_LIMIT, _TITAN_LIMIT, _CONVERSE_LIMIT),
)


def refusal(message: str) -> Doc:
    """Return the body of an error."""
    return {"message": message}


# https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization: the name stands in a
# header. Of Bedrock's exceptions for a limit, this is the one that botocore does not retry
_REFUSAL_HEADERS = (("x-amzn-errortype", "ServiceQuotaExceededException"),)

FORMATS = (
    Format(
        id="bedrock.converse",
        vendor="aws-bedrock",
        path=re.compile(_MODEL + r"converse(?P<stream>-stream)?$"),
        fields=("usage", "trace", "serviceTier", "performanceConfig", "error"),
        members=("output", "stopReason"),
        read=_converse,
        part=_converse_part,
        # its usage comes after the event that says why it stopped
        ended=lambda event: not {"messageStop", "metadata", "error"}.isdisjoint(event),
        prompt_names=PromptNames(messages=("messages",), system=("system",)),
        refusal=refusal,
        refusal_headers=_REFUSAL_HEADERS,
        output_limits=(_CONVERSE_LIMIT,),
        completion_names=_CONVERSE_COMPLETION,
        families=_FAMILIES,
        hosts=_HOSTS,
        example="/model/MODEL/converse",
        note="a stream is an AWS event stream; `inputTokens` does not include the cache",
        tier_names=_TIER,
    ),
    Format(
        id="bedrock.invoke",
        vendor="aws-bedrock",
        path=re.compile(_MODEL + r"invoke(?P<stream>-with-response-stream)?$"),
        fields=("usage", "model", _METRICS, "error"),
        read=_invoke,
        part=_invoke_part,
        ended=lambda event: _METRICS in event or "error" in event or anthropic.ended(event),
        headers=_headers,
        tier=_tier,
        prompt_names=_INVOKE_PROMPT,
        refusal=refusal,
        refusal_headers=_REFUSAL_HEADERS,
        output_limits=_INVOKE_LIMITS,
        answer_counts=(("n",), ("num_generations",)),
        completion_names=_INVOKE_COMPLETION,
        example="/model/MODEL/invoke",
        note="the models' own bodies; for some models only headers carry the counts",
        tier_names=(*_TIER, *anthropic.TIER),
    ),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html
    counter(
        "aws-bedrock",
        r"/model/(?P<model>.+)/count-tokens$",
        "/model/MODEL/count-tokens",
        refusal,
        PromptNames(texts=("input",)),
    )._replace(refusal_headers=_REFUSAL_HEADERS),
)
