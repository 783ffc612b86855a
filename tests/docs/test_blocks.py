"""Runs every code block of the documentation: page by page, in order, each page in its own directory.

A block that says `title="FILE"` is that file. What says `{ .shown }`, and what has no language, is only looked at: how
many of these a page has stands in `SHOWN`, so that a block that is never run is somebody's decision.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from support.documentation import DOCS, ROOT, Block, blocks, name, pages
from support.frameworks.table import FRAMEWORKS
from support.servers import program, redis_server
from support.shell import Shell, same, shell, told

import llmmetrics
from llmmetrics.budgets import ledgers
from llmmetrics.settings.loading import load
from llmmetrics.testing import Answer, serve

EXAMPLES = DOCS / "examples"
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MISTRAL_API_KEY", "CO_API_KEY", "GROQ_API_KEY")
ELSEWHERE = {
    "README.md": "tests/installed/test_documents.py",
    "docs/errata.md": "tests/docs/test_errata.py",
    "docs/formats.md": "tests/runtime/wire/test_register.py",
    "docs/install.md": "tests/installed/test_documents.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
}
"""Pages whose blocks have their own test."""
OF_FRAMEWORKS = {f"docs/frameworks/{each.page}.md" for each in FRAMEWORKS.values()}
"""Pages of tests/frameworks/test_pages.py."""

SHOWN = {
    "docs/architecture.md": 1,  # a picture
    "docs/cassettes.md": 2,  # parts of cassettes
    "docs/costs.md": 2,  # a summary, and a session of real calls
    "docs/custom-ledgers.md": 2,  # a package's metadata, and the suite in a clone
    "docs/dashboards.md": 1,  # images: test_compose.py has the real Docker Compose read the file
    "docs/errata.md": 10,  # the guide's
    "docs/prices.md": 1,  # it cannot run, as the page explains
    "docs/instrumenting.md": 1,  # servers that go on: test_workers.py has them
    "docs/tags.md": 2,  # a ledger on another machine
}

BEFORE = {
    "docs/alerts.md": "cp dashboards/prometheus/alerts.yml .",
    "docs/costs.md": "pytest -q --llm-report=base.json && for each in head shard-1 llm-report; do cp base.json $each.json; done",
}
"""Files for a page's commands; a reader does not need to see how they are made."""

BEDROCK = "aws-bedrock-compatible"  # on loopback; Amazon's own hosts are aws-bedrock
METERED = {
    "docs/later.md": {"openai"},
    "docs/instrumenting.md": {BEDROCK},
    "docs/sdks.md": {"openai", "azure", "anthropic", "google", "mistral", "cohere", "groq", "ollama", BEDROCK},
}
"""The providers that a page's snippets call."""


