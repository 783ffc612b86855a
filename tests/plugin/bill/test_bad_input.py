"""Errors of a user: each gives one sentence that says what to do, and the right exit code."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.reports import report, row

from llmmetrics.testing.harness import ESTIMATOR
from pytest_llmmetrics.__main__ import main

pytest_plugins = ["pytester"]

SUITE = """
import httpx2
def test_it():
    def reply(request):
        return httpx2.Response(200, json={"usage": {"prompt_tokens": 120, "completion_tokens": 8}})
    client = httpx2.Client(transport=httpx2.MockTransport(reply))
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini"})
"""
LINE = {"test": "test_it.py::test_it", "backend": "openai", "model": "gpt-4o-mini", "calls": 1, "attempts": 1}
TEST = "test_a.py::test_a"


@pytest.fixture
def run(pytester, session):
    pytester.makepyfile(test_it=SUITE)
    return session


def baseline(**more) -> str:
    return json.dumps({"schema": 1, "rows": [{**LINE, "tokens": {"input": 120, "output": 8}}], **more})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no llm-costs.json: write it with --llm-baseline=create, and commit it"),
        ("{", "llm-costs.json is not JSON (*restore it from version control, or write a new one"),
        ("[]", "llm-costs.json is not a baseline of pytest-llmmetrics: it has no key 'schema'"),
        (
            baseline(schema=3),
            "llm-costs.json has the schema 3, and this pytest-llmmetrics reads up to 2: install the version*",
        ),
        (
            "<<<<<<< HEAD\n" + baseline(),
            "llm-costs.json has merge-conflict markers: run llmmetrics-gate resolve llm-costs.json, then the tests",
        ),
        (baseline(rows=[LINE, LINE]), "llm-costs.json has two rows of test_it.py::test_it with *keep one, then run*"),
        (baseline(rows=[{**LINE, "calls": -1}]), "llm-costs.json is not a valid baseline: rows.0.calls: *"),
        (
            baseline(rows=[{**LINE, "usd": "1"}]),
            "llm-costs.json is not a valid baseline: rows.0.usd: *: correct it, or *",
        ),
        (
            baseline(estimator=-1),
            "llm-costs.json is not a valid baseline: estimator: *: correct it, or write a new file",
        ),
        (
            baseline(rows=[{**LINE, "test": "/home/ada/shop/test_it.py::test_it"}]),
            "llm-costs.json has the test '/home/ada/shop/test_it.py::test_it', which is a path of one machine: run*",
        ),
        (baseline(rows=[{**LINE, "test": "C:\\shop\\test_it.py::test_it"}]), "*which is a path of one machine: run*"),
    ],
)
def test_a_baseline_that_cannot_be_used_proves_nothing(run, pytester, text, said):
    if text is not None:
        (pytester.path / "llm-costs.json").write_text(text, "utf8")
    done = run("--llm-gate")
    assert done.ret == 11
    wanted = said.replace("[", "[[]")
    done.stdout.fnmatch_lines([f"inconclusive: {wanted}", "inconclusive: the calls cannot be compared*"])
    assert "regression" not in done.stdout.str()


@pytest.mark.parametrize("act", ["--llm-gate", "--llm-baseline=fix"])
@pytest.mark.parametrize(("text", "said"), [(None, "there is no {}: write it *"), ("{", "{} is not JSON *")])
@pytest.mark.parametrize("below", [True, False], ids=["below the root", "elsewhere"])
def test_a_baseline_is_named_with_its_directory(run, tmp_path_factory, pytester, act, text, said, below):
    path = (pytester.path if below else tmp_path_factory.mktemp("elsewhere")) / "money/costs.json"
    if text is not None:
        path.parent.mkdir()
        path.write_text(text, "utf8")
    named = "money/costs.json" if below else str(path)
    done = run(act, f"--llm-baseline-file={named}")
    done.stdout.fnmatch_lines([f"*{said.format(named)}"])


def test_a_baseline_that_cannot_be_used_is_left_as_it_is(run, pytester):
    text = baseline(schema=3)
    (pytester.path / "llm-costs.json").write_text(text, "utf8")
    done = run("--llm-baseline=create,fix,trim")
    assert done.ret == 11
    done.stdout.fnmatch_lines(["llm-costs.json has the schema 3*"])
    assert (pytester.path / "llm-costs.json").read_text("utf8") == text
    done = run("--llm-gate", "--llm-gate-inconclusive=report")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["passed, although inconclusive*"])


def test_estimates_of_another_version_are_not_compared(run, pytester):
    asked = '"model": "gpt-4o-mini", "messages": [{"content": "Why?"}]'
    pytester.makepyfile(test_it=SUITE.replace('"usage"', '"no_usage"').replace('"model": "gpt-4o-mini"', asked))
    guessed = {**LINE, "unread": 1, "estimated": {"output": 1}}
    path = pytester.path / "llm-costs.json"
    path.write_text(baseline(estimator=999, rows=[guessed]), "utf8")
    let_pass = "--llm-gate-inconclusive=report"
    done = run("--llm-gate", let_pass)
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        ["inconclusive: estimated tokens are not compared: theirs are by version 999 of*--llm-baseline=fix*"]
    )
    assert run("--llm-baseline=fix", let_pass).ret == 0
    assert json.loads(path.read_text("utf8"))["estimator"] == ESTIMATOR
    done = run("--llm-gate", let_pass)
    assert "not compared" not in done.stdout.str()


def test_a_base_needs_a_repository(run):
    done = run("--llm-gate", "--llm-gate-base=main")
    assert done.ret == 4
    done.stderr.fnmatch_lines(
        ["*--llm-gate-base=main: *is not in a git repository: run pytest in a clone, or remove the option"]
    )


def git(where, *arguments):
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments],
        cwd=where,
        check=True,
        capture_output=True,
    )


@pytest.fixture
def repository(run, pytester):
    git(pytester.path, "init", "--quiet", "--initial-branch=main")
    git(pytester.path, "add", "--all")
    git(pytester.path, "commit", "--quiet", "--message", "one")
    run("--llm-baseline=create")
    git(pytester.path, "add", "llm-costs.json")
    git(pytester.path, "commit", "--quiet", "--message", "two")
    return pytester.path


def test_revisions(run, pytester, repository):
    done = run("--llm-gate", "--llm-gate-base=origin/nowhere")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*the revision does not exist in this clone: fetch it first (git fetch origin nowhere)"])
    done = run("--llm-gate", "--llm-gate-base=--help")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*this is an option of git, not a revision: name a branch, tag or commit"])
    done = run("--llm-gate", "--llm-gate-base=HEAD~")
    assert done.ret == 0
    done.stdout.fnmatch_lines(["note: there is no llm-costs.json at the merge base with HEAD~"])
    git(pytester.path, "switch", "--quiet", "--orphan", "alone")
    git(pytester.path, "commit", "--quiet", "--allow-empty", "--message", "alone")
    git(pytester.path, "switch", "--quiet", "main")
    done = run("--llm-gate", "--llm-gate-base=alone")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*it has no commit in common with HEAD: name the branch that this branch started from"])


def test_a_shallow_clone(run, pytester, repository):
    git(pytester.path, "clone", "--quiet", "--depth=1", f"file://{repository}", "shallow")
    done = run("--llm-gate", "--llm-gate-base=HEAD~1", "--rootdir=shallow", "shallow")
    assert done.ret == 4
    done.stderr.fnmatch_lines(["*this clone is shallow: fetch the whole history (fetch-depth: 0 for actions/checkout)"])


def test_a_report_that_cannot_be_written(run, pytester):
    (pytester.path / "there").write_text("a file")
    done = run("--llm-report=there/report.json")
    assert done.ret == 4
    done.stdout.fnmatch_lines(["*report.json cannot be written: *"])


# report files alone


@pytest.fixture
def files(tmp_path):
    def write(**reports) -> list[str]:
        paths = []
        for name, each in reports.items():
            path = tmp_path / f"{name}.json"
            path.write_text(each if isinstance(each, str) else each.text(), "utf8")
            paths.append(str(path))
        return paths

    return write


def test_reports_of_two_price_books(files, capsys, tmp_path):
    one, two = report([row(TEST)]), report([row("test_b.py::test_b")])
    two.book = "genai-prices 9.9"
    paths = files(one=one, two=two)
    assert main(["merge", *paths, "-o", str(tmp_path / "all.json")]) == 2
    assert (
        "two.json was priced with genai-prices 9.9, one.json with genai-prices 1.2.3: install one"
        in capsys.readouterr().err
    )
    # `diff` notes it, and has a part for it
    two = report([row(TEST)])
    two.book = "genai-prices 9.9"
    for rates in two.prices.values():
        rates.usd["input"] = "0.30"
    assert main(["diff", *files(one=one, two=two)]) == 0
    said = capsys.readouterr().out
    assert "not judged: the price of openai gpt-4o-mini has changed" in said
    assert "note: priced with genai-prices 1.2.3 and genai-prices 9.9" in said
    assert "= +$0.000018 price" in said


def test_reports_of_two_machines(files, capsys):
    one = report([row("/home/ada/shop/test_a.py::test_a")])
    two = report([row(TEST)])
    with_path = files(one=one, two=two)
    assert main(["diff", *with_path]) == 2
    assert "which is a path of one machine: run pytest from the repository's root" in capsys.readouterr().err
    assert main(["diff", *files(one=report([row("x.py::x")]), two=two)]) == 11
    assert "the two reports have no test in common" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["diff", "ONE", "nowhere.json"], 2, "nowhere.json cannot be read: No such file"),
        (["comment", "nowhere.json"], 2, "nowhere.json cannot be read: No such file"),
        (["diff", "ONE", "ONE", "--limit", "cost x%"], 2, "has 'x' instead of a number"),
        (["reprice", "ONE", "--model", "gpt-4o-mini"], 2, "is not OLD=NEW: write it as gpt-4o=gpt-4o-mini"),
        (
            ["reprice", "ONE", "--model", "gpt-9=gpt-4o"],
            2,
            "the report has no call to 'gpt-9': its models are gpt-4o-mini",
        ),
        (["reprice", "ONE", "--model", "gpt-4o-mini=gpt-unpriced"], 2, "no price is known for 'gpt-unpriced'"),
        (["merge", "ONE", "ONE", "-o", "OUT"], 2, "ran in one.json and in one.json: run each test in one shard only"),
    ],
)
def test_commands(files, capsys, tmp_path, arguments, code, said):
    (one,) = files(one=report([row(TEST)]))
    places = {"ONE": one, "OUT": str(tmp_path / "out.json")}
    assert main([places.get(each, each) for each in arguments]) == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_the_command_is_installed():
    done = subprocess.run([sys.executable, "-m", "pytest_llmmetrics"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
