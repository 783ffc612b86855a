"""The simulated provider's answers in each provider's own shape: a whole body, or a stream's events."""

from llmmetrics.testing.shapes import anthropic, cohere, gemini, ollama, openai
from llmmetrics.testing.shapes.base import Shape

SHAPES: tuple[Shape, ...] = (
    *openai.SHAPES,
    *anthropic.SHAPES,
    *gemini.SHAPES,
    *cohere.SHAPES,
    *ollama.SHAPES,
)
"""By the end of the path, so that any prefix will do: /openai/v1/chat/completions."""

__all__ = ["SHAPES", "Shape"]
