"""What the examples' tests share: the application, and the backends that it has in production."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import openai
import pytest
from summariser import Summariser

if TYPE_CHECKING:
    import anthropic


@pytest.fixture
def llm_settings() -> dict[str, Any]:
    """The backends and their prices, as production has them."""
    return {
        "Backends": [
            {
                "Name": "openai-primary",
                "Type": "OpenAI",
                "ModelName": "gpt-4o-mini",
                "CostPerMillionInputTokens": 0.15,
                "CostPerMillionOutputTokens": 0.60,
            },
            {"Name": "anthropic-claude", "Type": "Anthropic", "ModelName": "claude-haiku-4-5"},
        ]
    }


@pytest.fixture
def app() -> Iterator[Summariser]:
    """The application, whose SDK tries once."""
    with openai.OpenAI(api_key="no-key", max_retries=0) as client:
        yield Summariser(client)


@pytest.fixture
def claude() -> Iterator[anthropic.Anthropic]:
    """The other provider's SDK, which tries once; not every application has it."""
    sdk = pytest.importorskip("anthropic", reason="needs another SDK: pip install anthropic")
    with sdk.Anthropic(api_key="no-key", max_retries=0) as client:
        yield client
