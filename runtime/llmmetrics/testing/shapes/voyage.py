"""Voyage's shapes. They carry one count, all of it prompt.

https://docs.voyageai.com/reference/embeddings-api, https://docs.voyageai.com/reference/multimodal-embeddings-api,
https://docs.voyageai.com/reference/contextualized-embeddings-api, https://docs.voyageai.com/reference/reranker-api.
"""

from __future__ import annotations

import re

from llmmetrics.testing.messages.model import Answer, Request
from llmmetrics.testing.messages.provider_errors import NO_FILTER, ProviderErrors, wrapped
from llmmetrics.testing.shapes.base import VECTOR, Doc, Shape, inputs, model, with_usage


def _list(request: Request, answer: Answer, data: list[Doc]) -> Doc:
    doc = {"object": "list", "data": data, "model": model(request, answer)}
    return with_usage(doc, answer, "usage", {"total_tokens": answer.prompt_tokens})


def _vectors(texts: list[object]) -> list[Doc]:
    return [{"object": "embedding", "index": at, "embedding": VECTOR} for at, _ in enumerate(texts)]


def _embeddings(request: Request, answer: Answer) -> Doc:
    return _list(request, answer, _vectors(inputs(request, "input", "inputs")))


def _contextualized(request: Request, answer: Answer) -> Doc:
    documents = inputs(request, "inputs")
    data = [
        {"object": "list", "index": at, "data": _vectors(each if isinstance(each, list) else [each])}
        for at, each in enumerate(documents)
    ]
    return _list(request, answer, data)


def _rerank(request: Request, answer: Answer) -> Doc:
    ranked = [{"index": at, "relevance_score": 0.5} for at, _ in enumerate(inputs(request, "documents"))]
    return _list(request, answer, ranked)


ERRORS = ProviderErrors(
    "voyage",
    {},
    lambda _http, _code, message: {"detail": message},
    cannot=NO_FILTER | {"overloaded"},
    in_band=wrapped,
)


SHAPES = (
    Shape("openai.embeddings", ERRORS, _contextualized, path=re.compile(r"/contextualizedembeddings/?$")),
    Shape("openai.embeddings", ERRORS, _embeddings, path=re.compile(r"/multimodalembeddings/?$|voyage.*/embeddings")),
    Shape("rerank", ERRORS, _rerank, path=re.compile(r"voyage.*/rerank/?$")),
)
