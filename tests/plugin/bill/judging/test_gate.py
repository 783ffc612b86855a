"""The gate's verdict on rows: limits, causes, parts of a cost, acceptance, doubts. Pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import report, row

from llmmetrics.testing import prices
from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.judging.limits import MEASURES, LimitError, limit_of, limits_of
from pytest_llmmetrics.bill.judging.split import split
from pytest_llmmetrics.bill.report import Report
from pytest_llmmetrics.bill.rows import Remarks

T = "test_a.py::test_it"


def judged(now, agreed, **more):
    verdict = verdict_of(report(now, agreed=agreed, **more))
    assert verdict is not None
    return verdict


def only(verdict):
    (change,) = verdict.changes
    return change


def test_the_same_passes():
    verdict = judged([row(T)], [row(T)])
    assert (verdict.code, verdict.changes, verdict.judged) == (0, (), 1)


WAS = {"input": 1000, "cache_read": 1000, "output": 50}


@pytest.mark.parametrize(
    ("now", "reached", "cause"),
    [
        (row(T, calls=2, tokens=WAS), "calls", "calls 1 → 2"),
        (
            row(T, attempts=2, errors={"rate_limit": 1}, tokens=WAS),
            "attempts",
            "attempts per call 1.00 → 2.00 (rate_limit +1)",
        ),
        (row(T, tokens={**WAS, "output": 90}), "tokens", "completion tokens per call 50 → 90 (+80%)"),
        (row(T, "gpt-4o", tokens=WAS), "cost", "model asked gpt-4o-mini → gpt-4o: \N{MULTIPLICATION SIGN}16.7"),
        (row(T, tokens={"input": 2000, "output": 50}), "cached", "prompt cache reads 50% → 0% of the prompt"),
    ],
)
def test_each_measure(now, reached, cause):
    limits = [f"{name} 0% 0 {'block' if name == reached else 'report'}" for name in MEASURES]
    verdict = judged([now], [row(T, tokens=WAS)], limits=limits)
    assert verdict.code == 10
    assert reached in only(verdict).reached
    assert cause in only(verdict).causes


def test_both_the_percent_and_the_floor_have_to_be_passed():
    was, now = row(T, tokens={"input": 100}), row(T, tokens={"input": 130})
    assert judged([now], [was], limits=["tokens 20% 20"]).code == 10
    assert judged([now], [was], limits=["tokens 20% 30"]).code == 0
    assert judged([now], [was], limits=["tokens 30% 20"]).code == 0


@pytest.mark.parametrize(
    ("limit", "mode", "state", "code"),
    [
        ("calls 0%", "block", "regression", 10),
        ("calls 0% 0 warn", "block", "warning", 0),
        ("calls 0% 0 report", "block", "reported", 0),
        ("calls 0%", "warn", "warning", 0),
        ("calls 0%", "report", "reported", 0),
    ],
)
def test_modes(limit, mode, state, code):
    verdict = judged([row(T, calls=2)], [row(T)], limits=[limit], mode=mode)
    assert (only(verdict).state, verdict.code) == (state, code)


def test_fewer_calls_are_an_improvement():
    verdict = judged([row(T)], [row(T, calls=3)])
    assert (only(verdict).state, verdict.code) == ("improved", 0)


def test_only_what_ran_and_passed_is_judged():
    more = [row(T, calls=9), row("b.py::b")]
    verdict = judged(more, [row(T), row("b.py::b"), row("c.py::c")], tests={T: "failed", "b.py::b": "passed"})
    assert (verdict.code, verdict.judged, verdict.changes) == (0, 1, ())


def test_a_test_that_makes_no_calls_any_more_is_no_saving():
    verdict = judged([row("b.py::b")], [row(T), row("b.py::b")], tests={T: "passed", "b.py::b": "passed"})
    assert (only(verdict).state, verdict.code) == ("unmeasured", 0)
    assert only(verdict).causes == ("no longer measured: 1 call before, none now",)
    assert verdict.total.before == verdict.total.after


def test_a_new_test_is_judged_by_absolute_limits():
    now, agreed = [row(T), row("b.py::b")], [row("b.py::b")]
    verdict = judged(now, agreed)
    assert (only(verdict).state, verdict.code) == ("new", 0)
    assert only(verdict).causes == ("new: not in the baseline",)
    assert verdict.total.before == verdict.total.after
    assert judged(now, agreed, new_limits=["calls 1", "tokens 128"]).code == 0
    verdict = judged(now, agreed, new_limits=["calls 1", "tokens 127"])
    assert (verdict.code, only(verdict).reached) == (10, ("tokens",))
    # an unknown cost is over any limit
    assert judged([row(T, "unpriced-7b")], [], new_limits=["cost 1"]).code == 10


def test_the_total_has_limits_of_its_own():
    names = [f"a.py::test_{n}" for n in range(10)]
    agreed = [row(each, tokens={"input": 1000}) for each in names]
    now = [row(each, tokens={"input": 1040}) for each in names]
    assert judged(now, agreed, limits=["tokens 5% 0", "total tokens 5% 0"]).code == 0
    verdict = judged(now, agreed, limits=["tokens 5% 0", "total tokens 3% 0"])
    assert verdict.total.reached == ("tokens",)
    assert verdict.code == 10


def test_a_change_that_the_branch_wrote_down_is_accepted():
    now = [row(T, "gpt-4o")]
    verdict = judged(now, now, base=[row(T)])
    assert (only(verdict).state, verdict.code) == ("accepted", 0)
    assert only(verdict).causes == ("model asked gpt-4o-mini → gpt-4o: \N{MULTIPLICATION SIGN}16.7",)
    assert only(verdict).parts.model == only(verdict).after.cost.total - only(verdict).before.cost.total
    assert judged(now, now, base=[row(T)], accepted="block").code == 10
    # a new test, with its row
    assert only(judged(now, now, base=[])).state == "new"
    # in the baseline, but different from the measured calls
    high = [row(T, "gpt-4o", calls=2)]
    assert only(judged(now, high, base=[row(T)])).state == "regression"
    # not in the baseline
    assert judged(now, [row(T)], base=[row(T)]).code == 10


def test_estimates_of_another_version_are_not_compared():
    was, now = (row(T, estimated={"input": 100, "output": n}) for n in (50, 500))
    assert judged([now], [was]).code == 10
    other = judged([now], [was], estimates=False)
    assert (other.code, other.changes) == (0, ())
    # known tokens are compared
    dearer = row(T, tokens={"input": 900, "output": 8}, estimated={"input": 100, "output": 50})
    assert judged([dearer], [was], estimates=False).code == 10


MUTE = row(T, unread=1, tokens={}, estimated={"input": 120})


@pytest.mark.parametrize(
    ("same", "words"),
    [
        (MUTE, "get an answer without usage"),
        (row(T, "unpriced-7b"), "no price is known for unpriced-7b at openai"),
        (row(T, stale=1), "recorded for another request"),
        (row(T, scripted=1), "write the usage of their answers themselves"),
    ],
)
def test_a_state_that_the_baseline_has_too_is_one_line(same, words):
    verdict = judged([same], [same])
    assert (verdict.code, verdict.changes, verdict.inconclusive) == (0, (), ())
    (notice,) = verdict.notices
    assert notice.startswith("1 test: ")
    assert words in notice
    assert notice.endswith(f": {T}")


def test_a_cache_without_known_rules_is_said():
    side = AskedSide(prompt=100, later=50, cacheable=40, shared=40)
    known, other = (row(T, model, asked=side) for model in ("gpt-4o-mini", "mistral-small-latest"))
    assert judged([known], [known]).notices == ()
    assert any("cache rules are not known" in each for each in judged([other], [other]).notices)
    # and a shorter common prefix is a regression there too
    less = other.model_copy(update={"asked": side.model_copy(update={"cacheable": 0, "shared": 0})})
    assert only(judged([less], [other])).reached == ("cacheable",)


@pytest.mark.parametrize(
    ("model", "shared", "cause"),
    [
        ("gpt-4o-mini", 0, "cacheable prefix 95% → 0% from the 2nd call on (up to +~$0.00071): system[0] differs"),
        # the prefixes are the same: a mark or a time has changed
        ("gpt-4o-mini", 9500, "cacheable prefix 95% → 0% from the 2nd call on (up to +~$0.00071)"),
        ("unpriced-7b", 0, "cacheable prefix 95% → 0% from the 2nd call on: system[0] differs"),
    ],
)
def test_a_prefix_that_can_no_longer_be_cached_has_its_price_and_its_place(model, shared, cause):
    side = AskedSide(prompt=20_000, later=10_000, cacheable=9500, shared=9500)
    lost = side.model_copy(update={"cacheable": 0, "shared": shared})
    made = report([row(T, model, asked=lost)], agreed=[row(T, model, asked=side)])
    made.remarks = {T: Remarks(difference="system[0] differs")}
    assert only(verdict_of(made)).causes[0] == cause
    # less than a percent is not said
    little = side.model_copy(update={"cacheable": 9490, "shared": 9490, "prompt": 20_010})
    verdict = judged([row(T, model, asked=little)], [row(T, model, asked=side)])
    assert not any("cacheable" in each for each in only(verdict).causes)


def test_a_new_state_is_a_finding():
    verdict = judged([MUTE], [row(T)])
    assert (only(verdict).state, verdict.code) == ("warning", 0)
    assert "1 call (0 before) with an answer without usage: its tokens are estimates" in only(verdict).causes
    verdict = judged([row(T, stale=1)], [row(T)])
    assert (only(verdict).state, verdict.code) == ("warning", 0)


def test_an_unknown_cost_is_never_less_than_a_known_one():
    verdict = judged([row(T, "unpriced-7b")], [row(T)])
    assert (only(verdict).state, verdict.code) == ("regression", 10)
    assert any("the cost is not known any more" in each for each in only(verdict).causes)
    # and a price that is known now is no regression
    assert judged([row(T)], [row(T, "unpriced-7b")]).code == 0


def test_no_call_where_the_baseline_has_some_is_inconclusive():
    verdict = judged([], [row(T)])
    assert (verdict.code, len(verdict.inconclusive)) == (11, 1)
    assert judged([], [row(T)], inconclusive="report").code == 0


@pytest.mark.parametrize("base", [None, [row("test_b.py::another")]])
def test_a_run_without_calls_of_which_none_were_agreed_on_passes(base):
    verdict = judged([], [], base=base, tests={T: "passed"})
    assert (verdict.code, verdict.inconclusive, verdict.changes) == (0, (), ())
    assert verdict.notices == ("no passed test made an LLM call: does a mock replace the clients above httpx?",)
    # a test that the branch removed from the baseline is detected
    assert judged([], [], base=[row(T)], tests={T: "passed"}).code == 11


TOKENS = st.dictionaries(st.sampled_from(["input", "cache_read", "output"]), st.integers(1, 10**6), max_size=3)
ROWS = st.lists(
    st.builds(
        row,
        st.just(T),
        st.sampled_from(["gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]),
        calls=st.integers(0, 5),
        tokens=TOKENS,
    ),
    max_size=3,
    unique_by=lambda each: each.key,
)


def cost(rows, price) -> int:
    return sum(prices.cost(price(each), each.tokens) for each in rows)


@given(ROWS, ROWS)
def test_the_parts_of_a_cost_sum_up(before, after):
    made = report(after, agreed=before)

    def dearer(each):
        return prices.Price({name: n * 3 for name, n in made.price_of(each).units.items()})

    parts = split(before, after, made.price_of, dearer)
    assert parts.total == cost(after, dearer) - cost(before, made.price_of)
    assert parts.price == 2 * cost(before, made.price_of)


def test_long_prompts_keep_their_price():
    made = report([row(T, "gemini-2.5-pro", tokens={"input": 100, "input>200000": 250_000})])
    assert made.rows[0].usd is not None
    price = made.price_of(made.rows[0])
    assert prices.cost(price, {"input>200000": 250_000}) > prices.cost(price, {"input": 250_000})
    assert prices.in_bands(price, prices.usage({"input": 250_000})) == {"input>200000": 250_000}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cost five% 1", "'five' instead of a number"),
        ("cost 5% cheap", "'cheap' instead of a number"),
        ("money 5%", "there are calls, attempts, tokens, cost, cached"),
        ("cost 5", "cannot be read"),
        ("cost 5% 1 stop", "there are report, warn, block"),
        ("cost nan% 1", "instead of a number"),
        ("cost -5% 1", "instead of a number"),
        ("", "cannot be read"),
    ],
)
def test_a_limit_that_is_none(text, said):
    with pytest.raises(LimitError, match=said):
        limit_of(text)


def test_limits_are_written_as_they_are_read():
    for text in ("cost 5% 0.0001", "total tokens 10% 500 warn", "cached 2.5% $.05", "calls 0%", "calls 1% report"):
        assert limit_of(str(limit_of(text))) == limit_of(text)
    assert {str(each) for each in limits_of(["cost 50% 1"], ["cost 60% 2 warn"])} >= {
        "cost 60% 2 warn",
        "calls 0% 0 block",
    }


def test_a_report_survives_its_file():
    made = report([row(T, calls=2)], agreed=[row(T)], outside=[row("<session>")])
    again = Report.model_validate_json(made.text())
    assert again == made
    assert verdict_of(again) == verdict_of(made)
