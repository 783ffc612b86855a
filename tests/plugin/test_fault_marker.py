"""`llm_faults` runs a test once for each fault; each fault has its status and error type."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester):
    def run(code, *options):
        pytester.makepyfile("import pytest\nfrom pytest_llmmetrics import faults\n" + code)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    return run


@pytest.mark.parametrize(
    ("marker", "names"),
    [
        ('llm_faults(only=["rate_limit", faults.CUT])', ["rate_limit", "cut"]),
        ('llm_faults(only=["cut", "stall"], exclude=["cut"])', ["stall"]),
        # as docs/testing.md writes them
        ('llm_faults(only=["BAD_KEY", "bad_gateway", "SLOW_FIRST_BYTE"])', ["bad_key", "bad_gateway", "read_timeout"]),
        ('llm_faults(only=["CUT", "STALL"], exclude=["CUT"])', ["stall"]),
    ],
)
def test_the_chosen_faults(run, marker, names):
    result = run(f"@pytest.mark.{marker}\ndef test_it(llm_fault): pass", "-v")
    result.assert_outcomes(passed=len(names))
    result.stdout.fnmatch_lines([f"*test_it?{name}?*" for name in names])


def test_all_of_them_without_a_choice(run):
    from llmmetrics.testing import FAULTS

    run("def test_it(llm_fault): assert llm_fault.status").assert_outcomes(passed=len(FAULTS))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            '@pytest.mark.llm_faults(only=["ratelimit"])\ndef test_it(llm_fault): pass',
            "no fault is called 'ratelimit': did you mean 'rate_limit'?",
        ),
        (
            '@pytest.mark.llm_faults(only=["BADKEY"])\ndef test_it(llm_fault): pass',
            "no fault is called 'BADKEY': did you mean 'bad_key'?",
        ),
        (
            '@pytest.mark.llm_faults(only="cut")\ndef test_it(llm_fault): pass',
            "'cut' should be a list of faults, as in ['cut']",
        ),
        (
            '@pytest.mark.llm_faults(exlude=["cut"])\ndef test_it(llm_fault): pass',
            "@pytest.mark.llm_faults has no argument exlude: did you mean exclude?",
        ),
        (
            "@pytest.mark.llm_faults(only=[])\ndef test_it(llm_fault): pass",
            "@pytest.mark.llm_faults selects no fault, so the test would not run",
        ),
        (
            '@pytest.mark.llm_faults(only=["cut"], exclude=["cut"])\ndef test_it(llm_fault): pass',
            "@pytest.mark.llm_faults selects no fault",
        ),
        (
            "@pytest.mark.llm_faults\ndef test_it(): pass",
            "@pytest.mark.llm_faults needs the fixture llm_fault among the test's arguments",
        ),
    ],
)
def test_a_wrong_marker_is_a_collection_error_in_one_sentence(run, code, message):
    result = run(code)
    result.assert_outcomes(errors=1)
    assert f".py::test_it: {message}" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


def test_a_fault_that_the_format_has_no_words_for(run):
    result = run(
        """
import httpx
def test_it(llm_provider):
    llm_provider.fail(faults.CONTENT_FILTERED)
    httpx.post("http://localhost:11434/api/chat", json={"model": "m"})
"""
    )
    assert "the fault 'content_filtered' does not exist in ollama's format: " in result.stdout.str()
