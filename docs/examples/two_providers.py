"""Two providers behind one function: `python two_providers.py "Why is the sky blue?"`.

Needs LLM_BASE_URL and OPENAI_API_KEY, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY.
"""

import os
import sys
from typing import Any

import anthropic
import openai

import llmmetrics

meter = llmmetrics.Meter.from_settings(
    {
        "Backends": [
            {"Name": "gpt", "ModelName": "gpt-4o-mini", "BaseUrl": os.environ["LLM_BASE_URL"]},
            {
                "Name": "claude",
                "Type": "Anthropic",
                "ModelName": "claude-haiku-4-5",
                "BaseUrl": os.environ["ANTHROPIC_BASE_URL"],
            },
        ]
    }
)
gpt = meter.wrap(openai.OpenAI(base_url=os.environ["LLM_BASE_URL"], timeout=20, max_retries=0))
claude = meter.wrap(anthropic.Anthropic(timeout=20, max_retries=0))


def answer(question: str) -> str:
    """Return the answer of the first provider that answers."""
    messages: list[Any] = [{"role": "user", "content": question}]

    def ask_gpt() -> str | None:
        reply = gpt.chat.completions.create(model="gpt-4o-mini", max_tokens=500, messages=messages)
        return reply.choices[0].message.content

    def ask_claude() -> str | None:
        reply = claude.messages.create(model="claude-haiku-4-5", max_tokens=500, messages=messages)
        return "".join(block.text for block in reply.content if block.type == "text")

    return llmmetrics.first(("gpt", ask_gpt), ("claude", ask_claude), deadline=60) or ""


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{answer(sys.argv[1])}\n")
    except llmmetrics.NoBackendAvailable as exc:
        sys.exit(str(exc))
