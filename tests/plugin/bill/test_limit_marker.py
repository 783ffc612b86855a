"""`@pytest.mark.llm_limit`: a test that exceeds its limits fails, with and without the bill's options."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

APP = """
import httpx2

def ask(n=1, model="gpt-4o-mini", status=200):
    def reply(request):
        usage = {"prompt_tokens": 120, "completion_tokens": 8}
        return httpx2.Response(status, json={"model": model, "choices": [], "usage": usage})

    with httpx2.Client(transport=httpx2.MockTransport(reply)) as client:
        for _ in range(n):
            client.post("https://api.openai.com/v1/chat/completions", json={"model": model})
"""
OPTIONS = [(), ("--llm-metrics",), ("--llm-gate",)]


@pytest.fixture
def suite(pytester, session):
    def run(code, *options):
        pytester.makepyfile(app=APP, test_it="import pytest\nfrom app import ask\n" + code)
        return session(*options)

    return run


EXCEEDED = [
    ("calls=2", "ask(3)", "3 calls, the limit is 2"),
    ("calls=0", "ask()", "1 calls, the limit is 0"),
    ("tokens=127", "ask()", "128 tokens, the limit is 127"),
    ("usd='0.000022'", "ask()", "$0.0000228, the limit is $0.000022"),
    ("attempts=1", "ask(status=429); ask()", "2 attempts, the limit is 1"),
    (
        "usd='1'",
        "ask(model='unpriced-7b')",
        "the cost is unknown, the limit is $1.00: no price is known for unpriced-7b at openai*",
    ),
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_a_limit_is_an_assertion(suite, options):
    code = "\n".join(
        f"@pytest.mark.llm_limit({marker})\ndef test_{n}(): {act}" for n, (marker, act, _) in enumerate(EXCEEDED)
    )
    done = suite(code, *options)
    assert done.ret == 1
    done.assert_outcomes(failed=len(EXCEEDED))
    for _, _, said in EXCEEDED:
        done.stdout.fnmatch_lines(
            [
                f"over @pytest.mark.llm_limit: {said}",
                "used: * calls, * attempts, * tokens*. If this is intended, raise the limit of the marker",
            ]
        )


@pytest.mark.parametrize("options", OPTIONS[:2], ids=" ".join)
def test_what_is_within_its_limit_passes(suite, options):
    done = suite(
        """
import threading

@pytest.fixture(scope="session")
def warm():
    ask(5)

@pytest.fixture
def around(warm):
    ask(5)
    yield
    ask(5)

@pytest.mark.llm_limit(usd="0.0000228", calls=1, tokens=128, attempts=1)
def test_fixtures_calls_are_the_fixtures(around):
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

@pytest.mark.llm_limit(calls=1)
def test_a_fixture_asked_for_in_the_test(request):
    request.getfixturevalue("around")
    ask()

@pytest.mark.llm_limit(calls=0)
def test_the_first_answer_is_not_the_second_tests(): pass

def test_without_a_limit():
    ask(9)
""",
        *options,
    )
    done.assert_outcomes(passed=4)


def test_the_calls_are_those_that_llm_metrics_sees(suite):
    done = suite(
        """
@pytest.fixture
def llm_settings():
    return {"Backends": [{"Name": "mine", "Type": "OpenAI", "ModelName": "gpt-4o-mini",
                          "CostPerMillionInputTokens": 1000, "CostPerMillionOutputTokens": 0}]}

@pytest.mark.llm_limit(calls=1)
def test_one(llm_metrics):
    ask()
    assert llm_metrics.tokens["total"] == 128

@pytest.mark.llm_limit(usd="0.1")
def test_the_meters_own_prices(llm_metrics):
    ask()
"""
    )
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["over @pytest.mark.llm_limit: $0.12, the limit is $0.10"])


def test_other_outcomes_stay(suite):
    done = suite(
        """
pytestmark = pytest.mark.llm_limit(calls=1)

@pytest.mark.skip
def test_skipped(): ask(2)

def test_skips():
    ask(2)
    pytest.skip("later")

@pytest.mark.xfail(strict=True)
def test_expected(): ask(2)

def test_fails():
    ask(2)
    assert "its own" == "words"

@pytest.mark.llm_limit(calls=2)
def test_the_nearest_holds(): ask(2)

@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.llm_limit(calls=2))])
def test_each(n): ask(n)
"""
    )
    done.assert_outcomes(skipped=2, xfailed=1, failed=1, passed=3)
    done.stdout.fnmatch_lines(["*AssertionError: assert 'its own' == 'words'*"])
    done.stdout.no_fnmatch_line("over @pytest.mark.llm_limit*")


def test_a_run_again_starts_from_0(suite):
    code = """
