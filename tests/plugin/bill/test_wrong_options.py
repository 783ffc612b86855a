"""Wrong options of the bill and the gate: exit code 4, and a sentence that says what to write."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester, session):
    pytester.makepyfile(test_it="def test_it(): pass")
    return session


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--llm-limit=cost five% 1"], "*the limit 'cost five% 1' has 'five' instead of a number: write it as*"),
        (["--llm-top=many"], "*--llm-top=many: write the number of tests to list, such as 10"),
        (["--llm-baseline=update"], "*--llm-baseline=update: there are create, fix, trim"),
        (["--llm-gate-mode=stop"], "*--llm-gate-mode=stop: there are report, warn, block"),
        (["--llm-gate-accepted=yes"], "*--llm-gate-accepted=yes: there are report, warn, block"),
        (["--llm-gate-base="], "*--llm-gate-base= is empty: write --llm-gate-base=REV as --help says, or remove it"),
        (["--llm-prices", ""], "*--llm-prices= is empty: write --llm-prices=FILE as --help says, or remove it"),
        (["--llm-limit=cost 5%", "--llm-limit="], "*--llm-limit= is empty: write --llm-limit=LIMIT *"),
        (["--llm-report=costs.pdf"], "*--llm-report=costs.pdf: the suffix is the format: .json, .md, .html"),
    ],
)
@pytest.mark.parametrize("gate", [(), ("--llm-gate",)], ids=["alone", "gate"])
def test_wrong_options_end_before_the_tests(run, arguments, said, gate):
    done = run(*gate, *arguments)
    assert done.ret == 4
    done.stderr.fnmatch_lines([said])
    assert "passed" not in done.stdout.str()


@pytest.mark.parametrize(
    ("option", "needs"),
    [
        ("--llm-twice", "--llm-baseline"),
        ("--llm-gate-base=main", "--llm-gate"),
        ("--llm-gate-mode=warn", "--llm-gate"),
        ("--llm-gate-accepted=warn", "--llm-gate"),
        ("--llm-gate-inconclusive=warn", "--llm-gate or --llm-baseline"),
        ("--llm-limit=cost 5%", "--llm-gate"),
        ("--llm-baseline-file=costs.json", "--llm-gate or --llm-baseline"),
        ("--llm-top=3", "--llm-metrics or --llm-gate or --llm-baseline or --llm-report"),
    ],
)
def test_an_option_that_does_nothing_alone(session, option, needs):
    done = session(option)
    assert done.ret == 4
    done.stderr.fnmatch_lines(
        [f"ERROR: {option.partition('=')[0]} has no effect without {needs}: add one, or remove --*"]
    )


def test_the_gates_options_and_another_that_meters(session):
    done = session("--llm-metrics", "--llm-limit=cost 5%")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*--llm-limit has no effect without --llm-gate: *@pytest.mark.llm_limit"])


def test_thresholds_in_the_ini_file(run, pytester):
    (pytester.path / "pyproject.toml").write_text('[tool.pytest]\nllm_limits = ["calls much% 1"]\n')
    done = run("--llm-gate")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*the limit 'calls much% 1' has 'much' instead of a number*(in llm_limits, *"])
