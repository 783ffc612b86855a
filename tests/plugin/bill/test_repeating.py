"""`@pytest.mark.llm_repeat`: enough of a test's runs have to pass, and the median run counts."""

from __future__ import annotations

import pytest
from support.reports import report, row

from pytest_llmmetrics.bill.figures import median, ranges
from pytest_llmmetrics.bill.offline.merging import merged

pytest_plugins = ["pytester"]

SUITE = """
import pytest, app

runs, built = [], []

@pytest.fixture(scope="module")
def index():
    built.append(1)

@pytest.mark.llm_repeat({marker})
def test_it(index, tmp_path):
    runs.append(1)
    app.ask([2, 1, 5][len(runs) - 1], messages=[])
    assert not list(tmp_path.iterdir())
    assert len(runs) != 2, "the second run is wrong"

def test_after():
    app.ask()
    assert (len(runs), len(built)) == (3, 1)
"""


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["serial", "xdist"])
def test_the_median_run_counts(suite, options):
    done, made = suite(SUITE.format(marker="times=3, passing=2"), *options, apart=bool(options))
    done.assert_outcomes(passed=2)
    rows = {each["test"].rpartition("::")[2]: each for each in made["rows"]}
    assert (rows["test_it"]["calls"], rows["test_it"]["tokens"]) == (2, {"input": 240, "output": 16})
    assert made["repeats"] == {
        "test_it.py::test_it": {"runs": 3, "passed": 2, "tokens": [128, 640], "usd": ["0.0000228", "0.000114"]}
    }
    # the others have cost something too
    assert sum(each["calls"] for each in made["reruns"]) == 6
    done.stdout.fnmatch_lines(
        ["test_it.py::test_it: median of 3 runs, 2 passed: cost $0.0000228 to $0.000114, 128 to 640 tokens"]
    )


def test_too_few_runs_passed(suite):
    done, _ = suite(SUITE.format(marker="times=3"))
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["*the second run is wrong*", "*2 of 3 runs passed, and 3 have to pass*"])


def test_without_metering(session, pytester):
    pytester.makepyfile(app="def ask(*_, **__): pass", test_it=SUITE.format(marker="passing=1"))
    done = session("--durations=1")
    done.assert_outcomes(passed=2)


def test_a_skipped_test_is_skipped(suite):
    done, made = suite(
        """
        import pytest, app
        @pytest.mark.llm_repeat(times=4)
        def test_it(): pytest.skip("no key")
        def test_after(): pass
        """
    )
    done.assert_outcomes(passed=1, skipped=1)
    assert made.get("repeats", {}) == {}


def test_a_run_of_llm_twice_is_none_of_them(suite):
    done, made = suite(SUITE.format(marker="times=2, passing=1"), "--llm-baseline=create", "--llm-twice")
    done.assert_outcomes(passed=2)
    assert made["repeats"]["test_it.py::test_it"] == {
        "runs": 2,
        "passed": 1,
        "tokens": [128, 256],
        "usd": ["0.0000228", "0.0000456"],
    }
    (counted,) = (each["calls"] for each in made["rows"] if each["test"] == "test_it.py::test_it")
    assert counted == 1
    # the other one, and those of --llm-twice
    assert sum(each["calls"] for each in made["reruns"]) == 2 + 5 + 1


LIMITED = """
import pytest, app

runs = []

@pytest.mark.llm_repeat(times=3, passing={passing})
@pytest.mark.llm_limit(calls=1)
def test_it():
    app.ask({calls}[len(runs)])
    runs.append(1)
"""


@pytest.mark.parametrize(
    ("calls", "passing", "noted"),
    [([1, 1, 2], 2, False), ([2, 2, 1], 1, False), ([2, 2, 1], 2, True)],
    ids=["the last run", "the counted run", "too many runs"],
)
def test_a_run_over_its_limit_is_noted_only_if_its_test_is_not_judged(suite, calls, passing, noted):
    suite(LIMITED.format(calls=[1, 1, 1], passing=3), "--llm-baseline=create")
    done, _ = suite(LIMITED.format(calls=calls, passing=passing), "--llm-gate", "--llm-gate-mode=report")
    done.assert_outcomes(passed=not noted, failed=noted)
    assert (
        "exceeded its @pytest.mark.llm_limit (2 calls, the limit is 1) and is not judged" in str(done.stdout)
    ) is noted
    done.stdout.fnmatch_lines(["*: 1 test judged*"] if not noted else ["*: 0 tests judged; not judged: 1 failed"])


ITEMS = """
import pytest

class Item(pytest.Item):
    def runtest(self): print("it runs")

class File(pytest.File):
    def collect(self):
        item = Item.from_parent(self, name="it")
        for each in {markers}:
            item.add_marker(each)
        yield item

def pytest_collect_file(parent, file_path):
    return File.from_parent(parent, path=file_path) if file_path.suffix == ".prompt" else None
"""


@pytest.mark.parametrize(
    ("markers", "options", "times"),
    [
        ("[pytest.mark.llm_repeat(times=2)]", (), 2),
        ("[]", ("--llm-baseline=create", "--llm-twice"), 2),
        ("[pytest.mark.llm_repeat(times=2)]", ("--llm-baseline=create", "--llm-twice"), 3),
    ],
)
def test_items_that_are_no_functions_run_again(session, pytester, markers, options, times):
    pytester.makeconftest(ITEMS.format(markers=markers))
    pytester.makefile(".prompt", a="")
    done = session("-s", *options)
    done.assert_outcomes(passed=1)
    assert str(done.stdout).count("it runs") == times


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("times=0", "has times=0 and passing=0: write whole numbers"),
        ("times=2, passing=3", "has times=2 and passing=3: write whole numbers"),
        ("passing='most'", "has times=3 and passing='most': write whole numbers"),
        ("runs=3", "has no argument runs"),
        ("3", "takes keyword arguments: times, passing"),
    ],
)
def test_a_wrong_marker_fails_its_test(suite, marker, said):
    done, _ = suite(f"import pytest\n@pytest.mark.llm_repeat({marker})\ndef test_it(): pass\ndef test_other(): pass")
    assert done.ret == 1
    done.stdout.fnmatch_lines([f"*@pytest.mark.llm_repeat {said}*"])


T = "a.py::a"


def test_the_median_and_the_range():
    made = report([row(T)])
    runs = [[row(T, calls=n)] for n in (4, 1, 3, 2)]
    n, repeat = median(runs, made.price_of, 4)
    # of two in the middle, the cheaper one
    assert (n, repeat.tokens, repeat.usd) == (3, (128, 512), ("0.0000228", "0.0000912"))
    assert ranges({T: repeat}) == [
        "a.py::a: median of 4 runs, 4 passed: cost $0.0000228 to $0.0000912, 128 to 512 tokens"
    ]
    n, repeat = median([[row(T, "unpriced-7b")], []], made.price_of, 2)
    assert (n, repeat.usd, repeat.tokens) == (1, None, (0, 128))
    assert "cost unknown" in ranges({T: repeat})[0]


def test_shards_keep_the_ranges():
    one, two = report([row(T)]), report([row("b.py::b")])
    _, one.repeats[T] = median([[row(T)]], one.price_of, 1)
    assert merged([("one", one), ("two", two)]).repeats == one.repeats
