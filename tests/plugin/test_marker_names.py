"""A misspelt `llm_…` marker is an error with the nearest name, and its test makes no call."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import pytest

@pytest.fixture(autouse=True)
def call():
    print("a real call")

@pytest.mark.{}
def test_it(): pass

def test_other(): pass
"""
WRONG = [
    ('llm_casette("openai/success")', "llm_casette", "llm_cassette"),
    ("llm_fault", "llm_fault", "llm_faults"),
    ("llm_limits(calls=1)", "llm_limits", "llm_limit"),
    ("llm_provder(assert_all_requested=False)", "llm_provder", "llm_provider"),
]


def test_is_the_error_of_its_test(pytester):
    pytester.makepyfile(
        "import pytest\n@pytest.fixture(autouse=True)\ndef call(): print('a real call')\n"
        + "\n".join(f"@pytest.mark.{marker}\ndef test_{n}(): pass" for n, (marker, _, _) in enumerate(WRONG))
    )
    done = pytester.runpytest("-p", "no:asyncio", "-Wdefault")
    done.assert_outcomes(errors=len(WRONG), warnings=len(WRONG))
    for _, name, near in WRONG:
        done.stdout.fnmatch_lines([f"there is no marker {name}: did you mean @pytest.mark.{near}[?] *"])
    done.stdout.no_fnmatch_line("*a real call*")


@pytest.mark.parametrize("options", [("--strict-markers",), ("-Werror",)])
def test_has_the_nearest_name_where_pytest_itself_complains(pytester, options):
    pytester.makepyfile(SUITE.format(WRONG[0][0]))
    done = pytester.runpytest("-p", "no:asyncio", *options)
    assert done.ret == 2
    done.stdout.fnmatch_lines(["there is no marker llm_casette: did you mean @pytest.mark.llm_cassette[?] *"])


def test_markers_of_the_users_own(pytester):
    pytester.makepyfile(SUITE.format("llm_limits") + "\n@pytest.mark.llm_nightly\ndef test_far(): pass\n")
    pytester.makeini("[pytest]\nmarkers =\n    llm_limits(n): of our own\n")
    done = pytester.runpytest("-p", "no:asyncio", "-Wdefault")
    done.assert_outcomes(passed=3, warnings=1)
