"""The application under test in the examples: one that knows nothing of llmmetrics."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai

ASK = "Summarise in one sentence: "


class Summariser:
    """Asks OpenAI's model, or Anthropic's where a second opinion is wanted."""

    def __init__(self, client: openai.OpenAI, other: anthropic.Anthropic) -> None:
        self.client = client
        self.other = other

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

    def second_opinion(self, text: str) -> str:
        """One call of the other model."""
        answer = self.other.messages.create(
            model="claude-haiku-4-5", messages=[{"role": "user", "content": ASK + text}], max_tokens=100
        )
        return "".join(block.text for block in answer.content if block.type == "text")


async def summarise(client: openai.AsyncOpenAI, text: str) -> str:
    """One call, async."""
    answer = await client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": ASK + text}], max_tokens=100
    )
    return answer.choices[0].message.content or ""
