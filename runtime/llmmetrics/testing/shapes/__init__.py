"""The simulated provider's answers in each provider's own shape: a whole body, or a stream's events."""

from llmmetrics.testing.shapes import (
    anthropic,
    batches,
    bedrock,
    cohere,
    cohere_v1,
    gemini,
    interactions,
    invoke,
    media,
    ollama,
    openai,
    realtime,
    vertex,
    voyage,
    watsonx,
    xai,
)
from llmmetrics.testing.shapes.base import Shape

SHAPES: list[Shape] = [
    # before OpenAI, which answers its other paths of embeddings
    *voyage.SHAPES,
    # before those of Gemini and Anthropic, which answer the same formats on their own hosts
    *vertex.SHAPES,
    *openai.SHAPES,
    *realtime.SHAPES,
    *media.SHAPES,
    *anthropic.SHAPES,
    *gemini.SHAPES,
    *interactions.SHAPES,
    *cohere.SHAPES,
    *cohere_v1.SHAPES,
    *bedrock.SHAPES,
    *invoke.SHAPES,
    *ollama.SHAPES,
    *xai.SHAPES,
    *watsonx.SHAPES,
    *batches.SHAPES,
]
"""The first row with the request's format and a matching path answers. A path may have any prefix."""

__all__ = ["SHAPES", "Shape"]
