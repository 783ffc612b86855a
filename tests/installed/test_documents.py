"""The README and the install page, block by block, in an empty directory, with what a user has installed."""

from __future__ import annotations

import json

import pytest
from support.documentation import DOCS, ROOT, Block, blocks, name
from support.servers import free_port
from support.shell import Shell, shell, told

from llmmetrics.settings.loading import load

PAGES = (ROOT / "README.md", DOCS / "install.md")
PROGRAMS = ("python", "llmmetrics", "pytest")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf8").splitlines()) <= 105


@pytest.fixture
def terminal(installed, tmp_path):
    """Start a shell with these programs first, and without this checkout."""
    with shell(tmp_path, {"PYTHONPATH": ""}, str(installed.python)) as made:
        for each in PROGRAMS:
            assert made.run(f"command -v {each}").strip() == str(installed.python.parent / each)
        assert str(ROOT) not in made.run("python -c 'import llmmetrics, pytest_llmmetrics as p; print(llmmetrics, p)'")
        yield made


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_runs(page, terminal, tmp_path):
    port = free_port()
    for block in blocks(page):
        assert not block.shown, f"{name(page)}:{block.line}: every block of this page is run"
        run(block, f"{name(page)}:{block.line}", terminal, tmp_path, port)


def here(text: str, port: int) -> str:
    """Run commands on a free port, except those that install: before a release no index has the packages."""
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("pip install "))
    # the demo's default port is 5000
    return kept.replace("5000", str(port)).replace("llmmetrics demo --once", f"llmmetrics demo --once --port {port}")


def run(block: Block, where: str, terminal: Shell, directory, port: int) -> None:
    """Run a block as a reader does, each in a separate process."""
    text = here(block.text, port)
    file = directory / (block.title or f"block_{block.line}.{block.language}")
    file.write_text(text, "utf8")
    if block.language == "python":
        # the page's own command runs a test
        terminal.run(f"python {file.name}")
    elif block.language == "json":
        terminal.run(f"llmmetrics check {file.name}")
    elif block.language == "console":
        told(where, terminal, text)
    else:
        assert block.language == "sh", where
        for line in filter(None, text.splitlines()):
            terminal.run(line)


def test_the_tests_of_the_readme_are_run():
    """A later command runs a file with a test."""
    found = blocks(ROOT / "README.md")
    for at, block in enumerate(found):
        if "def test_" in block.text:
            assert any(f"pytest -q --llm-metrics {block.title}" in each.text for each in found[at + 1 :])


def test_the_settings_of_the_readme_need_nothing_in_the_environment():
    (settings,) = (block for block in blocks(ROOT / "README.md") if block.language == "json")
    assert load(json.loads(settings.text), environ={}).backends
