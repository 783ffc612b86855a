"""Runs a suite with cassettes."""

from __future__ import annotations

import pytest

HEAD = """
    import httpx, httpx2, pytest
    cassette = pytest.mark.llm_cassette
    URL = "https://api.openai.com/v1/chat/completions"
    ASK = {"model": "gpt-4o", "messages": []}

    def ask(library=httpx2, url=URL, **more):
        with library.Client() as client:
            return client.post(url, json={**ASK, **more}).status_code
"""


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)

    def run(body, *arguments, files=None):
        for name, text in (files or {}).items():
            path = pytester.path / "cassettes" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf8")
        pytester.makepyfile(test_it=HEAD + body)
        strict = "strict = true\n" if pytest.version_tuple >= (9,) else ""
        pytester.makeini(f"[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n{strict}")
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA", *arguments)

    return run
