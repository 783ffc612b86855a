"""The frameworks that people use, each with a driver: a small program in the framework's own words.

`python -m support.frameworks` runs all of them and writes the table of docs/frameworks/index.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.environments import environment

TESTS = Path(__file__).parents[2]
COLUMNS = {
    "JSON": "json",
    "stream": "stream",
    "async": "async",
    "early close": "early_close",
    "retry": "retry",
    "`llm_provider`": "provider_fixture",
    "cassette": "cassette",
    "a refusal arrives as": "refusal",
}
"""The table's columns, and the test of each in `cells.py`."""


@dataclass(frozen=True)
class Framework:
    """A framework: its driver and page have one name."""

    page: str
    packages: tuple[str, ...]
    """What is installed; the first one's version is shown."""

    @property
    def distribution(self) -> str:
        return re.split(r"[\[<>=]", self.packages[0], maxsplit=1)[0]


FRAMEWORKS = {
    "LangChain": Framework("langchain", ("langchain>=1", "langchain-openai>=1", "langchain-anthropic>=1")),
    "LlamaIndex": Framework("llamaindex", ("llama-index-core", "llama-index-llms-openai")),
    "LiteLLM": Framework("litellm", ("litellm",)),
    "Pydantic AI": Framework("pydantic_ai", ("pydantic-ai-slim[openai,anthropic]>=1",)),
    "OpenAI Agents": Framework("openai_agents", ("openai-agents",)),
    "DSPy": Framework("dspy", ("dspy", "litellm")),
    "CrewAI": Framework("crewai", ("crewai",)),
    "Haystack": Framework("haystack", ("haystack-ai",)),
    "instructor": Framework("instructor", ("instructor",)),
    "smolagents": Framework("smolagents", ("smolagents[openai]",)),
}


def run(name: str) -> dict:
    """Run a framework's cells in its environment; return its version, and each cell's outcome and note."""
    framework = FRAMEWORKS[name]
    python = environment(*framework.packages)
    command = [python, "-m", "support.frameworks.run", framework.page, framework.distribution]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("COV", "PYTEST"))}
    done = subprocess.run(
        command, cwd=TESTS, env=environ, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, result: dict) -> str:
    """Draw a framework's row. A cell is `exact`, or says what it needs, or why it is empty."""
    cells = [_cell(result["cells"][test]) for test in COLUMNS.values()]
    return f"| [{name}]({FRAMEWORKS[name].page}.md) {result['version']} | {' | '.join(cells)} |"


def _cell(cell: dict) -> str:
    if cell["outcome"] == "none":
        return f"none: {cell['note']}"
    return cell["note"] or cell["outcome"]


def head() -> str:
    """Draw the table's first two lines."""
    return f"| | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}"
