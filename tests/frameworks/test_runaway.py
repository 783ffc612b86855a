"""Runaway agents of three frameworks end by the budget of their run, within one call of the limit."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support import LONG, SOAK
from support.environments import environment

PROGRAM = Path(__file__).parents[1] / "support/programs/runaway_agents.py"
PACKAGES = ("langchain>=1", "langchain-openai>=1", "openai-agents>=0.6", "pydantic-ai-slim[openai]>=1")


@pytest.mark.skipif(not SOAK, reason=LONG)
def test_a_runaway_agent_ends_at_the_limit_of_its_run():
    python = environment(*PACKAGES)
    done = subprocess.run([python, PROGRAM], capture_output=True, text=True, timeout=300, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expected = {"reason": "run", "sent": 25, "calls": 25, "spent": "0.005"}
    assert rows == [{"agent": each, **expected} for each in ("langchain", "openai_agents", "pydantic_ai")]
