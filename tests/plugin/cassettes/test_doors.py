"""Every door: recorded against a provider on loopback, replayed without it, and counted the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import LONG, SOAK
from support.socket_servers import LIVE_USAGE, responses_events, say, socket_server, two_responses

from llmmetrics.testing import serve

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
SUITE = ROOT / "support/programs/cassette_calls.py"
SOCKETS = (
    *("test_realtime", "test_realtime_async", "test_responses_socket", "test_gemini_live"),
    "test_closed_by_the_server",
)
SECRET = "a1B2c3D4" * 4


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(test_calls=SUITE.read_text("utf8"))
    (pytester.path / "cassettes").mkdir()

    def run(mode, url, sockets):
        facts = pytester.path / f"{mode}.jsonl"
        monkeypatch.setenv("FACTS", str(facts))
        monkeypatch.setenv("PROVIDER_URL", url)
        monkeypatch.setenv("SOCKETS_URL", sockets)
        # what Hugging Face asks its own hub is no LLM call
        monkeypatch.setenv("HF_ENDPOINT", "http://localhost:1")
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-ra", f"--llm-record={mode}")
        counted = [json.loads(line) for line in facts.read_text("utf8").splitlines()]
        return result.parseoutcomes(), {each.pop("test"): each for each in counted}

    return run


def talk(server, connection):
    path = server.paths[-1]
    if "closes" in path:
        server.asked(connection)
        connection.close(1011, "keepalive")
    elif "realtime" in path:
        two_responses(server, connection)
    elif "responses" in path:
        say(connection, *responses_events(server.asked(connection)["model"]))
    else:
        server.asked(connection)
        say(connection, {"setupComplete": {}}, binary=True)
        server.asked(connection)
        audio = {"inlineData": {"mimeType": "audio/pcm", "data": "AAAA" * 100}}
        say(connection, {"serverContent": {"modelTurn": {"role": "model", "parts": [audio]}}}, binary=True)
        say(connection, {"serverContent": {"turnComplete": True}, "usageMetadata": LIVE_USAGE}, binary=True)


# 42 calls, twice: test_doors_in_process.py has one of each kind
@pytest.mark.skipif(not SOAK, reason=LONG)
def test_what_is_recorded_is_replayed_without_the_server(run, pytester):
    with serve() as provider, socket_server(talk) as sockets:
        outcomes, live = run("once", provider.url, sockets.url)
        assert set(outcomes) == {"passed"}
        requests = len(provider.requests)
        opened = len(sockets.paths)
    over_http = {name: facts for name, facts in live.items() if name not in SOCKETS}
    for name, facts in live.items():
        is_closed = name == "test_closed_by_the_server"
        status = "failure" if is_closed else "success"
        assert facts["statuses"] == [status] * (2 if name == "test_realtime" else 1), name
        assert is_closed or facts["tokens"]["prompt"] > 0, name
        assert facts["cost"] != "None", name
    outcomes, replayed = run("none", provider.url, sockets.url)
    assert set(outcomes) == {"passed"}
    assert replayed == live
    # the answer in the background was asked for, and fetched
    assert (requests, opened) == (len(over_http) + 1, len(live) - len(over_http))
    assert (len(provider.requests), len(sockets.paths)) == (requests, opened)
    texts = [path.read_bytes() for path in (pytester.path / "cassettes").rglob("*.yaml")]
    assert len(texts) == len(live)
    assert not [text for text in texts if SECRET.encode() in text or b"signature" in text.lower()]
