"""A suite that uses nothing of ours comes out the same whether the plugin is there or not, down to each outcome."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]

HOSTILE = """
import socket, sys, threading, warnings
import httpx, httpx2, pytest, respx
URL = "https://api.openai.com/v1/chat/completions"
REPLY = {"model": "gpt-4o-mini", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

@pytest.fixture(params=["httpx", "httpx2"])
def library(request): return sys.modules[request.param]

def test_mock_transport(library):
    transport = library.MockTransport(lambda request: library.Response(200, json=REPLY))
    with library.Client(transport=transport) as client:
        assert client.post(URL, json={"model": "m"}).json() == REPLY

def test_respx(respx_mock):
    route = respx_mock.post(URL).respond(json=REPLY)
    httpx.post(URL, json={"model": "m"})
    assert route.call_count == 1

def test_respx_refuses(respx_mock):
    with pytest.raises(AssertionError): httpx.post(URL, json={})

def test_httpx_mock(httpx_mock):
    httpx_mock.add_response(json=REPLY)
    assert httpx.post(URL, json={}).json() == REPLY

def test_an_exact_extension(library):
    seen = []
    def answer(request):
        seen.append(dict(request.extensions)); return library.Response(200, json=REPLY)
    with library.Client(transport=library.MockTransport(answer)) as client:
        client.post(URL, json={}, extensions={"mine": 1})
    assert set(seen[0]) == {"mine", "timeout"}

def test_a_stream_that_is_not_read_on(library):
    pulled = []
    class Body(library.SyncByteStream):
        def __iter__(self):
            for n in range(9):
                pulled.append(n); yield b"data: {}"
    with library.Client(transport=library.MockTransport(lambda _: library.Response(200, stream=Body()))) as client:
        with client.stream("POST", URL, json={"stream": True}) as response:
            next(response.iter_raw())
    assert pulled == [0]

def test_no_thread_is_left():
    assert [each.name for each in threading.enumerate() if "llmmetrics" in each.name] == []

def test_a_warning_is_an_error():
    with pytest.raises(UserWarning): warnings.warn("x")

def test_the_method_of_the_client(library):
    assert library.Client._send_single_request.__qualname__.startswith("Client.")

def test_fails(): assert 0
@pytest.mark.skip
def test_skipped(): pass
@pytest.mark.xfail
def test_xfails(): assert 0
@pytest.fixture
def broken(): raise ValueError
def test_errors(broken): pass
"""


def outcomes(text: str) -> list[str]:
    return sorted(re.findall(r"^\S+::\S+ (?:PASSED|FAILED|ERROR|SKIPPED|XFAIL)", text, re.MULTILINE))


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_the_same_with_and_without(pytester, workers):
    pytester.makepyfile(test_hostile=HOSTILE)
    pytester.makepyprojecttoml('[tool.pytest]\nstrict = true\nfilterwarnings = ["error"]\n')
    options = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-vv", *workers)
    with_ours = pytester.runpytest_subprocess(*options)
    without = pytester.runpytest_subprocess(*options, "-p", "no:llmmetrics")
    if not workers:
        assert outcomes(with_ours.stdout.str()) == outcomes(without.stdout.str())
    assert with_ours.parseoutcomes() == without.parseoutcomes()
    assert with_ours.parseoutcomes()["passed"] == 13
