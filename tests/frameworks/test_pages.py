"""The code of each page of docs/frameworks runs in its framework's environment, as a reader runs it."""

from __future__ import annotations

import pytest
from support import LONG, SOAK
from support.documentation import DOCS, blocks
from support.frameworks.table import FRAMEWORKS, inside

PAGES = DOCS / "frameworks"


def test_each_framework_has_a_page():
    """These pages are no part of tests/docs/test_blocks.py."""
    assert {path.stem for path in PAGES.glob("*.md")} - {"index"} == {each.page for each in FRAMEWORKS.values()}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_page_has_an_agent_and_its_tests(name):
    agent, test = (block for block in blocks(PAGES / f"{FRAMEWORKS[name].page}.md") if block.language == "python")
    assert agent.title == "agent.py"
    for each in ("llm_provider.reply", "llm_cassette(", "budget_exceeded("):
        assert each in test.text


@pytest.mark.skipif(not SOAK, reason=LONG)
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_page_runs(name, tmp_path):
    framework = FRAMEWORKS[name]
    for block in blocks(PAGES / f"{framework.page}.md"):
        if block.language == "python":
            (tmp_path / (block.title or f"test_{block.line}.py")).write_text(block.text, "utf8")
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:anyio", "-W", "ignore", "--rootdir", tmp_path)
    assert "3 passed" in inside(framework.packages, "-m", "pytest", *options, place=tmp_path)
