"""Cassettes together with other plugins and fixtures."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


def said(result):
    return " ".join((result.stdout.str() + result.stderr.str()).split())


def test_rivals_are_refused(run):
    result = run(
        """
    @cassette("openai/success")
    def test_pytest_httpx(httpx_mock): ask()

    @cassette("openai/success")
    @pytest.mark.vcr
    def test_pytest_recording(): ask()

    @pytest.fixture
    def llm_provider(): ...

    @cassette("openai/success")
    def test_llm_provider(llm_provider): ask()

    def test_no_marker(llm_cassette): ask()
""",
        *("-o", "markers=vcr: pytest-recording's"),
    )
    result.assert_outcomes(errors=4)
    text = said(result)
    assert (
        "httpx_mock and @pytest.mark.llm_cassette cannot be in one test: vcrpy over pytest-httpx sends requests to"
        in text
    )
    assert "@pytest.mark.vcr and @pytest.mark.llm_cassette both use vcrpy: use only one of them on a test" in text
    assert "llm_provider and @pytest.mark.llm_cassette cannot be in one test: both answer" in text
    assert "the fixture llm_cassette needs @pytest.mark.llm_cassette on the test" in text


NEIGHBOURS = """
    import anyio, asyncio, time_machine

    @cassette("openai/rate_limited")
    @pytest.mark.parametrize("n", range(4))
    @pytest.mark.parametrize("library", [httpx, httpx2])
    def test_sync(library, n): assert ask(library) == 429

    @pytest.mark.anyio
    @cassette("openai/success")
    async def test_anyio():
        async with httpx2.AsyncClient() as client:
            assert (await client.post(URL, json=ASK)).status_code == 200

    @pytest.mark.asyncio
    @cassette("openai/success")
    async def test_asyncio():
        async with httpx.AsyncClient() as client:
            assert (await client.post(URL, json=ASK)).status_code == 200

    @cassette("openai/success")
    @time_machine.travel("2030-01-01", tick=False)
    def test_frozen(): assert ask() == 200

    @cassette("openai/success")
    def test_metered(llm_meter, llm_metrics):
        with llm_meter.wrap(httpx2.Client()) as client:
            client.post(URL, json=ASK)
        assert llm_metrics.delta("llm_tokens_total", token_type="total") == 20

    def test_none(): ...
"""


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-n", "2"),
        ("-p", "no:xdist"),
        ("-p", "no:respx", "-p", "no:pytest_httpx2", "-p", "no:pytest_httpx", "-p", "no:cov"),
        ("-p", "no:respx"),
        ("-p", "no:pytest_httpx"),
    ],
    ids=" ".join,
)
def test_neighbours(run, arguments):
    run(NEIGHBOURS, *arguments).assert_outcomes(passed=14)


def test_what_vcrpy_does_not_see_reaches_no_llm(run):
    result = run(
        """
    import socket

    @cassette("openai/success")
    def test_it():
        assert ask() == 200
        try:
            socket.create_connection(("api.openai.com", 443), 9)
        except Exception:
            ...
"""
    )
    result.assert_outcomes(failed=1)
    assert "the test opened a connection to api.openai.com" in said(result)


def test_respx_answers_for_the_rest(run):
    result = run(
        """
    @cassette("openai/success")
    def test_it(respx_mock):
        respx_mock.get("https://weather.example/").respond(204)
        assert ask() == 200
        assert httpx.get("https://weather.example/").status_code == 204
"""
    )
    result.assert_outcomes(passed=1)


def test_session_fixtures_outlive_a_cassette(run):
    result = run(
        """
    @pytest.fixture(scope="session")
    def patched():
        original = httpx2.HTTPTransport.handle_request
        def traced(self, request): return original(self, request)
        httpx2.HTTPTransport.handle_request = traced
        yield traced
        httpx2.HTTPTransport.handle_request = original

    @pytest.fixture(autouse=True)
    def asks_early(request):
        if "llm_cassette" in request.fixturenames:
            assert ask() == 200

    @cassette("openai/success")
    def test_it(patched): assert ask() == 200

    def test_afterwards(patched): assert httpx2.HTTPTransport.handle_request is patched
"""
    )
    result.assert_outcomes(passed=2)
