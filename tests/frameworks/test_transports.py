"""google-genai with and without aiohttp, litellm's three transports, DSPy's default engine: exact, or stopped and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import LONG, SOAK
from support.frameworks.table import FRAMEWORKS, TESTS, inside

TRANSPORTS = TESTS / "support/frameworks/transports.py"
RUNS = {
    "litellm": (FRAMEWORKS["LiteLLM"].packages, "litellm", "12 passed"),
    "google-genai": (("google-genai",), "google_genai and not aiohttp", "4 passed"),
    "google-genai, aiohttp": (("google-genai", "aiohttp"), "google_genai", "5 passed"),
    "dspy": (FRAMEWORKS["DSPy"].packages, "dspy", "1 passed"),
}
"""What is installed, which tests are run, and how many of them pass: none is skipped."""


@pytest.mark.skipif(not SOAK, reason=LONG)
@pytest.mark.parametrize("name", RUNS)
def test_a_library_by_each_of_its_transports(name, tmp_path: Path):
    packages, which, passed = RUNS[name]
    options = ("-q", "-c", "/dev/null", "--rootdir", tmp_path, "-p", "no:cacheprovider", "--noconftest", "-W", "ignore")
    said = inside(packages, "-m", "pytest", *options, TRANSPORTS, "-k", which, place=TESTS)
    assert passed in said
    assert "skipped" not in said
