"""The application under test in the examples: one that knows nothing of llmmetrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import openai

if TYPE_CHECKING:
    import anthropic

ASK = "Summarise in one sentence: "


class Summariser:
    """Asks OpenAI's model."""

    def __init__(self, client: openai.OpenAI) -> None:
        self.client = client

    def summarise(self, text: str) -> str:
        """One call."""
        answer = self.client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": ASK + text}], max_tokens=100
        )
        return answer.choices[0].message.content or ""

    def stream(self, text: str) -> Iterator[str]:
        """One call, piece by piece."""
        with self.client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": ASK + text}],
            stream=True,
            stream_options={"include_usage": True},
        ) as events:
            for event in events:
                if event.choices and (piece := event.choices[0].delta.content):
                    yield piece


async def summarise(client: openai.AsyncOpenAI, text: str) -> str:
    """One call, async."""
    answer = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": ASK + text}], max_tokens=100
    )
    return answer.choices[0].message.content or ""


def second_opinion(client: anthropic.Anthropic, text: str) -> str:
    """One call of Anthropic's model."""
    answer = client.messages.create(
        model="claude-haiku-4-5", messages=[{"role": "user", "content": ASK + text}], max_tokens=100
    )
    return "".join(block.text for block in answer.content if block.type == "text")
