"""The simulated provider's answers in each provider's own shape: a whole body, or a stream's events."""

from llmmetrics.testing.shapes import (
    anthropic,
    bedrock,
    cohere,
    gemini,
    invoke,
    ollama,
    openai,
)
from llmmetrics.testing.shapes.base import Shape

SHAPES: tuple[Shape, ...] = (
    *openai.SHAPES,
    *anthropic.SHAPES,
    *gemini.SHAPES,
    *cohere.SHAPES,
    *bedrock.SHAPES,
    *invoke.SHAPES,
    *ollama.SHAPES,
)
"""The first whose format has the request, and whose path is found in it, answers: any prefix of a path will do."""

__all__ = ["SHAPES", "Shape"]