runs = []

@pytest.mark.llm_limit(calls=1)
def test_it():
    runs.append(1)
    ask(2 if len(runs) == 1 else 1)
"""
    assert suite(code, "--reruns=1").ret == 0


def test_under_xdist(suite):
    done = suite(
        "@pytest.mark.llm_limit(calls=1)\n@pytest.mark.parametrize('n', [1, 2])\ndef test_it(n): ask(n)",
        *("-n1", "--llm-gate", "--llm-baseline=create"),
    )
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "note: test_it.py::test_it?2? exceeded its @pytest.mark.llm_limit (2 calls, the limit is 1) and is not judged*"
        ]
    )


def test_the_gate_names_the_marker_and_not_the_baseline(suite):
    code = "def test_other(): ask()\n@pytest.mark.llm_limit(calls={})\ndef test_it(): ask(2)"
    assert suite(code.format(2), "--llm-baseline=create").ret == 0
    done = suite(code.format(1), "--llm-gate")
    assert done.ret == 1
    done.stdout.fnmatch_lines(
        [
            "note: test_it.py::test_it exceeded its @pytest.mark.llm_limit (2 calls, the limit is 1) and is not judged: *",
            "passed: 1 test judged; not judged: 1 failed",
        ]
    )
    done.stdout.no_fnmatch_line("*--llm-baseline*")


WRONG = [
    ("usd=0.002", 'llm_limit(usd=0.002) is a float, which is not exact: write usd="0.002"'),
    ("usd='cheap'", "llm_limit(usd='cheap') is not an amount: write*"),
    ("usd=float('nan')", "llm_limit(usd=nan) is not an amount: write*"),
    ("usd='NaN'", "llm_limit(usd='NaN') is not an amount: write*"),
    ("usd='-1'", "llm_limit(usd='-1') is not an amount: write*"),
    ("usd=-0.5", "llm_limit(usd=-0.5) is not an amount: write*"),
    ("usd=None", "llm_limit(usd=None) is not an amount: write*"),
    ("calls='3'", "llm_limit(calls='3') is not a count: write*"),
    ("calls=-1", "llm_limit(calls=-1) is not a count: write*"),
    ("calls=True", "llm_limit(calls=True) is not a count: write*"),
    ("tokens=1.5", "llm_limit(tokens=1.5) is not a count: write*"),
    ("token=1", "llm_limit has no argument 'token': did you mean tokens[?]"),
    ("price='1'", "llm_limit has no argument 'price': it takes usd, calls, tokens, attempts, enforce"),
    ("calls=1, enforce=1", "llm_limit(enforce=1) is not True or False*"),
    ("enforce=True", "llm_limit has no limit: *"),
    ("'1'", "llm_limit takes only named arguments: write*"),
    ("", "llm_limit has no limit: write*"),
]


def test_a_wrong_limit_is_the_error_of_its_test_alone(suite):
    marked = [f"@pytest.mark.llm_limit({marker})\ndef test_{n}(never): pass" for n, (marker, _) in enumerate(WRONG)]
    never = "@pytest.fixture\ndef never(): raise RuntimeError('set up')"
    done = suite("\n".join([never, *marked, "def test_right(): pass"]))
    done.assert_outcomes(errors=len(WRONG), passed=1)
    for _, said in WRONG:
        done.stdout.fnmatch_lines([f"@pytest.mark.{said}"])
    done.stdout.no_fnmatch_line("*set up*")


def test_the_old_name(suite):
    code = "@pytest.mark.llm_budget(calls=1)\ndef test_it(): ask({})"
    done = suite(code.format(1), "--strict-markers")
    done.assert_outcomes(passed=1, warnings=1)
    done.stdout.fnmatch_lines(["*PytestDeprecationWarning: @pytest.mark.llm_budget is now @pytest.mark.llm_limit*"])
    done = suite(code.format(2), "-Wignore::pytest.PytestDeprecationWarning")
    done.assert_outcomes(failed=1)
    suite(code.format(1), "-Werror").assert_outcomes(errors=1)


def test_markers_that_conftest_adds(suite, pytester):
    pytester.makeconftest(
        """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.llm_limit(calls=1))
"""
    )
    suite("def test_it(): ask(2)").assert_outcomes(failed=1)


def test_a_baseline_of_nothing_says_why(suite):
    said = "no test was written to llm-costs.json: *"
    suite("def test_it(): pass", "--llm-baseline=create").stdout.fnmatch_lines([f"{said}no test made an LLM call*"])
    code = "@pytest.mark.llm_limit(calls=1)\ndef test_it(): ask(2)"
    suite(code, "--llm-baseline=create").stdout.fnmatch_lines([f"{said}no test that made LLM calls passed"])
