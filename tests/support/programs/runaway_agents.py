"""Agents of frameworks that would never stop, each in a run. Prints a line of JSON for each: what ended it.

`python runaway_agents.py`, in an environment with the frameworks. The provider answers every request with a tool call.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry

import llmmetrics

MODEL, MOST = "gpt-4o-mini", {"max_tokens": 50}
CALL = {"name": "search", "arguments": '{"query": "x"}'}


class LoopingProvider(BaseHTTPRequestHandler):
    """Asks for the same tool again, in OpenAI's two formats."""

    protocol_version = "HTTP/1.1"
    requests = 0

    def do_POST(self) -> None:
        type(self).requests += 1
        self.rfile.read(int(self.headers["content-length"]))
        answer = self.response() if self.path.endswith("/responses") else self.completion()
        body = json.dumps({"id": f"a{self.requests}", "model": MODEL, **answer}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def completion(self):
        call = {"id": f"call_{self.requests}", "type": "function", "function": CALL}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return {
            "object": "chat.completion",
            "created": 1,
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        }

    def response(self):
        call = {"type": "function_call", "id": f"fc_{self.requests}", "call_id": f"call_{self.requests}", **CALL}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        return {
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "output": [{**call, "status": "completed"}],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110, **details},
        }

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def search(query: str) -> str:
    """Search for a query."""
    return f"nothing about {query}"


def langchain(url: str) -> None:
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    agent = create_agent(ChatOpenAI(model=MODEL, base_url=url, api_key="k", **MOST), [tool(search)])
    agent.invoke({"messages": [{"role": "user", "content": "Find it"}]}, {"recursion_limit": 500})


def openai_agents(url: str) -> None:
    from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool
    from openai import AsyncOpenAI

    model = OpenAIResponsesModel(model=MODEL, openai_client=AsyncOpenAI(base_url=url, api_key="k"))
    tools = [function_tool(search)]
    agent = Agent(name="a", instructions="Find it", tools=tools, model=model, model_settings=ModelSettings(**MOST))
    Runner.run_sync(agent, "Find it", max_turns=500)


def pydantic_ai(url: str) -> None:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.usage import UsageLimits

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key="k"))
    agent = Agent(model, model_settings=MOST, tools=[search])
    agent.run_sync("Find it", usage_limits=UsageLimits(request_limit=500))


def ended(agent: Callable[[str], None], url: str) -> dict[str, object]:
    """Run an agent in a budget of 25 calls; return what ended it."""
    before = LoopingProvider.requests
    with llmmetrics.spending(usd="0.1", calls=25) as run:
        try:
            agent(url)
            refused = None
        except Exception as exc:
            refused = llmmetrics.budget_exceeded(exc)
    sent = LoopingProvider.requests - before
    reason = refused.reason if refused else None
    return {"agent": agent.__name__, "reason": reason, "sent": sent, "calls": run.calls, "spent": str(run.spent)}


if __name__ == "__main__":
    os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"
    server = ThreadingHTTPServer(("127.0.0.1", 0), LoopingProvider)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/v1"
    price = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 10}
    settings = {"Backends": [{"Name": "b", "BaseUrl": address, **price}]}
    llmmetrics.instrument(llmmetrics.Meter.from_settings(settings, registry=CollectorRegistry()))
    for each in (langchain, openai_agents, pydantic_ai):
        sys.stdout.write(json.dumps(ended(each, address)) + "\n")
