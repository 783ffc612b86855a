"""Baselines that two branches change: plain git merges them, and `llmmetrics-gate resolve` settles the rest."""

from __future__ import annotations

import random
import subprocess

import pytest
from support.reports import row

from pytest_llmmetrics.__main__ import main
from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import DocumentError, read
from pytest_llmmetrics.bill.report import price_key

NAME = "llm-costs.json"
TESTS = [f"tests/test_{n // 10}.py::test_{n}" for n in range(120)]


def baseline(rows, book="genai-prices 0.2.3") -> Baseline:
    prices = {price_key(each): "cfe43a79" for each in rows}
    return Baseline(book=book, estimator=2, prices=prices, sellers={each.backend: "x" for each in rows}, rows=rows)


class Repository:
    def __init__(self, path, start: Baseline) -> None:
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit(start)

    def git(self, *arguments):
        names = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *names, *arguments], cwd=self.path, capture_output=True, text=True, check=False)

    def commit(self, made: Baseline) -> None:
        (self.path / NAME).write_text(made.text(), "utf8")
        self.git("add", NAME)
        self.git("commit", "--quiet", "--message", "rows")

    def merged(self, ours: Baseline, theirs: Baseline) -> bool:
        """Make two branches of main, and merge them; tell whether git did it alone."""
        for name, made in (("ours", ours), ("theirs", theirs)):
            self.git("switch", "--quiet", "--force-create", name, "main")
            self.commit(made)
        self.git("switch", "--quiet", "ours")
        return self.git("merge", "--quiet", "--no-edit", "theirs").returncode == 0

    def read(self) -> Baseline:
        return read(Baseline, self.path / NAME)


START = [row(test) for test in TESTS]
OTHER = "tests/test_z.py::test_{}".format


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path, baseline(START))


def changed(*tests: str, calls: int = 3, rows=START):
    return [row(each.test, calls=calls) if each.test in tests else each for each in rows]


PAIRS = {
    "neighbouring rows": (baseline(changed(TESTS[4])), baseline(changed(TESTS[5]))),
    "two tests in one place": (baseline([*START, row(OTHER(1))]), baseline([*START, row(OTHER(2))])),
    "two new models": (
        baseline([*START, row(OTHER(1), "gpt-4o")]),
        baseline([*START, row(OTHER(2), "claude-sonnet-4-5")]),
    ),
    "a newer book and a new model": (
        baseline(START, book="genai-prices 0.2.4"),
        baseline([*START, row(OTHER(1), "gpt-4o")]),
    ),
    "an added and a changed row": (baseline([*START, row(OTHER(1))]), baseline(changed(TESTS[0]))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_git_merges_what_two_branches_change(repository, name):
    ours, theirs = PAIRS[name]
    assert repository.merged(ours, theirs)
    merged = repository.read()
    expected = {each.key: each for each in START}
    for side in (ours, theirs):
        expected |= {each.key: each for each in side.rows if each not in START}
    assert {each.key: each for each in merged.rows} == expected
    assert merged.text() == (repository.path / NAME).read_text("utf8")


@pytest.mark.parametrize("seed", range(12))
def test_git_merges_three_added_and_two_changed_tests_of_each_side(tmp_path, seed):
    chance = random.Random(seed)
    repository = Repository(tmp_path, baseline(START))
    picked = chance.sample(TESTS, 4)
    sides = []
    for side in (0, 1):
        new = [row(f"tests/test_{chance.randrange(12)}.py::test_new_{side}_{n}") for n in range(3)]
        sides.append(baseline([*changed(*picked[side * 2 : side * 2 + 2]), *new]))
    assert repository.merged(*sides)
    assert len(repository.read().rows) == len(START) + 6


def test_resolve_settles_the_same_row_of_both(repository, capsys):
    one, two = TESTS[:2]
    ours, theirs = (
        baseline([*changed(one, calls=n, rows=changed(two, calls=m)), row(OTHER(n))]) for n, m in ((3, 1), (5, 2))
    )
    assert not repository.merged(ours, theirs)
    with pytest.raises(DocumentError, match="llmmetrics-gate resolve"):
        repository.read()
    assert main(["resolve", str(repository.path / NAME)]) == 0
    assert f"both sides have changed {one}: the smaller row is kept" in capsys.readouterr().out
    calls = {each.test: each.calls for each in repository.read().rows}
    assert (calls[one], calls[two]) == (3, 2)
    assert {OTHER(3), OTHER(5)} <= calls.keys()


def test_resolve_reads_the_markers_after_the_merge_was_committed(repository, capsys):
    ours, theirs = (baseline(changed(TESTS[0], calls=n)) for n in (5, 3))
    assert not repository.merged(ours, theirs)
    repository.git("add", NAME)
    repository.git("commit", "--quiet", "--message", "half merged")
    assert main(["resolve", str(repository.path / NAME)]) == 0
    assert {each.test: each.calls for each in repository.read().rows}[TESTS[0]] == 3
    assert main(["resolve", str(repository.path / NAME)]) == 0
    assert "has no conflict" in capsys.readouterr().out


def test_two_price_books_are_settled_to_the_newer_one(repository):
    assert not repository.merged(*(baseline(START, book=f"genai-prices 0.{n}") for n in ("2.9", "2.10")))
    assert main(["resolve", str(repository.path / NAME)]) == 0
    assert repository.read().book == "genai-prices 0.2.10"
