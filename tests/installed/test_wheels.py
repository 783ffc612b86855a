"""The wheels alone do what the pages say: what only the tests' environment has, is not there."""

from __future__ import annotations

import shutil
import sys
import tomllib
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from support.distributions import run
from support.documentation import DOCS, ROOT, blocks, links

READMES = [ROOT / "README.md", ROOT / "pytest_llmmetrics/README.md"]


def test_the_index_would_take_them(dist):
    made = [*dist.iterdir()]
    assert len(made) == 4
    said = run(Path(sys.executable).with_name("twine"), "check", "--strict", *made, cwd=dist)
    assert said.count("PASSED") == 4


@pytest.mark.parametrize("name", ["llmmetrics", "pytest_llmmetrics"])
def test_a_long_description_leads_nowhere_that_the_index_has_not(dist, tmp_path, name):
    with ZipFile(next(dist.glob(f"{name}-*.whl"))) as wheel:
        metadata = next(each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
        said = BytesParser().parsebytes(wheel.read(metadata)).get_payload()
    (tmp_path / "said.md").write_text(said, "utf8")
    assert "```python" in said
    assert links(tmp_path / "said.md") == []


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_test_that_a_readme_shows(wheels, tmp_path, page):
    shown = [each.text for each in blocks(page) if each.language == "python" and "def test_" in each.text]
    assert shown
    for number, text in enumerate(shown):
        (tmp_path / f"test_{number}.py").write_text(text, "utf8")
    assert f"{len(shown)} passed" in wheels.run("pytest", "-q", "-W", "error", cwd=tmp_path)


def test_the_examples(wheels, tmp_path):
    place = tmp_path / "examples"
    shutil.copytree(DOCS / "examples", place, ignore=shutil.ignore_patterns("__pycache__"))
    said = wheels.run("pytest", "-q", "-rs", cwd=place)
    # the one that asks Anthropic for a second opinion
    assert "1 skipped" in said
    assert "needs another SDK: pip install anthropic" in said


@pytest.mark.parametrize("command", [("llmmetrics", "--version"), ("python", "-m", "llmmetrics", "--version")])
def test_it_says_its_version(wheels, tmp_path, command):
    version = tomllib.loads((ROOT / "runtime/pyproject.toml").read_text("utf8"))["project"]["version"]
    assert wheels.run(*command, cwd=tmp_path) == f"llmmetrics {version}\n"


def test_the_module_is_the_command_line(wheels, tmp_path):
    assert wheels.run("python", "-m", "llmmetrics", "price", "--help", cwd=tmp_path).startswith("usage: llmmetrics")


def test_without_its_extra_the_demo_names_it(wheels, tmp_path):
    said = wheels.run("llmmetrics", "demo", "--once", "--port", "0", cwd=tmp_path, fails=True)
    assert said == "llmmetrics: rich is not installed: pip install 'llmmetrics[cli]'\n"


def test_the_demo(installed, tmp_path):
    said = installed.run("llmmetrics", "demo", "--once", "--port", "0", cwd=tmp_path)
    assert "# TYPE llm_requests_total counter" in said
    assert [*tmp_path.iterdir()] == []
