"""What a family of models adds to the tokens of plain text, and how it counts images."""

import re
from collections.abc import Callable
from math import ceil
from typing import NamedTuple


def tiles(base: int, tile: int) -> Callable[[int, int], float]:
    """https://platform.openai.com/docs/guides/images-vision: tiles of 512 pixels, the short side at most 768."""

    def image(width: int, height: int) -> float:
        if not width or not height:
            width = height = 1024
        scale = min(1.0, 2048 / max(width, height))
        scale *= min(1.0, 768 / (min(width, height) * scale))
        return base + tile * ceil(width * scale / 512) * ceil(height * scale / 512)

    return image


def area(width: int, height: int) -> float:
    """https://docs.anthropic.com/en/docs/build-with-claude/vision: 750 pixels a token, at most 1568 pixels a side."""
    if not width or not height:
        return 1500
    scale = min(1.0, 1568 / max(width, height))
    return min(1600.0, width * height * scale * scale / 750)


def crops(width: int, height: int) -> float:
    """https://ai.google.dev/gemini-api/docs/image-understanding: 258 tokens a tile of 768 pixels, at most 16."""
    if max(width, height) <= 384:
        return 258
    return 258 * min(ceil(width / 768), 4) * min(ceil(height / 768), 4)


class ModelFamily(NamedTuple):
    """The tokens of one family of models."""

    names: re.Pattern[str] | None
    """Searched in the names of models and vendors, in lower case."""
    text: float
    """For each token of text by the weights."""
    schema: float
    """The same for the JSON of tools and of the answer's form."""
    base: float
    """Of each prompt that has messages."""
    turn: float
    """Of each message."""
    tools: float
    """Of a prompt that has tools."""
    tool: float
    """Of each tool."""
    call: float
    """Of each call of a tool in the completion, besides its name and arguments."""
    end: float
    """Of each completion, besides its text."""
    image: Callable[[int, int], float] = area
    """Of an image, by its width and height in pixels; 0 if they are not known."""
    page: float = 300
    """Of each page of a document."""
    audio: float = 10
    """A second."""
    video: float = 260
    """A second."""

    def has(self, name: str) -> bool:
        """Return whether a model or vendor of this name, in lower case, is of the family."""
        return self.names is not None and self.names.search(name) is not None
