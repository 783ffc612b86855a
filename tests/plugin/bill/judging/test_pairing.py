"""Tests that have another name in the baseline: renamed, moved, with other parameters; and those that are new or gone."""

from __future__ import annotations

import pytest
from support.reports import report, row

from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.judging.gate import verdict_of

A = "tests/test_a.py::test_refund"


def asked(test, print_="aa", calls=1, **more):
    side = AskedSide(prompt=100 * calls, segments={"user": 100 * calls}, requests={print_: calls})
    return row(test, calls=calls, asked=side, **more)


def judged(now, agreed):
    gone = [each.test for each in agreed if each.test not in {one.test for one in now}]
    tests = {each.test: "passed" for each in now}
    return verdict_of(report(now, agreed=agreed, gone=gone, tests=tests))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("tests/test_a.py::test_refund_is_explained", "renamed"),
        ("tests/support/test_b.py::test_refund", "moved"),
        ("tests/test_a.py::test_refund[late]", "parametrised"),
        ("tests/test_a.py::TestRefund::test_it", "renamed"),
    ],
)
def test_another_name_is_no_regression(name, how):
    verdict = judged([asked(name), asked("x.py::x", "bb")], [asked(A), asked("x.py::x", "bb")])
    (change,) = verdict.changes
    assert (verdict.code, change.state, change.causes) == (0, how, (f"{how} from {A}",))
    assert verdict.total.before == verdict.total.after
    assert verdict.notices == ()


def test_a_rename_with_more_calls_says_both():
    new = "tests/test_a.py::test_refunds"
    verdict = judged([asked(new, calls=4)], [asked(A, calls=2)])
    (change,) = verdict.changes
    assert (verdict.code, change.state) == (10, "regression")
    assert change.causes[:2] == (f"renamed from {A}", "calls 2 → 4")


def test_parameters_are_followed_by_their_requests():
    ids = {"1": "aa", "2": "bb"}
    agreed = [asked(f"{A}[{name}]", each) for name, each in ids.items()]
    now = [asked(f"{A}[case-{name}]", each) for name, each in ids.items()]
    verdict = judged(now, agreed)
    assert {change.test: change.old.test for change in verdict.changes} == {
        f"{A}[case-{name}]": f"{A}[{name}]" for name in ids
    }
    # one more parameter
    verdict = judged([*agreed, asked(f"{A}[3]", "cc")], agreed)
    assert [(change.test, change.state) for change in verdict.changes] == [(f"{A}[3]", "new")]


def test_a_new_test_does_not_take_the_row_of_another_deleted_one():
    # both send what half of the suite sends
    others = [asked(f"x.py::test_{n}") for n in range(4)]
    new = "tests/test_z.py::test_quite_another_thing"
    verdict = judged([*others, asked(new, calls=3)], [*others, asked(A)])
    assert [(change.test, change.state) for change in verdict.changes] == [(new, "new")]
    assert verdict.code == 0
    assert verdict.notices == (f"1 test of the baseline no longer exists: {A}",)


def test_tests_that_did_not_pass_are_counted():
    now = [asked("x.py::x")]
    agreed = [*now, asked(A), asked("y.py::y")]
    tests = {"x.py::x": "passed", A: "failed", "y.py::y": "skipped"}
    verdict = verdict_of(report(now, agreed=agreed, tests=tests))
    assert verdict.unjudged == {"failed": (A,), "skipped": ("y.py::y",)}
    assert (verdict.code, verdict.judged) == (0, 1)
