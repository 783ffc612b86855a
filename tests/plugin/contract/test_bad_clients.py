"""Wrong client code: the right test of the contract fails, and says what is wrong."""

from __future__ import annotations

import re

import pytest

pytest_plugins = ["pytester"]
BAD = """
import asyncio, logging, ssl, time
import httpx, pytest
from pytest_llmmetrics.contract import LlmClientContract

TLS = ssl.create_default_context()
KEY = "sk-contract-0123456789abcdef"
URL = "https://api.openai.com/v1/chat/completions"
GPT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]}
HEADERS = {"authorization": f"Bearer {KEY}"}


def client(**options):
    return httpx.Client(headers=HEADERS, verify=TLS, **{"timeout": 10, **options})


def aclient():
    return httpx.AsyncClient(headers=HEADERS, verify=TLS, timeout=10)


def text(answer):
    return answer.raise_for_status().json()["choices"][0]["message"]["content"]


class TestLeaks(LlmClientContract):
    kept = []

    def call(self):
        http = client()
        self.kept.append(http)
        answer = http.send(http.build_request("POST", URL, json=GPT), stream=True)
        # a refused call is never closed
        answer.raise_for_status()
        answer.read()
        return text(answer)


class TestForever(LlmClientContract):
    def call(self):
        wait = 1
        while True:
            try:
                with client() as http:
                    return text(http.post(URL, json=GPT))
            except httpx.HTTPStatusError as exc:
                if exc.response.status_code < 429:
                    raise
            except httpx.TransportError:
                pass
            time.sleep(wait)
            wait *= 2


class TestTellsTheKey(LlmClientContract):
    def call(self):
        with client() as http:
            try:
                return text(http.post(URL, json=GPT))
            except httpx.HTTPStatusError as exc:
                raise ValueError(f"refused with {dict(exc.request.headers)}") from None


class TestLogsTheKey(LlmClientContract):
    def call(self):
        logging.getLogger("app").debug("asking with %s", KEY)
        with client() as http:
            return text(http.post(URL, json=GPT))


class TestSwallowsCancel(LlmClientContract):
    async def call(self):
        async with aclient() as http:
            try:
                return text(await http.post(URL, json=GPT))
            except asyncio.CancelledError:
                return ""


class TestSwallowsEverything(LlmClientContract):
    def call(self):
        with client() as http:
            try:
                return text(http.post(URL, json=GPT))
            except Exception:
                return ""


class TestNeverGivesUp(LlmClientContract):
    def call(self):
        with client(timeout=None) as http:
            return text(http.post(URL, json=GPT))


class TestTooPatient(LlmClientContract):
    deadline = 30

    async def call(self):
        async with aclient() as http:
            for _ in range(3):
                try:
                    return text(await http.post(URL, json=GPT))
                except httpx.ReadTimeout:
                    await asyncio.sleep(60)
            raise TimeoutError


class TestHasty(LlmClientContract):
    async def call(self):
        async with aclient() as http:
            answer = await http.post(URL, json=GPT)
            if answer.status_code == 429:
                await asyncio.sleep(0.1)
                answer = await http.post(URL, json=GPT)
            return text(answer)


class TestStubborn(LlmClientContract):
    def call(self):
        with client() as http:
            answer = http.post(URL, json=GPT)
            if answer.status_code in (400, 401, 403):
                answer = http.post(URL, json=GPT)
            return text(answer)


class TestStreams(LlmClientContract):
    open = []

    def call(self):
        with client() as http:
            return text(http.post(URL, json=GPT))

    def stream(self):
        http = client()
        answer = http.send(http.build_request("POST", URL, json={**GPT, "stream": True}), stream=True)
        answer.raise_for_status()
        self.open.append(answer)
        return answer.iter_lines()


class TestTalksToNobody(LlmClientContract):
    def call(self):
        return "hello"


class TestWaitsForEver(LlmClientContract):
    async def call(self):
        await asyncio.Event().wait()


class TestHidesTheRefusal(LlmClientContract):
    def call(self):
        with client() as http:
            try:
                return text(http.post(URL, json=GPT))
            except (httpx.HTTPError, ValueError, KeyError):
                raise
            except Exception:
                exc = RuntimeError("no")
            raise exc
"""

