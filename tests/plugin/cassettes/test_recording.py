"""Recording, recording again, verifying, and refusing to write a secret, with an endpoint on loopback."""

from __future__ import annotations

import json

import pytest
import yaml

from llmmetrics.testing import Answer, Reply, faults, reply, serve

pytest_plugins = ["pytester"]
SECRET = "sk-" + "a1B2c3D4" * 4

TEST = """
    import httpx, httpx2, pytest

    ASK = {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": {words!r}}}]}}

    @pytest.mark.llm_cassette("mine/greeting"{marker})
    def test_it():
        headers = {{"authorization": "Bearer {secret}", "x-team": "blue"}}
        with {library}.Client(headers=headers) as client:
            answer = client.post("{url}/openai/v1/chat/completions?key={secret}&alt=json", json={{**ASK, **{more!r}}})
        assert answer.status_code == {status}
        {then}
"""


class Endpoint:
    """A live endpoint whose answers can be changed."""

    def __init__(self):
        self.requests = []
        self.through = lambda document: document
        self.script = Answer()
        self.server = serve(answering=self.answer)
        self.url = self.server.url

    def answer(self, request):
        self.requests.append(request)
        made = reply(request, self.script)
        if made.stream:
            return made
        body = json.dumps(self.through(json.loads(made.chunks[0]))).encode()
        return Reply(made.status, (*made.headers, ("set-cookie", "session=1"), ("server", "x")), (body,))


@pytest.fixture
def endpoint():
    made = Endpoint()
    with made.server:
        yield made


@pytest.fixture
def run(pytester, endpoint, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    (pytester.path / "cassettes").mkdir()

    def run(mode, *, words="Say hi.", more=None, status=200, library="httpx", marker="", then="", arguments=()):
        text = TEST.format(
            words=words,
            more=more or {},
            status=status,
            library=library,
            marker=marker,
            then=then,
            url=endpoint.url,
            secret=SECRET,
        )
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", *([f"--llm-record={mode}"] if mode else ()), *arguments
        )

    run.path = pytester.path / "cassettes/mine/greeting.yaml"
    return run


def said(result):
    return " ".join(result.stdout.str().split())


def test_once_records_what_is_missing_and_none_replays_it(run, endpoint):
    run("once").assert_outcomes(passed=1)
    text = run.path.read_text("utf8")
    assert SECRET not in text
    doc = yaml.safe_load(text)
    assert doc["interactions"][0]["request"] == {
        "method": "POST",
        "uri": f"{endpoint.url}/openai/v1/chat/completions?alt=json",
        "headers": {"accept": ["*/*"], "content-type": ["application/json"]},
        "body": '{"messages": [{"content": "Say hi.", "role": "user"}], "model": "gpt-4o-mini"}',
    }
    assert doc["interactions"][0]["response"]["headers"] == {"content-type": ["application/json"]}
    assert doc["metadata"]["match"] == "body"
    assert doc["metadata"]["source"] == endpoint.url
    # again: nothing is missing, so nothing is sent and written
    run("once").assert_outcomes(passed=1)
    run(None, library="httpx2").assert_outcomes(passed=1)
    assert len(endpoint.requests) == 1
    assert run.path.read_text("utf8") == text
    run("once", words="Say ho.", marker=", unused='allow'").assert_outcomes(passed=1)
    assert len(yaml.safe_load(run.path.read_text("utf8"))["interactions"]) == 2
    assert list(run.path.parent.iterdir()) == [run.path]


def test_all_records_anew(run, endpoint):
    run("once").assert_outcomes(passed=1)
    endpoint.script = Answer("Ahoy.")
    run("all").assert_outcomes(passed=1)
    run(None, then="assert answer.json()['choices'][0]['message']['content'] == 'Ahoy.'").assert_outcomes(passed=1)
    assert len(yaml.safe_load(run.path.read_text("utf8"))["interactions"]) == 1


NO_CONNECTION = """import requests
        with pytest.raises(requests.ConnectionError):
            requests.post("http://127.0.0.1:9/v1/chat/completions", json=ASK)
"""


def test_a_stream_is_recorded_as_it_is(run, endpoint):
    # what never answers does not fail a test that is recorded
    run("once", more={"stream": True}, then=NO_CONNECTION).assert_outcomes(passed=1)
    run(None, more={"stream": True}, then="assert answer.content.endswith(b'data: [DONE]\\n\\n')").assert_outcomes(
        passed=1
    )
    assert len(endpoint.requests) == 1


def test_an_error_is_recorded_too(run, endpoint):
    endpoint.script = faults.RATE_LIMIT
    run("once", status=429).assert_outcomes(passed=1)
    run(None, status=429, then="assert answer.headers['retry-after'] == '1'").assert_outcomes(passed=1)


def test_under_ci_nothing_is_recorded(run, endpoint, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = run("once")
    result.assert_outcomes(errors=1)
    assert "--llm-record=once does nothing while CI is set" in said(result)
    assert "no cassette mine/greeting" in said(result)
    assert endpoint.requests == []
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("words", "through", "where"),
    [
        (f"My key is {SECRET}.", None, "interactions[0].request.body.messages[0].content looks like an OpenAI"),
        ("Hi", lambda doc: {**doc, "note": SECRET}, "response.body.string.note looks like an OpenAI"),
    ],
)
def test_a_secret_is_not_written(run, endpoint, words, through, where):
    endpoint.through = through or endpoint.through
    result = run("once", words=words)
    result.assert_outcomes(failed=1)
    assert "cassette mine/greeting was not written: interactions[0]" in said(result)
    assert where in said(result)
    assert not run.path.exists()
    assert SECRET not in result.stdout.str() + result.stderr.str()


