"""The gate: compares the measured calls with the baseline, test by test and in total. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from pytest_llmmetrics.bill.baseline import by_test, same
from pytest_llmmetrics.bill.figures import Figures, figures, number
from pytest_llmmetrics.bill.judging.causes import causes
from pytest_llmmetrics.bill.judging.limits import Rules, ceiling_of, limit_of
from pytest_llmmetrics.bill.judging.notices import deleted, states
from pytest_llmmetrics.bill.judging.sides import Sides
from pytest_llmmetrics.bill.judging.split import Split, split
from pytest_llmmetrics.bill.judging.verdict import NEW, STATES, Change, Verdict
from pytest_llmmetrics.bill.modes import MODES
from pytest_llmmetrics.bill.report import Reason, Report
from pytest_llmmetrics.bill.rows import Row, alike, read_alone

_OF_MODE = {"block": "regression", "warn": "warning", "report": "reported"}


def judge(
    sides: Sides,
    outcomes: Mapping[str, str],
    rules: Rules,
    *,
    reasons: Iterable[Reason] = (),
    drift: Sequence[str] = (),
    notices: Sequence[str] = (),
    estimates: bool = True,
    gone: Collection[str] = (),
) -> Verdict:
    """Judge the tests that ran and passed. Without `estimates`, estimated tokens are not compared."""
    sides = sides.paired(gone)
    whole = sides
    if not estimates:
        read = None if sides.base is None else _read(sides.base)
        sides = sides._replace(measured=_read(sides.measured), agreed=_read(sides.agreed), base=read)
    measured, agreed, base, *_ = sides
    known = measured.keys() | agreed.keys() | (base.keys() if base else set())
    tests = sorted(test for test in known if outcomes.get(test) == "passed")
    changes = [_judged(sides, test, rules) for test in tests]
    doubts = [*reasons]
    if not any(row.attempts for test in tests for row in measured.get(test, ())):
        nothing = "no passed test made an LLM call: does a mock replace the clients above httpx?"
        if any(row.attempts for test in tests for side in whole[:3] if side for row in side.get(test, ())):
            doubts.append(Reason(what=nothing))
        else:
            # the baseline has no calls either: there is nothing to compare
            notices = (*notices, nothing)
    agreed_changes = [each for each in changes if each.state == "accepted"]
    rest = set(tests) - {each.test for each in agreed_changes}
    total = _total(sides, rest, changes, rules)
    seen = sorted(
        (each for each in changes if each.state != "same"),
        key=lambda each: (STATES.index(each.state), -abs(each.after.cost.total - each.before.cost.total), each.test),
    )
    unjudged: dict[str, tuple[str, ...]] = {}
    for test in sorted(whole.agreed.keys() & outcomes.keys()):
        if (outcome := outcomes[test]) != "passed":
            unjudged[outcome] = (*unjudged.get(outcome, ()), test)
    sums = {each.test: each.after for each in changes}
    if not estimates:
        sums = {test: figures(whole.measured.get(test, ()), whole.now) for test in tests}
    notices = [*notices, *states(whole, sums), *deleted(sides, gone)]
    return Verdict(tuple(seen), total, len(tests), tuple(doubts), tuple(drift), tuple(notices), rules, unjudged)


def _read(side: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    return {test: read_alone(rows) for test, rows in side.items()}


def _judged(sides: Sides, test: str, rules: Rules) -> Change:
    now, agreed = sides.measured.get(test, ()), sides.agreed.get(test, ())
    change = _change(sides, test, agreed, now, rules)
    if sides.base is not None and change.state in {"same", "changed", "improved"}:
        before = sides.base.get(test, ())
        since = _change(sides, test, before, now, rules)
        if since.reached and since.before.calls and same(agreed, now):
            blocked = rules.capped(rules.accepted) == "block"
            change = since._replace(state="regression" if blocked else "accepted")
        elif not before and same(agreed, now):
            change = since._replace(causes=("new: its row is in the baseline", *since.causes[1:]))
        elif since.reached or not same(before, now):
            change = since
    return change


def _change(sides: Sides, test: str, before: Sequence[Row], after: Sequence[Row], rules: Rules) -> Change:
    was = figures(before, sides.now)
    # most tests have not changed
    now = was if alike(before, after) else figures(after, sides.now)
    if not before:
        return _new(test, was, now, rules)
    old = sides.old.get(test)
    if was.calls and not now.attempts:
        gone = f"no longer measured: {number(was.calls, 'call')} before, none now"
        return Change(test, "unmeasured", was, now, Split(), (gone,), (), old)
    reached = [each for each in rules.limits if was != now and not each.total and each.reached(was, now)]
    parts = split(before, after, sides.then, sides.now)
    measures = tuple(each.measure for each in reached)
    unchanged = same(before, after)
    words = [] if unchanged and not reached else causes(before, after, parts, sides.facts(test), measures)
    state = "same"
    if reached:
        state = _OF_MODE[rules.capped(max((each.mode for each in reached), key=MODES.index))]
    elif _worse(was, now):
        state = _OF_MODE[rules.capped("warn")]
    elif not unchanged:
        better = now.calls < was.calls or _less(now, was) or now.attempts < was.attempts
        state = "improved" if better else "changed"
        words = words or ["the request has changed, and not its size"]
    if old is not None:
        words = [f"{old.how} from {old.test}", *words]
        state = old.how if state == "same" else state
    return Change(test, state, was, now, parts, tuple(words), measures, old)


def _new(test: str, was: Figures, now: Figures, rules: Rules) -> Change:
    """Judge a test that has nothing to be compared with."""
    over = [each for each in rules.new if each.reached(now)]
    words = [NEW, *(f"over the limit of new tests: {each}" for each in over)]
    state = _OF_MODE[rules.capped("block")] if over else "new" if now.calls else "same"
    return Change(test, state, was, now, None, tuple(words), tuple(each.measure for each in over))


def _less(now: Figures, was: Figures) -> bool:
    """Tell whether a cost is less; an unknown one never is."""
    return not (now.cost.unknown or was.cost.unknown) and now.cost.total < was.cost.total


def _worse(was: Figures, now: Figures) -> bool:
    """Tell whether less is known of the calls than before."""
    unread = now.asked.unread > was.asked.unread if now.asked and was.asked else False
    return now.stale > was.stale or now.unread > was.unread or unread


def _total(sides: Sides, tests: Collection[str], changes: Sequence[Change], rules: Rules) -> Change:
    """Compare the judged tests that both sides have, without those whose change is accepted."""
    both = {test for test in tests if sides.agreed.get(test) and any(r.attempts for r in sides.measured.get(test, ()))}
    before = [row for test in sorted(both) for row in sides.agreed[test]]
    after = [row for test in sorted(both) for row in sides.measured[test]]
    was, now = figures(before, sides.now), figures(after, sides.now)
    reached = [each for each in rules.limits if each.total and each.reached(was, now)]
    state = "same"
    if reached:
        state = _OF_MODE[rules.capped(max((each.mode for each in reached), key=MODES.index))]
    parts: Split | None = Split()
    for each in changes:
        if each.test in both:
            parts = None if parts is None or each.parts is None else parts.plus(each.parts)
    return Change("", state, was, now, parts, (), tuple(each.measure for each in reached))


def verdict_of(report: Report) -> Verdict | None:
    """Return the verdict of a report; None: its session ran without the gate."""
    gate = report.gate
    if gate is None:
        return None

    new = [ceiling_of(each) for each in gate.new_limits]
    rules = Rules([limit_of(each) for each in gate.limits], gate.mode, gate.accepted, gate.inconclusive, new)
    if gate.agreed is None:
        nothing = figures((), report.price_of)
        total = Change("", "same", nothing, nothing, Split())
        return Verdict((), total, 0, tuple(report.doubts), (), tuple(gate.notices), rules)
    base = None if gate.base is None else by_test(gate.base)
    return judge(
        Sides(
            by_test(report.rows),
            by_test(gate.agreed),
            base,
            report.price_of,
            report.price_of,
            report.window_of,
            report.remarks,
        ),
        report.tests,
        rules,
        reasons=report.doubts,
        drift=gate.drift,
        notices=gate.notices,
        estimates=gate.estimates,
        gone=gate.gone,
    )
