"""An agent that would not stop, in a run: `python agent.py "Find the cheapest flight"`.

Needs LLM_BASE_URL: https://api.openai.com/v1, or wherever your model is, and OPENAI_API_KEY.
"""

import os
import sys
from typing import Any

import openai

import llmmetrics

meter = llmmetrics.Meter.from_settings({"Backends": [{"Name": "openai", "BaseUrl": os.environ["LLM_BASE_URL"]}]})
client = meter.wrap(openai.OpenAI(base_url=os.environ["LLM_BASE_URL"]))

SEARCH: Any = {"name": "search", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}}


def agent(task: str) -> str:
    """Work on a task until it is done, or until its budget is spent."""
    messages: list[Any] = [{"role": "user", "content": task}]
    with llmmetrics.spending(usd="0.50", calls=20) as run:
        try:
            while True:
                answer = client.chat.completions.create(
                    model="gpt-4o-mini",
                    messages=messages,
                    max_tokens=500,
                    tools=[{"type": "function", "function": SEARCH}],
                )
                message = answer.choices[0].message
                if not message.tool_calls:
                    return message.content or ""
                messages.append(message)
                messages += [{"role": "tool", "tool_call_id": call.id, "content": "-"} for call in message.tool_calls]
        except openai.APIError as exc:
            if refused := llmmetrics.budget_exceeded(exc):
                return f"stopped after {run.calls} calls and ${run.spent}: {refused}"
            raise


if __name__ == "__main__":
    sys.stdout.write(f"{agent(sys.argv[1])}\n")