def test_the_key_itself_is_found_whatever_it_looks_like(run, endpoint):
    endpoint.through = lambda doc: {
        **doc,
        "echo": endpoint.requests[-1].headers["authorization"].removeprefix("Bearer "),
    }
    result = run("once")
    assert "a credential that was sent with the request" in said(result)
    assert not run.path.exists()


def test_a_random_value_that_opens_nothing_is_named(run, endpoint):
    endpoint.through = lambda doc: {**doc, "ticket": "Zx9" + "qW8eR7tY6uI5oP4aS3dF2gH1jK0lM" * 2}
    run("once", marker=", opaque=['ticket']").assert_outcomes(passed=1)
    run(None).assert_outcomes(passed=1)


def test_keys_of_credentials_are_scrubbed_from_the_json(run, endpoint):
    endpoint.through = lambda doc: {**doc, "session_token": SECRET}
    run("once", more={"api_key": SECRET, "max_tokens": 5}).assert_outcomes(passed=1)
    text = run.path.read_text("utf8")
    assert text.count("[scrubbed]") == 2
    assert '"max_tokens": 5' in text
    run(None, more={"api_key": "another", "max_tokens": 5}).assert_outcomes(passed=1)


def test_a_request_that_is_not_recorded(run):
    run("once").assert_outcomes(passed=1)
    result = run(None, words=f"Say ho. {SECRET}", more={"temperature": 1, "tools": None, "stream": False})
    result.assert_outcomes(failed=1)
    assert "(model gpt-4o-mini) is not recorded. The nearest is mine/greeting, interactions[0]" in said(result)
    assert "body.messages[0].content: recorded 'Say hi.', sent 'Say ho. […]'" in said(result)
    assert "body.temperature: recorded nothing, sent 1" in said(result)
    assert "body.tools" not in said(result)


def test_verify_finds_nothing_where_nothing_has_changed(run, endpoint):
    run("once").assert_outcomes(passed=1)
    text = run.path.read_text("utf8")
    endpoint.script = Answer("Other words, and other counts.", prompt_tokens=99)
    run("verify", then="assert 'simulated' in answer.text").assert_outcomes(passed=1)
    run("verify", library="httpx2").assert_outcomes(passed=1)
    assert len(endpoint.requests) == 3
    assert run.path.read_text("utf8") == text


def drifted(doc):
    doc["service_tier"] = {"name": "x"}
    doc["created"] = "yesterday"
    del doc["choices"][0]["finish_reason"]
    doc["usage"]["prompt_tokens_details"] = None
    return doc


def test_verify_reports_drift_and_writes_nothing(run, endpoint):
    run("once").assert_outcomes(passed=1)
    text = run.path.read_text("utf8")
    endpoint.through = drifted
    result = run("verify")
    result.assert_outcomes(failed=1)
    found = said(result)
    assert "$.service_tier: added (object)" in found
    assert "$.created: was number, is string" in found
    assert "$.choices[].finish_reason: removed (string)" in found
    assert "prompt_tokens_details" not in found
    assert run.path.read_text("utf8") == text


def test_verify_reports_another_status_and_no_answer(run, endpoint):
    run("once").assert_outcomes(passed=1)
    endpoint.script = faults.NOT_FOUND
    result = run("verify")
    result.assert_outcomes(failed=1)
    assert "status: was 200, is 404" in said(result)
    endpoint.server.close()
    result = run("verify")
    result.assert_outcomes(failed=1)
    assert "the live endpoint did not answer: ConnectError" in said(result)


def test_the_date_is_the_tests(run):
    run("once", then="import time_machine; time_machine.travel('2031-05-06', tick=False).start()").assert_outcomes(
        passed=1
    )
    assert yaml.safe_load(run.path.read_text("utf8"))["metadata"]["date"] == "2031-05-06"


@pytest.mark.parametrize("mode", ["once", "all"])
def test_those_that_ship_are_never_recorded(pytester, monkeypatch, mode):
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(
        """
        import httpx, pytest
        URL = "https://api.openai.com/v1/chat/completions"

        @pytest.mark.llm_cassette("openai/rate_limited", "openai/success")
        def test_it():
            assert [httpx.post(URL, json={}).status_code for _ in range(3)] == [429, 200, 200]
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--llm-record={mode}").assert_outcomes(passed=1)
    assert not (pytester.path / "cassettes").exists()


def test_a_wrong_mode(run):
    result = run("onec")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "invalid choice: 'onec'" in result.stderr.str()


def test_async_and_through_an_sdk(pytester, endpoint, monkeypatch):
    pytest.importorskip("openai")
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile(
        f"""
        import openai, pytest

        @pytest.fixture
        def llm_cassette_dir(request):
            return request.path.parent / "tapes"

        @pytest.mark.anyio
        @pytest.mark.llm_cassette("sdk")
        async def test_it():
            async with openai.AsyncOpenAI(api_key={SECRET!r}, base_url="{endpoint.url}/openai/v1") as client:
                asked = {{"model": "gpt-4o-mini", "messages": [{{"role": "user", "content": "hi"}}]}}
                assert (await client.chat.completions.create(**asked)).usage.total_tokens == 20
                events = [each async for each in await client.chat.completions.create(**asked, stream=True)]
                assert len(events) == 7
        """
    )
    for mode in ("once", "none", "verify"):
        result = pytester.runpytest_subprocess("-p", "no:cacheprovider", f"--llm-record={mode}", "-k", "asyncio")
        result.assert_outcomes(passed=1, deselected=1)
    assert len(endpoint.requests) == 4
    assert SECRET not in (pytester.path / "tapes/sdk.yaml").read_text("utf8")
