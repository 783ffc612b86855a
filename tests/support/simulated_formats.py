"""A request in every format of the simulated provider."""

from __future__ import annotations

from llmmetrics.testing import Answer, Request
from llmmetrics.testing.simulator import shape_of

ANSWER = Answer("one two three", prompt_tokens=120, completion_tokens=30, model="answered")

ASK = [{"role": "user", "content": "count"}]

ASKED = {"stream_options": {"include_usage": True}}

VERTEX = "/vertex/v1/projects/p/locations/l/publishers"

# by the runtime's format: path, request, whether it can stream; None: the path says which
FORMATS: dict[str, tuple[str, dict, bool | None]] = {
    "openai.chat": ("/openai/v1/chat/completions", {"model": "m", "messages": ASK, **ASKED}, True),
    "openai.chat azure": ("/openai/deployments/m/chat/completions", {"messages": ASK, **ASKED}, True),
    "openai.completions": ("/openai/v1/completions", {"model": "m", "prompt": "p", **ASKED}, True),
    "openai.responses": ("/openai/v1/responses", {"model": "m", "input": "i"}, True),
    "openai.embeddings": ("/openai/v1/embeddings", {"model": "m", "input": ["a", "b"]}, False),
    "openai.embeddings voyage": ("/voyage/v1/embeddings", {"model": "m", "input": ["a", "b"]}, False),
    "openai.embeddings multimodal": ("/v1/multimodalembeddings", {"model": "m", "inputs": [{"content": []}]}, False),
    "openai.embeddings in context": ("/v1/contextualizedembeddings", {"model": "m", "inputs": [["a", "b"]]}, False),
    "openai.count_tokens": ("/openai/v1/responses/input_tokens", {"model": "m", "input": "i"}, False),
    "anthropic.messages": ("/anthropic/v1/messages", {"model": "m", "messages": ASK, "max_tokens": 9}, True),
    "anthropic.complete": ("/anthropic/v1/complete", {"model": "m", "prompt": "p", "max_tokens_to_sample": 9}, True),
    "anthropic.count_tokens": ("/anthropic/v1/messages/count_tokens", {"model": "m", "messages": ASK}, False),
    "anthropic.count_tokens vertex": (f"{VERTEX}/anthropic/models/count-tokens:rawPredict", {"model": "m"}, False),
    "gemini.generate": ("/gemini/v1beta/models/m:generateContent", {"contents": []}, False),
    "gemini.generate sse": ("/gemini/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": []}, None),
    "gemini.generate array": ("/gemini/v1beta/models/m:streamGenerateContent", {"contents": []}, None),
    "gemini.generate vertex": (f"{VERTEX}/google/models/m:generateContent", {"contents": []}, False),
    "gemini.generate vertex sse": (f"{VERTEX}/google/models/m:streamGenerateContent?alt=sse", {"contents": []}, None),
    "gemini.embed": ("/gemini/v1beta/models/m:embedContent", {"content": {}}, False),
    "gemini.embed batch": ("/gemini/v1beta/models/m:batchEmbedContents", {"requests": [{}, {}]}, False),
    "gemini.interactions": ("/gemini/v1beta/interactions", {"model": "m", "input": "i"}, True),
    "gemini.count_tokens": ("/gemini/v1beta/models/m:countTokens", {"contents": []}, False),
    "gemini.count_tokens vertex": (f"{VERTEX}/google/models/m:computeTokens", {"contents": []}, False),
    "vertex.predict embed": (f"{VERTEX}/google/models/text-embedding-9:predict", {"instances": [{}, {}, {}]}, False),
    "vertex.predict text": (f"{VERTEX}/google/models/text-bison:predict", {"instances": [{"prompt": "p"}]}, False),
    "vertex.anthropic": (f"{VERTEX}/anthropic/models/m:rawPredict", {"messages": ASK}, False),
    "vertex.anthropic stream": (f"{VERTEX}/anthropic/models/m:streamRawPredict", {"messages": ASK}, None),
    "vertex.chat": (f"{VERTEX}/mistralai/models/m:rawPredict", {"model": "m", "messages": ASK}, False),
    "vertex.chat stream": (f"{VERTEX}/mistralai/models/m:streamRawPredict", {"model": "m", "messages": ASK}, None),
    "cohere.v2.chat": ("/cohere/v2/chat", {"model": "m", "messages": ASK}, True),
    "cohere.v1.chat": ("/cohere/v1/chat", {"model": "m", "message": "count"}, True),
    "cohere.v1.chat generate": ("/cohere/v1/generate", {"model": "m", "prompt": "p"}, True),
    "cohere.embed": ("/cohere/v2/embed", {"model": "m", "texts": ["a", "b"]}, False),
    "cohere.embed v1": ("/cohere/v1/embed", {"model": "m", "texts": ["a", "b"]}, False),
    "cohere.count_tokens": ("/cohere/v1/tokenize", {"model": "m", "text": "t"}, False),
    "rerank": ("/cohere/v2/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}, False),
    "rerank voyage": ("/voyage/v1/rerank", {"model": "m", "query": "q", "documents": ["a", "b"]}, False),
    "bedrock.converse": ("/model/m/converse", {"messages": []}, False),
    "bedrock.converse stream": ("/model/m/converse-stream", {"messages": []}, None),
    **{
        f"bedrock.invoke {maker} {kind}": (f"/model/{maker}.m/invoke{end}", {"prompt": "p"}, None if end else False)
        for maker in ("us.anthropic", "amazon.nova", "amazon.titan", "meta.llama", "cohere.command", "openai")
        for kind, end in (("whole", ""), ("stream", "-with-response-stream"))
    },
    "bedrock.invoke embed titan": ("/model/amazon.titan-embed.m/invoke", {"inputText": "a"}, False),
    "bedrock.invoke embed cohere": ("/model/cohere.embed.m/invoke", {"texts": ["a", "b"]}, False),
    "aws-bedrock.count_tokens": ("/model/m/count-tokens", {"input": {}}, False),
    "ollama.chat": ("/ollama/api/chat", {"model": "m", "messages": ASK}, True),
    "ollama.generate": ("/ollama/api/generate", {"model": "m", "prompt": "p"}, True),
    "ollama.embed": ("/ollama/api/embed", {"model": "m", "input": ["a", "b"]}, False),
    "watsonx.generate": ("/ml/v1/text/generation", {"model_id": "m", "input": "p"}, False),
    "watsonx.generate stream": ("/ml/v1/text/generation_stream", {"model_id": "m", "input": "p"}, None),
    "watsonx.chat": ("/ml/v1/text/chat", {"model_id": "m", "messages": ASK}, False),
    "watsonx.chat stream": ("/ml/v1/text/chat_stream", {"model_id": "m", "messages": ASK}, None),
    "watsonx.embed": ("/ml/v1/text/embeddings", {"model_id": "m", "inputs": ["a", "b"]}, False),
    "x-ai.count_tokens": ("/v1/tokenize-text", {"model": "m", "text": "t"}, False),
}


def shape(name):
    path, _, query = FORMATS[name][0].partition("?")
    return shape_of(Request("POST", path, query))


def answered(row):
    """Each format has each answer, and each case one."""
    name, stream, answer = row
    return {(shape(name).id, answer), (name, stream)}
