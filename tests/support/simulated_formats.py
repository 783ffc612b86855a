"""A request in every format of the simulated provider, and what its shape can say."""

from __future__ import annotations

import json
from dataclasses import replace

from llmmetrics import wire
from llmmetrics.testing import Answer, Reply, Request, reply
from llmmetrics.testing.simulator import shape_of

ANSWER = Answer("one two three", prompt_tokens=120, completion_tokens=30, model="answered")

ASK = [{"role": "user", "content": "count"}]

ASKED = {"stream_options": {"include_usage": True}}

VERTEX = "/vertex/v1/projects/p/locations/l/publishers"

Row = tuple[str, dict, bool | None]
"""Path, request, and whether the request asks for a stream: it may, it cannot; None: its path does."""


ELSEWHERE = "/elsewhere"
"""Where a test that uses formats of some providers alone configures a backend of no known provider."""


def plain(format: wire.Format) -> Row:
    """The row of a format: a request to its example."""
    assert format.example, f"{format.id} has no example: write a path that it claims"
    path = format.example.replace("MODEL", "m")
    shape = shape_of(Request("POST", path))
    assert shape, f"{format.id} has no shape at {path}: add a row to runtime/llmmetrics/testing/shapes"
    names = format.prompt_names or wire.prompt_names(format)
    prompt = {names.messages[0]: ASK} if names.messages else {names.texts[0]: "p"}
    asked = ASKED if format.usage_on_request else {}
    return (
        (f"{ELSEWHERE}{path}" if format.providers else path),
        {format.model_names[0]: "m", **prompt, **asked},
        shape.events is not None and "stream" not in format.path.groupindex,
    )


# by the format's id and what is special: another path, another body of the same format
VARIANTS: dict[str, Row] = {
    "openai.chat azure": ("/openai/deployments/m/chat/completions", {"messages": ASK, **ASKED}, True),
    "openai.embeddings voyage": ("/voyage/v1/embeddings", {"model": "m", "input": ["a", "b"]}, False),
    "openai.embeddings multimodal": ("/v1/multimodalembeddings", {"model": "m", "inputs": [{"content": []}]}, False),
    "openai.embeddings in context": ("/v1/contextualizedembeddings", {"model": "m", "inputs": [["a", "b"]]}, False),
    "anthropic.count_tokens vertex": (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", {"model": "m"}, False),
    "gemini.generate sse": ("/gemini/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": []}, None),
    "gemini.generate array": ("/gemini/v1beta/models/m:streamGenerateContent", {"contents": []}, None),
    "gemini.generate vertex": (f"{VERTEX}/google/models/m:generateContent", {"contents": []}, False),
    "gemini.generate vertex sse": (f"{VERTEX}/google/models/m:streamGenerateContent?alt=sse", {"contents": []}, None),
    "gemini.embed batch": ("/gemini/v1beta/models/m:batchEmbedContents", {"requests": [{}, {}]}, False),
    "gemini.count_tokens vertex": (f"{VERTEX}/google/models/m:computeTokens", {"contents": []}, False),
    "vertex.predict text": (f"{VERTEX}/google/models/text-bison:predict", {"instances": [{"prompt": "p"}]}, False),
    "vertex.anthropic stream": (f"{VERTEX}/anthropic/models/m:streamRawPredict", {"messages": ASK}, None),
    "vertex.chat stream": (f"{VERTEX}/mistralai/models/m:streamRawPredict", {"model": "m", "messages": ASK}, None),
    "cohere.v1.chat generate": ("/cohere/v1/generate", {"model": "m", "prompt": "p"}, True),
    "cohere.embed v1": ("/cohere/v1/embed", {"model": "m", "texts": ["a", "b"]}, False),
    "rerank voyage": ("/voyage/v1/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}, False),
    "bedrock.converse stream": ("/model/m/converse-stream", {"messages": []}, None),
    **{
        f"bedrock.invoke {maker} {kind}": (f"/model/{maker}.m/invoke{end}", {"prompt": "p"}, None if end else False)
        for maker in ("us.anthropic", "amazon.nova", "amazon.titan", "meta.llama", "cohere.command", "openai")
        for kind, end in (("whole", ""), ("stream", "-with-response-stream"))
    },
    "bedrock.invoke embed titan": ("/model/amazon.titan-embed.m/invoke", {"inputText": "a"}, False),
    "bedrock.invoke embed cohere": ("/model/cohere.embed.m/invoke", {"texts": ["a", "b"]}, False),
    "watsonx.generate stream": ("/ml/v1/text/generation_stream", {"model_id": "m", "input": "p"}, None),
    "watsonx.chat stream": ("/ml/v1/text/chat_stream", {"model_id": "m", "messages": ASK}, None),
}


SIMULATED = [each for each in wire.FORMATS if each.billing in {wire.Billing.READ, wire.Billing.FREE}]
"""The formats whose answers the simulated provider has: with usage, or free."""

FORMATS: dict[str, Row] = {each.id: plain(each) for each in SIMULATED if not each.deferred} | VARIANTS

HOSTS = {"mistral.conversations": "api.mistral.ai", "decisions": "api.openai.com"}
"""The hosts of formats that are claimed at their providers alone."""


def url(name: str) -> str:
    """Where a row's request goes."""
    return f"https://{HOSTS.get(name.partition(' ')[0], 'provider.example')}{FORMATS[name][0]}"


def shape(name):
    path, _, query = FORMATS[name][0].partition("?")
    return shape_of(Request("POST", path, query))


def answered(row):
    """Each format has each answer, and each case one."""
    name, stream, answer = row
    return {(shape(name).id, answer), (name, stream)}


def simulated(name: str, answer: Answer, *, stream: bool = False) -> Reply:
    """What the simulator sends to the request of a row."""
    where, body, streams = FORMATS[name]
    path, _, query = where.partition("?")
    fields = {**body, "stream": stream} if streams else body
    return reply(Request("POST", path, query, body=json.dumps(fields).encode()), answer)


def says(name: str, *, stream: bool = False, **change: object) -> bool:
    """Whether an answer in this row's shape says this value of the script, where a meter looks for it."""
    usual = simulated(name, ANSWER, stream=stream)
    changed = simulated(name, replace(ANSWER, **change), stream=stream)
    # a count in the headers is read if the body has none
    counted = simulated(name, replace(ANSWER, prompt_tokens=121), stream=stream).chunks != usual.chunks
    return usual.chunks != changed.chunks if counted else usual != changed
