"""The plugin together with other plugins, under xdist, and under every supported pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import SOAK, alone

pytest_plugins = ["pytester"]
OLD = Path(sys.prefix) / "pytest-8.4"
EXAMPLES = Path(__file__).resolve().parents[2] / "docs/examples"
NEIGHBOURS = ("respx", "pytest_httpx2", "pytest_httpx", "xdist", "pytest_cov", "anyio", "time_machine", "asyncio")

USES_ALL = """
import httpx2, pytest
from pytest_llmmetrics import faults, usd
URL = "https://api.openai.com/v1/chat/completions"
def test_reply(llm_metrics, llm_provider):
    llm_provider.reply("hi", prompt_tokens=120, completion_tokens=8)
    assert httpx2.post(URL, json={"model": "gpt-4o-mini", "messages": []}).status_code == 200
    assert llm_metrics.cost == usd("0.0000228")
@pytest.mark.llm_faults(only=["rate_limit", "cut"])
def test_fault(llm_fault, llm_metrics, llm_provider):
    llm_provider.fail(llm_fault)
    try:
        httpx2.post(URL, json={"model": "gpt-4o-mini", "messages": []})
    except httpx2.HTTPError:
        pass
    assert llm_metrics.last.error_type == llm_fault.error_type
def test_budget(llm_budget, llm_clock, llm_meter, llm_provider):
    llm_budget.set("openai", "1", period="Daily")
    llm_budget.exhaust("openai")
    llm_clock.to_next_reset("openai")
    assert llm_budget.spent("openai") == 0
"""


def pytest_in(directory, *options, old=False, **environ):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    if old:
        inherited["PYTHONPATH"] = str(OLD)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options],
        capture_output=True,
        text=True,
        cwd=directory,
        env={**inherited, **environ},
        check=False,
    )


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_without_a_neighbour(pytester, neighbour):
    pytester.makepyfile(USES_ALL)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", f"no:{neighbour}").assert_outcomes(passed=4)


def test_without_any_plugin_but_ours(pytester):
    pytester.makepyfile(USES_ALL)
    done = pytest_in(pytester.path, "-p", "pytest_llmmetrics.plugin", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "4 passed" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("table", "strict"),
    [("[tool.pytest]", "strict = true"), ("[tool.pytest.ini_options]", 'addopts = "--strict-markers"')],
)
def test_both_tables(pytester, table, strict):
    pytester.makepyprojecttoml(f'{table}\n{strict}\nfilterwarnings = ["error"]\n')
    pytester.makepyfile(USES_ALL)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio").assert_outcomes(passed=4)


def test_under_the_oldest_pytest(pytester):
    if not OLD.exists():
        pytest.skip(f"needs pytest 8.4 in {OLD.name} of the virtual environment: make test puts it there")
    pytester.makepyprojecttoml('[tool.pytest.ini_options]\naddopts = "--strict-markers"\nfilterwarnings = ["error"]\n')
    pytester.makepyfile(USES_ALL)
    # without plugins that need a newer pytest
    done = pytest_in(
        pytester.path,
        "--version",
        "--version",
        "-p",
        "pytest_llmmetrics.plugin",
        old=True,
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert "pytest version 8.4" in done.stdout + done.stderr
    done = pytest_in(pytester.path, "-p", "pytest_llmmetrics.plugin", old=True, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "4 passed" in done.stdout, done.stdout


def test_the_examples_in_two_processes():
    some = (".",) if SOAK else ("test_budgets.py", "test_cassettes.py", "test_tokens.py")
    done = pytest_in(EXAMPLES, "-n", "2", "-q", *some)
    assert done.returncode == 0, done.stdout
    assert "failed" not in done.stdout


def test_a_worker_that_crashes(pytester):
    pytester.makepyfile(
        USES_ALL
        + """
def test_crash(llm_provider):
    import os
    os._exit(1)
"""
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2")
    result.assert_outcomes(passed=4, failed=1)
    assert "INTERNALERROR" not in result.stdout.str()


def test_async_tests_of_both_plugins(pytester):
    pytester.makepyfile(
        """
        import httpx2, pytest
        URL = "https://api.openai.com/v1/chat/completions"
        async def ask(llm_provider, llm_metrics):
            llm_provider.reply("hi")
            async with httpx2.AsyncClient() as client:
                await client.post(URL, json={"model": "m"})
            assert llm_metrics.attempts == 1
        @pytest.mark.asyncio
        async def test_asyncio(llm_provider, llm_metrics):
            await ask(llm_provider, llm_metrics)
        @pytest.mark.anyio
        async def test_anyio(llm_provider, llm_metrics):
            await ask(llm_provider, llm_metrics)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)


def test_with_respx_and_httpx_mock(pytester):
    pytester.makepyfile(
        """
        import httpx, httpx2, pytest
        URL = "https://api.openai.com/v1/chat/completions"
        def test_respx(respx_mock, llm_metrics):
            respx_mock.post(URL).respond(json={"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
            httpx.post(URL, json={"model": "m"})
            assert llm_metrics.tokens["total"] == 7
        def test_respx2(httpx2_mock, llm_metrics):
            httpx2_mock.post(URL).respond(json={"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
            httpx2.post(URL, json={"model": "m"})
            assert llm_metrics.tokens["total"] == 7
        def test_httpx_mock(httpx_mock, llm_metrics):
            httpx_mock.add_response(json={"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
            httpx.post(URL, json={"model": "m"})
            assert llm_metrics.tokens["total"] == 7
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_llm_provider_beside_httpx_mock_is_refused(pytester):
    pytester.makepyfile("def test_it(httpx_mock, llm_provider): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    assert (
        "llm_provider and httpx_mock both answer httpx requests: use only one of them in a test" in result.stdout.str()
    )


def test_the_whole_plugin_is_light_until_it_is_used(pytester):
    pytester.makepyfile("def test_it(): pass")
    code = (
        "import sys, pytest; pytest.main(['-q', '-p', 'no:cacheprovider', '-p', 'no:respx', '-p', 'no:pytest_httpx2', "
        "'-p', 'no:pytest_httpx', '-p', 'no:pytest_cov', '-p', 'no:cassetter']);"
        "print(sorted({'httpx', 'httpx2', 'pydantic', 'prometheus_client', 'llmmetrics', 'respx', 'vcr'} & set(sys.modules)))"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=pytester.path, env=environ, check=True
    )
    assert done.stdout.strip().splitlines()[-1] == "[]", done.stdout


def test_the_module_alone_is_light():
    code = "import sys, pytest, pytest_llmmetrics.plugin; print(sorted({'httpx', 'httpx2', 'pydantic', 'prometheus_client', 'llmmetrics'} & set(sys.modules)))"
    assert alone(code).strip() == "[]"
