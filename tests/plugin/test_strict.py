"""Strict both ways: every reply is used, every request is scripted; and no test reaches an LLM."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

CLIENT = """
import httpx, httpx2, pytest
from pytest_llmmetrics import faults
URL = "https://api.openai.com/v1/chat/completions"
def ask(library=httpx2, model="m", url=URL):
    return library.post(url, json={"model": model, "messages": []})
"""


@pytest.fixture
def run(pytester):
    def run(code, *options):
        pytester.makepyfile(CLIENT + code)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    return run


def test_a_reply_that_is_never_asked_for(run):
    result = run("def test_it(llm_provider):\n    llm_provider.reply('hi').then.fail(faults.CUT)")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*llm_provider: no request used: reply('hi'), fail(cut). Remove it from the script, or allow it: *"]
    )
    assert "@pytest.mark.llm_provider(assert_all_requested=False)" in result.stdout.str()


def test_a_reply_that_need_not_be_asked_for(run):
    run(
        """
@pytest.mark.llm_provider(assert_all_requested=False)
def test_it(llm_provider):
    llm_provider.reply('hi')
"""
    ).assert_outcomes(passed=1)


def test_a_failed_test_need_not_come_to_the_end_of_its_script(run):
    run("def test_it(llm_provider):\n    llm_provider.reply('hi')\n    assert 0").assert_outcomes(failed=1)


def test_a_request_that_was_never_scripted(run):
    result = run("def test_it(llm_provider):\n    ask()")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*POST api.openai.com/v1/chat/completions (model m) was not scripted. Script a reply*"]
    )


def test_a_request_that_was_never_scripted_and_whose_error_was_swallowed(run):
    result = run(
        """
def test_it(llm_provider):
    try:
        ask()
    except Exception:
        pass
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.llm_provider(assert_all_scripted=False)*"])


def test_everything_is_answered_where_the_test_says_so(run):
    run(
        """
@pytest.mark.llm_provider(assert_all_scripted=False)
def test_it(llm_provider):
    llm_provider.fail(faults.BAD_KEY)
    assert [ask().status_code for _ in range(3)] == [401, 200, 200]
"""
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("llm_provider(assert_all_request=False)", "has no argument assert_all_request: did you mean assert_all_requ"),
        ("llm_provider(False)", "takes keyword arguments: assert_all_requested, assert_all_scripted"),
    ],
)
def test_a_marker_with_a_wrong_argument(run, marker, message):
    result = run(f"@pytest.mark.{marker}\ndef test_it(llm_provider): pass")
    result.assert_outcomes(errors=1)
    assert message in result.stdout.str()


def test_a_server_for_other_clients(run):
    run(
        """
import json, urllib.request
def test_it(llm_server, llm_metrics):
    llm_server.reply("over HTTP", prompt_tokens=3)
    asked = urllib.request.Request(llm_server.url + "/v1/chat/completions", json.dumps({"model": "m"}).encode())
    assert json.load(urllib.request.urlopen(asked))["usage"]["prompt_tokens"] == 3
    assert llm_server.requests[0].model == "m"
"""
    ).assert_outcomes(passed=1)


def test_a_server_is_as_strict(run):
    result = run(
        """
def test_it(llm_server):
    answer = httpx.post(llm_server.url + "/v1/chat/completions", json={"model": "m"})
    assert answer.status_code == 501
def test_unused(llm_server):
    llm_server.reply("hi")
def test_dns(llm_server):
    with pytest.raises(AssertionError, match="no server can show it: use llm_provider"):
        llm_server.fail(faults.DNS)
"""
    )
    result.assert_outcomes(passed=3, errors=2)
    result.stdout.fnmatch_lines(["*llm_server: no request used: reply('hi')*"])


def test_what_is_no_llm_s_goes_where_it_went(run):
    run(
        """
def test_another_mock_s(llm_provider, respx_mock):
    respx_mock.get("https://example.org/").respond(204)
    assert httpx.get("https://example.org/").status_code == 204
def test_this_machine_s(llm_provider, llm_server):
    assert httpx.get(llm_server.url + "/nothing").status_code == 404
    assert httpx2.get(llm_server.url + "/nothing").status_code == 404
"""
    ).assert_outcomes(passed=2)


def test_backends_of_the_settings_are_answered_for(run):
    run(
        """
@pytest.fixture
def llm_settings():
    prices = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1}
    return {"Backends": [{"Name": "ours", "Type": "GenericOpenAI", "BaseUrl": "http://llm.corp/v1", **prices}]}
def test_it(llm_provider, llm_metrics):
    llm_provider.replies("a", "b")
    for library in (httpx, httpx2):
        assert ask(library, url="http://llm.corp/v1/chat/completions").status_code == 200
    llm_metrics.assert_delta("llm_requests_total", {("ours", "m", "success"): 2})
"""
    ).assert_outcomes(passed=1)


# the network


def test_a_connection_to_an_llm_is_refused_in_a_sentence(run):
    result = run(
        """
import socket
@pytest.mark.parametrize("connect", [
    lambda: socket.create_connection(("api.openai.com", 443)),
    lambda: socket.getaddrinfo(b"api.anthropic.com", 443),
])
def test_it(llm_provider, connect):
    connect()
def test_swallowed(llm_provider):
    try:
        socket.getaddrinfo("generativelanguage.googleapis.com", 443)
    except AssertionError:
        pass
"""
    )
    # a swallowed error is reported at the test's end
    result.assert_outcomes(failed=2, passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*the test opened a connection to generativelanguage.googleapis.com, and no simulated provider answered it*"]
    )


def test_everywhere_with_the_option(run):
    code = """
import socket
def test_it():
    with pytest.raises(AssertionError, match="opened a connection to api.openai.com"):
        socket.getaddrinfo("api.openai.com", 443)
def test_elsewhere():
    socket.getaddrinfo("localhost", 80)
"""
    run(code, "--llm-network=deny").assert_outcomes(failed=1, passed=1)


def test_never_merely_because_the_plugin_is_there(run):
    run(
        """
import socket
def test_it(llm_metrics):
    assert not hasattr(socket.getaddrinfo, "__wrapped__")
"""
    ).assert_outcomes(passed=1)


def test_allowed_where_it_is_said(run):
    run(
        """
def test_it(llm_provider):
    import sys
    assert "pytest_llmmetrics.network" not in sys.modules
""",
        "--llm-network=allow",
    ).assert_outcomes(passed=1)