# the class, the test that must fail, and its message
CAUGHT = [
    ("TestLeaks", "test_no_fault_leaks_a_connection", "the answer is not closed after rate_limit, "),
    (
        "TestForever",
        "test_attempts_are_bounded[unavailable]",
        "it retried until the suite stopped it: max_attempts is 3",
    ),
    ("TestForever", "test_the_deadline_is_kept[read_timeout]", ""),
    ("TestTellsTheKey", "test_no_secret_gets_out", "the API key is in the exception or the log of: rate_limit,"),
    ("TestLogsTheKey", "test_no_secret_gets_out", "the API key is in the exception or the log of: the log"),
    (
        "TestSwallowsCancel",
        "test_a_cancelled_call[headers]",
        "the cancellation was swallowed: the result was '' instead",
    ),
    ("TestSwallowsCancel", "test_a_cancelled_call[body]", ""),
    ("TestSwallowsEverything", "test_a_fault[bad_key]", "call() returned '': raise an error, or declare"),
    ("TestNeverGivesUp", "test_the_deadline_is_kept[read_timeout]", "one call has no end, because a timeout is None"),
    ("TestTooPatient", "test_the_deadline_is_kept[read_timeout]", ": the deadline is 30 s"),
    ("TestHasty", "test_retry_after_is_kept", "before the 1 s of Retry-After"),
    ("TestStubborn", "test_a_lasting_error_is_not_retried[bad_key]", "it made 2 attempts after bad_key"),
    ("TestStreams", "test_a_stream_closed_early_counts_once", "the answer is not closed when its stream is"),
    (
        "TestTalksToNobody",
        "test_a_success_is_counted_once",
        "call() made no LLM call through a library that is metered",
    ),
    ("TestWaitsForEver", "test_a_success_is_counted_once", "waits for something that never happens"),
    ("TestHidesTheRefusal", "test_a_refusal_reaches_the_caller", "which does not contain the BudgetExceeded"),
]
ALONE = {
    "TestTellsTheKey": {"test_no_secret_gets_out"},
    "TestLogsTheKey": {"test_no_secret_gets_out"},
    "TestSwallowsCancel": {"test_a_cancelled_call[headers]", "test_a_cancelled_call[body]"},
    "TestHasty": {"test_retry_after_is_kept"},
    "TestStreams": {"test_a_stream_closed_early_counts_once"},
    "TestHidesTheRefusal": {"test_a_refusal_reaches_the_caller"},
}
"""For clients without another error."""


def test_bad_clients(pytester):
    pytester.makepyfile(test_bad=BAD)
    # two of them fail in all tests, in the same way
    some = ["-k", "test_a_success_is_counted_once or not (TalksToNobody or WaitsForEver)"]
    how = ["-p", "no:cacheprovider", "-rf", "-q", "-W", "ignore", "--show-capture=no", "--tb=short"]
    done = pytester.runpytest_subprocess(*how, *some)
    said = done.stdout.str()
    failed = re.findall(r"^FAILED \S+?::(Test\w+)::(\S+)", said, re.MULTILINE)
    for name, test, _ in CAUGHT:
        print(f"{name:<24} {test}")  # noqa: T201
    assert [(name, test) for name, test, _ in CAUGHT if (name, test) not in failed] == []
    assert [says for *_, says in CAUGHT if says not in said] == []
    for name, tests in ALONE.items():
        assert {test for of, test in failed if of == name} == tests, name


WRONG = {
    "faults_excluded = ['reat_limit']": "TestIt: no fault is called 'reat_limit': did you mean 'rate_limit'",
    "handled = ['bugdet']": "TestIt: no fault is called 'bugdet'",
    "handled = 'budget'": "TestIt: 'budget' should be a list of faults, as in ['budget']",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_attribute_is_an_error_of_the_collection(pytester, line):
    pytester.makepyfile(
        f"""
        from pytest_llmmetrics.contract import LlmClientContract
        class TestIt(LlmClientContract):
            {line}
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(errors=1)
    assert WRONG[line] in done.stdout.str()


def test_a_suite_is_collected_where_it_is_subclassed_and_not_where_it_is_imported(pytester):
    pytester.makepyfile(
        """
        from prometheus_client import CollectorRegistry
        from llmmetrics import Meter
        from pytest_llmmetrics.contract import LlmClientContract, MeteredMetricsContract
        from pytest_llmmetrics.contract import LlmClientContract as TestImported, MeteredMetricsContract as TestToo
        class TestMine(MeteredMetricsContract):
            checks_excluded = ["buckets"]
            def metrics(self):
                registry = CollectorRegistry()
                self.meter = Meter.from_settings({}, registry=registry)
                return registry
        class TestAbstract(MeteredMetricsContract):
            __test__ = False
        """
    )
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q")
    outcomes = done.parseoutcomes()
    assert outcomes["skipped"] == 1
    assert outcomes["passed"] > 15
    assert "failed" not in outcomes


def test_what_is_not_said_is_asked_for(pytester):
    pytester.makepyfile(
        """
        from pytest_llmmetrics.contract import LlmClientContract, MeteredMetricsContract
        class TestCall(LlmClientContract):
            pass
        class TestMetrics(MeteredMetricsContract):
            pass
        class TestNobody(MeteredMetricsContract):
            def metrics(self):
                return "http://127.0.0.1:9/metrics"
        """
    )
    said = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-q").stdout.str()
    assert "override call(): make one LLM call" in said
    assert "override metrics(): return a registry" in said
    assert "start the application, or correct the address" in said


def test_faults_are_declared_in_any_spelling():
    from pytest_llmmetrics import faults
    from pytest_llmmetrics.contract import LlmClientContract

    class TestIt(LlmClientContract):
        __test__ = False
        handled = ("budget", "BAD_KEY", faults.CUT)
        faults_excluded = ("STALL", "dns")

    assert TestIt.handled == {"budget", "bad_key", "cut"}
    assert TestIt.faults_excluded == {"stall", "dns"}