class Page:
    """Runs a page's blocks, as a reader does."""

    def __init__(self, path: Path, directory: Path, terminal: Shell, served: int, redis: str) -> None:
        self.name = name(path)
        self._directory = directory
        self._terminal = terminal
        self._scope: dict = {"__name__": "page"}
        self._served = str(served)
        self._redis = redis

    def run(self, block: Block) -> None:
        """Run a block, depending on its language."""
        where = f"{self.name}:{block.line}"
        act = ACTS.get(block.language)
        assert act, (
            f"{where}: {block.language} cannot be run: add it to {Path(__file__).name}, or mark the block {{ .shown }}"
        )
        text = block.text.replace("redis://redis:6379/0", self._redis)
        if block.title:
            own = EXAMPLES / block.title
            assert block.language != "python" or not own.exists() or own.read_text("utf8") == text, (
                f"{where} is not docs/examples/{block.title}"
            )
            (self._directory / block.title).write_text(text, "utf8")
        if not (block.title and block.language == "python"):
            act(self, text, where)

    def python(self, code: str, where: str) -> None:
        """Run in this process, with a simulated provider; pytest runs a test."""
        if "def test_" in code:
            path = self._directory / f"test_{where.rpartition(':')[2]}.py"
            path.write_text(code, "utf8")
            self._terminal.run(f"python -m pytest -q -p no:cacheprovider {path}")
        else:
            exec(compile(code, where, "exec"), self._scope)

    def console(self, text: str, where: str) -> None:
        told(where, self._terminal, text.replace("5000", self._served))

    def sh(self, text: str, where: str) -> None:
        for line in filter(None, text.replace("5000", self._served).splitlines()):
            self._terminal.run(line)

    def json(self, text: str, where: str) -> None:
        value = json.loads(text)
        if "LlmSettings" in value:
            load(value, dict.fromkeys(KEYS, "sk-x"))

    def toml(self, text: str, where: str) -> None:
        assert set(tomllib.loads(text)) == {"tool"}, where
        (self._directory / "pyproject.toml").write_text(text, "utf8")
        # 5: no tests
        self._terminal.run("mkdir empty && pytest -q -c pyproject.toml --strict-config --co empty || test $? = 5")

    def yaml(self, text: str, where: str) -> None:
        value = yaml.safe_load(text)
        for key, command in (("groups", "rules"), ("scrape_configs", "config")):
            if key in value:
                self._promtool(command, text, where)

    def promql(self, text: str, where: str) -> None:
        self._promtool(
            "rules", json.dumps({"groups": [{"name": "x", "rules": [{"record": "x", "expr": text}]}]}), where
        )

    def _promtool(self, what: str, text: str, where: str) -> None:
        path = self._directory / f"checked-{where.rpartition(':')[2]}.yml"
        path.write_text(text, "utf8")
        command = [program("promtool", "prometheus"), "check", what, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"


ACTS = {
    "console": Page.console,
    "json": Page.json,
    "promql": Page.promql,
    "python": Page.python,
    "sh": Page.sh,
    "toml": Page.toml,
    "yaml": Page.yaml,
}
"""How to run a block, by language."""


@pytest.fixture
def served(tmp_path):
    """Run a metered application in the place of the pages' port 5000; return its port."""
    from prometheus_client import CollectorRegistry

    meter = llmmetrics.Meter.from_settings(EXAMPLES / "settings.json", registry=CollectorRegistry())
    server, thread = meter.start_http_server(0)
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()
    meter.close()


@pytest.fixture
def servers(monkeypatch):
    """Put a page's servers on free ports, and stop them at its end."""
    started, start = [], llmmetrics.Meter.start_http_server
    monkeypatch.setattr(llmmetrics.Meter, "start_http_server", lambda self, port: started.append(start(self, 0)))
    yield
    llmmetrics.uninstrument()
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


def run_here() -> list[Path]:
    elsewhere = ELSEWHERE.keys() | OF_FRAMEWORKS
    return [path for path in pages() if name(path) not in elsewhere and any(not each.shown for each in blocks(path))]


@pytest.mark.parametrize("path", run_here(), ids=name)
# a snippet's program would close what it leaves open
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.llm_provider(assert_all_requested=False, assert_all_scripted=False)
def test_a_page(path, tmp_path, monkeypatch, request, llm_provider, llm_metrics):
    found = [block for block in blocks(path) if not block.shown]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # a ledger that a page registers is gone with it
    monkeypatch.setattr(ledgers, "_FACTORIES", dict(ledgers._FACTORIES))
    monkeypatch.setenv("LLM_BASE_URL", "https://api.openai.com/v1")
    for key in KEYS:
        monkeypatch.setenv(key, "sk-nobodys-key")
    for each in ("conftest.py", "summariser.py", "settings.json", "test_tokens.py"):
        shutil.copy(EXAMPLES / each, tmp_path)
    if (ROOT / "dashboards").exists():
        shutil.copytree(ROOT / "dashboards", tmp_path / "dashboards")
    request.getfixturevalue("aws")
    served = request.getfixturevalue("served")
    request.getfixturevalue("servers")
    llm_provider.otherwise = Answer(prompt_tokens=1000, completion_tokens=500)
    needs_redis = any("redis://redis" in block.text for block in found)
    redis = request.getfixturevalue("redis") if needs_redis else ""
    with shell(tmp_path, {key: os.environ[key] for key in (*KEYS, "LLM_BASE_URL")}) as terminal:
        page = Page(path, tmp_path, terminal, served, redis)
        terminal.run(BEFORE.get(name(path), "true"))
        for block in found:
            page.run(block)
    gc.collect()
    metered = {each.provider for each in llm_metrics.records if each.status == "success"}
    assert metered == METERED.get(name(path), set())


@pytest.fixture
def aws(monkeypatch):
    """Simulate Amazon at the address that boto3 uses."""
    with serve(Answer(prompt_tokens=1000, completion_tokens=500)) as provider:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", provider.url)
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(key, "nobodys")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


@pytest.fixture
def redis(tmp_path):
    with redis_server(tmp_path) as server:
        yield server.url


def test_what_is_only_shown_is_counted():
    shown = Counter(name(path) for path in pages() for block in blocks(path) if block.shown)
    assert dict(shown) == SHOWN


def test_a_file_that_a_page_shows_is_used():
    for path in pages():
        found = blocks(path)
        for at, block in enumerate(found):
            if block.title and not (EXAMPLES / block.title).exists():
                stem = block.title.removesuffix(".py")
                later = [each.text for each in found[at + 1 :] if not each.shown]
                assert any(stem in text for text in later), f"{name(path)}:{block.line}: nothing runs {block.title}"


def test_pages_with_tests_of_their_own():
    for page, test in ELSEWHERE.items():
        assert (ROOT / page).exists()
        assert f'"{Path(page).name}"' in (ROOT / test).read_text("utf8")


@pytest.mark.parametrize(
    ("shown", "said", "is_so"),
    [
        ("7 calls\n", "12 calls\n", True),
        ("a  b\n", "a b\n", True),
        ("ok …\n", "ok whatever\nelse\n", True),
        ("ok\n", "ok then\n", False),
        ("ok 1\n", "ok one\n", False),
    ],
)
def test_what_is_taken_for_the_same(shown, said, is_so):
    assert same(shown, said) is is_so


def test_a_command_that_fails_or_says_something_else_is_noticed(tmp_path):
    with shell(tmp_path, {}) as terminal:
        told("a page", terminal, "$ cd /\n$ pwd\n/\n")
        with pytest.raises(AssertionError, match="exit code 3"):
            told("a page", terminal, "$ (exit 3)\n")
        with pytest.raises(AssertionError, match="says\nyes\n\nand not\nno"):
            told("a page", terminal, "$ echo yes\nno\n")
        with pytest.raises(AssertionError, match="longer than"):
            terminal.run("read < <(sleep 60)", seconds=0.1)
