"""Every door: recorded against a provider on loopback, replayed without it, and counted the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import SOAK

from llmmetrics.testing import serve

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
SUITE = ROOT / "support/programs/cassette_calls.py"
FEW = ("requests-stream", "lines-json", "background", "aio-stream", "boto3-converse_s", "aiobotocore-invoke_model_w")
"""One of each kind; in soak all of them."""
SECRET = "a1B2c3D4" * 4


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(test_calls=SUITE.read_text("utf8"))
    (pytester.path / "cassettes").mkdir()
    chosen = () if SOAK else ("-k", " or ".join(FEW))

    def run(mode, url):
        facts = pytester.path / f"{mode}.jsonl"
        monkeypatch.setenv("FACTS", str(facts))
        monkeypatch.setenv("PROVIDER_URL", url)
        # what Hugging Face asks its own hub is no LLM call
        monkeypatch.setenv("HF_ENDPOINT", "http://localhost:1")
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-ra", f"--llm-record={mode}", *chosen)
        counted = [json.loads(line) for line in facts.read_text("utf8").splitlines()]
        return result.parseoutcomes(), {each.pop("test"): each for each in counted}

    return run


def test_what_is_recorded_is_replayed_without_the_server(run, pytester):
    with serve() as provider:
        outcomes, live = run("once", provider.url)
        assert set(outcomes) - {"deselected"} == {"passed"}
        asked = len(provider.requests)
        url = provider.url
    for name, facts in live.items():
        assert facts["statuses"] == ["success"], name
        assert facts["tokens"]["prompt"] > 0, name
        assert facts["cost"] != "None", name
    outcomes, replayed = run("none", url)
    assert set(outcomes) - {"deselected"} == {"passed"}
    assert replayed == live
    # the answer in the background was asked for, and fetched
    assert asked == len(live) + 1
    texts = [path.read_bytes() for path in (pytester.path / "cassettes").rglob("*.yaml")]
    assert len(texts) == len(live)
    assert not [text for text in texts if SECRET.encode() in text or b"signature" in text.lower()]
