"""The table of docs/frameworks/index.md: what is installed for each framework, its run in its environment, its row."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from support.doc_tables import part, write
from support.environments import environment

TESTS = Path(__file__).parents[2]
PAGE = "frameworks/index.md"
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


QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true"}
"""What frameworks would ask of other hosts."""

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
    arguments = ("support.frameworks.run", framework.page, framework.distribution)
    return json.loads(inside(framework.packages, "-m", *arguments, place=TESTS).splitlines()[-1])


def inside(packages: Iterable[str], *arguments: str | Path, place: Path) -> str:
    """Run Python in an environment with these packages, in a directory; return what it prints."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    # recording is off under CI
    environ.pop("CI", None)
    command = [environment(*packages), *arguments]
    done = subprocess.run(
        command, cwd=place, env=environ | QUIET, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


def rows() -> dict[str, str]:
    """Return each framework's row of the page."""
    lines = part(PAGE, "frameworks")[0].splitlines()
    return {name[1]: line for line in lines if (name := re.match(r"\| \[(.*?)\]", line))}


def write_rows(drawn: dict[str, str]) -> None:
    """Write the table into the page."""
    lines = [head(), *(drawn[name] for name in FRAMEWORKS if name in drawn)]
    write(PAGE, "frameworks", "\n" + "\n".join(lines) + "\n")
