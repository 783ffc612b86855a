"""Suites of other projects, from the index, with each style of mocking: `--llm-metrics` changes no outcome.

A test of theirs that fails without the option has to fail with it. Those with recordings of LLM calls pass the gate with
the baseline that was just made of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from support import LONG, SOAK
from support.distributions import unpack
from support.environments import ROOT, environment

from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import read

KEPT = ROOT / ".cache/suites"
ASYNC = "pytest-asyncio"
REPORT = "outcomes.xml"
KEYS = [f"{name}_API_KEY" for name in ("OPENAI", "ANTHROPIC", "COHERE", "CO", "GROQ", "MISTRAL")]


@dataclass(frozen=True)
class Suite:
    """A source distribution with tests, and what they need."""

    distribution: str
    tests: str
    packages: tuple[str, ...]
    options: tuple[str, ...] = ()


OTEL = ("opentelemetry-sdk", "pytest-recording", ASYNC, "pytest-xdist")


def otel(provider: str, *packages: str) -> Suite:
    name = f"opentelemetry-instrumentation-{provider}"
    return Suite(name, "tests", (name, *packages, *OTEL))


SUITES = {
    "own server": Suite("ollama", "tests", ("ollama", "pytest-httpserver", ASYNC, "pillow")),
    "respx and MockTransport": Suite(
        "openai",
        "tests/test_client.py",
        ("openai", "respx", ASYNC, "dirty-equals", "nest-asyncio", "inline-snapshot", "pytest-xdist", "rich"),
        ("-oasyncio_mode=auto",),
    ),
    "vcrpy": otel("anthropic", "anthropic<1", "boto3"),
    "pytest-recording": Suite(
        "pytest-recording", "tests", ("pytest-recording", "pytest-mock", "pytest-httpbin", "requests", ASYNC)
    ),
    "vcrpy itself": Suite(
        "vcrpy", "tests/unit", ("vcrpy", "pytest-httpbin", ASYNC, "aiohttp", "httplib2", "boto3", "requests", "httpx")
    ),
    "requests-mock": Suite(
        "requests-mock", "tests", ("requests-mock", "fixtures", "testtools", "requests-futures", "purl")
    ),
    "pytest-httpx": Suite("pytest-httpx", "tests", ("pytest-httpx", ASYNC)),
    "aioresponses": Suite("aioresponses", "tests", ("aioresponses", "ddt", ASYNC)),
    "responses": Suite("responses", "responses/tests", ("responses", "pytest-httpserver", "tomli-w", "mypy", ASYNC)),
}

RECORDED = {
    "anthropic": SUITES["vcrpy"],
    "cohere": otel("cohere", "cohere<6"),
    "groq": otel("groq", "groq"),
    "mistralai": otel("mistralai", "mistralai<2"),
    "ollama": otel("ollama", "ollama"),
}
"""Suites with recordings: some are stale, have no usage, or are of models without a price."""


def sources(distribution: str, place: Path) -> Path:
    """Unpack a distribution's newest sources, which are kept in `.cache`; skip the test if there is no index."""
    # some archives have a hyphen in their name
    pattern = f"{distribution.replace('-', '[-_]')}-[0-9]*.tar.gz"
    if not list(KEPT.glob(pattern)):
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", KEPT]
        done = subprocess.run([*pip, distribution], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{distribution} cannot be downloaded: {done.stderr[-300:]}")
    (archive,) = KEPT.glob(pattern)
    unpack(archive, place)
    return place / archive.name.removesuffix(".tar.gz")


def prepared(suite: Suite, place: Path) -> tuple[Path, Path]:
    """Return a Python with the suite's packages, and the directory of its sources."""
    return environment(*suite.packages), sources(suite.distribution, place)


def outcomes(python: Path, suite: Suite, root: Path, *options: str) -> dict[str, str]:
    """Run the suite; return each test's outcome."""
    done = run(python, suite, root, *options)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    kinds = ("error", "failure", "skipped")
    return {
        f"{case.get('classname')}::{case.get('name')}": next(
            (kind for kind in kinds if case.find(kind) is not None), "passed"
        )
        for case in ET.parse(root / REPORT).iter("testcase")
    }


def run(python: Path, suite: Suite, root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    keys = dict.fromkeys(KEYS, "sk-nobodys-key")
    fixed = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={REPORT}", *suite.options]
    command = [python, "-m", "pytest", *fixed, *options, suite.tests]
    return subprocess.run(
        command, cwd=root, env=environ | keys, capture_output=True, text=True, timeout=1200, check=False
    )


@pytest.mark.skipif(not SOAK, reason=LONG)
@pytest.mark.parametrize("style", SUITES)
def test_no_outcome_changes(style, tmp_path):
    suite = SUITES[style]
    python, root = prepared(suite, tmp_path)
    without = outcomes(python, suite, root, "-p", "no:llmmetrics")
    metered = outcomes(python, suite, root, "--llm-metrics")
    print(f"{style}: {suite.distribution} {dict(Counter(metered.values()))}")  # noqa: T201
    assert Counter(without.values())["passed"] > 20
    assert metered == without


@pytest.mark.skipif(not SOAK, reason=LONG)
@pytest.mark.parametrize("provider", RECORDED)
def test_the_gate_is_green_on_an_unchanged_tree(provider, tmp_path):
    suite = RECORDED[provider]
    python, root = prepared(suite, tmp_path)
    assert run(python, suite, root, "-p", "no:llmmetrics").returncode == 0
    made = [root / name for name in ("once.json", "twice.json")]
    for path, more in zip(made, ([], ["--llm-twice"]), strict=True):
        done = run(python, suite, root, "--llm-baseline=create", f"--llm-baseline-file={path}", *more)
        assert done.returncode == 0, done.stdout
    assert len(read(Baseline, made[0]).by_test()) > 5
    assert made[0].read_bytes() == made[1].read_bytes()
    for more in ([], ["-n", "2"]):
        done = run(python, suite, root, "--llm-gate", f"--llm-baseline-file={made[0]}", *more)
        assert done.returncode == 0, done.stdout
        assert "tests judged" in done.stdout
        assert "inconclusive" not in done.stdout
