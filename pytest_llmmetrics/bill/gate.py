"""The gate: compares the measured calls with the baseline, test by test and in total. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pytest_llmmetrics.bill.baseline import by_test, plain
from pytest_llmmetrics.bill.figures import Figures, PriceOf, figures
from pytest_llmmetrics.bill.limits import Limit, Rules, limit_of
from pytest_llmmetrics.bill.modes import MODES
from pytest_llmmetrics.bill.report import Reason, Report
from pytest_llmmetrics.bill.rows import Row, read_alone
from pytest_llmmetrics.bill.split import Split, causes, split

REGRESSION, INCONCLUSIVE = 10, 11
"""Exit codes."""

STATES = ("regression", "warning", "reported", "accepted", "changed", "improved", "same")
"""The states of a test's change, the worst first."""

_OF_MODE = {"block": "regression", "warn": "warning", "report": "reported"}


class Change(NamedTuple):
    """One test, or all of them together, before and after."""

    test: str
    """Empty: all judged tests together."""
    state: str
    before: Figures
    after: Figures
    parts: Split | None
    """Why the cost changed; None where a price is unknown."""
    causes: tuple[str, ...] = ()
    reached: tuple[str, ...] = ()
    """The measures that exceed their limits."""


class Verdict(NamedTuple):
    """The result of the gate."""

    changes: tuple[Change, ...]
    """The judged tests that changed, the worst first."""
    total: Change
    judged: int
    inconclusive: tuple[Reason, ...]
    drift: tuple[str, ...]
    """Changed prices; never judged."""
    notices: tuple[str, ...]
    rules: Rules

    @property
    def code(self) -> int:
        if any(each.state == "regression" for each in (*self.changes, self.total)):
            return REGRESSION
        if self.inconclusive and self.rules.capped(self.rules.inconclusive) == "block":
            return INCONCLUSIVE
        return 0

    def of(self, *states: str) -> list[Change]:
        """The changes in these states."""
        return [each for each in self.changes if each.state in states]


class Sides(NamedTuple):
    """The rows to compare, at the prices of `now`; `then` are the prices of the baseline's side."""

    measured: Mapping[str, Sequence[Row]]
    agreed: Mapping[str, Sequence[Row]]
    """The baseline in the work tree."""
    base: Mapping[str, Sequence[Row]] | None
    """The baseline at the merge base; None: not asked for, or it does not exist."""
    now: PriceOf
    then: PriceOf


def judge(
    sides: Sides,
    passed: Collection[str],
    rules: Rules,
    *,
    reasons: Iterable[Reason] = (),
    drift: Sequence[str] = (),
    notices: Sequence[str] = (),
    estimates: bool = True,
) -> Verdict:
    """Judge the tests that ran and passed. Without `estimates`, estimated tokens are not compared."""
    whole = sides
    if not estimates:
        read = None if sides.base is None else _read(sides.base)
        sides = sides._replace(measured=_read(sides.measured), agreed=_read(sides.agreed), base=read)
    measured, agreed, base, *_ = sides
    known = measured.keys() | agreed.keys() | (base.keys() if base else set())
    tests = sorted(known & set(passed))
    changes = [_judged(sides, test, rules) for test in tests]
    doubts = [*reasons, *(each for test in tests for each in _doubts(whole, test))]
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
    return Verdict(tuple(seen), total, len(tests), tuple(doubts), tuple(drift), tuple(notices), rules)


def _read(side: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    return {test: read_alone(rows) for test, rows in side.items()}


def _judged(sides: Sides, test: str, rules: Rules) -> Change:
    now, agreed = sides.measured.get(test, ()), sides.agreed.get(test, ())
    change = _change(sides, test, agreed, now, rules)
    if sides.base is not None and change.state in {"same", "changed", "improved"}:
        before = sides.base.get(test, ())
        since = _change(sides, test, before, now, rules)
        if since.reached and plain(agreed) == plain(now):
            blocked = rules.capped(rules.accepted) == "block"
            change = since._replace(state="regression" if blocked else "accepted")
        elif since.reached or plain(before) != plain(now):
            change = since
    return change


def _change(sides: Sides, test: str, before: Sequence[Row], after: Sequence[Row], rules: Rules) -> Change:
    was, now = figures(before, sides.now), figures(after, sides.now)
    reached = [each for each in rules.limits if not each.total and _reached(each, was, now)]
    state = "same"
    if reached:
        state = _OF_MODE[rules.capped(max((each.mode for each in reached), key=MODES.index))]
    elif plain(before) != plain(after):
        better = now.calls < was.calls or now.cost.total < was.cost.total or now.attempts < was.attempts
        state = "improved" if better else "changed"
    parts = split(before, after, sides.then, sides.now)
    measures = tuple(each.measure for each in reached)
    words = tuple(causes(before, after, parts, sides.now, measures)) if state != "same" else ()
    return Change(test, state, was, now, parts, words, measures)


def _reached(limit: Limit, was: Figures, now: Figures) -> bool:
    if limit.measure == "cost" and (was.cost.unknown or now.cost.unknown):
        return False
    return limit.reached(was, now)


def _doubts(sides: Sides, test: str) -> Iterable[Reason]:
    """Yield the reasons why a test's rows cannot be judged."""
    rows = sides.measured.get(test, ())
    if unread := sum(row.unread for row in rows):
        yield Reason(test=test, what=f"{unread} of its calls have an answer without usage: their tokens are estimates")
    before = (*sides.agreed.get(test, ()), *((sides.base or {}).get(test, ())))
    for side, what in ((rows, ""), (before, "the baseline's ")):
        models = sorted({f"{row.model} at {row.backend}" for row in side if figures([row], sides.now).cost.unknown})
        if models:
            text = f"no price is known for {what}{', '.join(models)}: configure CostPerMillionInputTokens"
            yield Reason(test=test, what=f"{text} and CostPerMillionOutputTokens")
            return


def _total(sides: Sides, tests: Collection[str], changes: Sequence[Change], rules: Rules) -> Change:
    """Compare all judged tests together, without those whose change is accepted."""
    before = [row for test in tests for row in sides.agreed.get(test, ())]
    after = [row for test in tests for row in sides.measured.get(test, ())]
    was, now = figures(before, sides.now), figures(after, sides.now)
    reached = [each for each in rules.limits if each.total and _reached(each, was, now)]
    state = "same"
    if reached:
        state = _OF_MODE[rules.capped(max((each.mode for each in reached), key=MODES.index))]
    parts: Split | None = Split()
    for each in changes:
        if each.test in tests:
            parts = None if parts is None or each.parts is None else parts.plus(each.parts)
    return Change("", state, was, now, parts, (), tuple(each.measure for each in reached))


def drifted(before: Mapping[str, str], now: Mapping[str, str], books: tuple[str, str]) -> list[str]:
    """Say which prices have changed, of those that both sides know."""
    changed = sorted(key for key, digest in before.items() if now.get(key, digest) != digest)
    if not changed:
        return []
    versions = f" ({books[0]} → {books[1]})" if books[0] != books[1] else ""
    return [f"the price of {key} has changed since the baseline was written{versions}" for key in changed]


def other_estimates(ours: int, *others: tuple[int, Iterable[Row]]) -> str:
    """Say why estimated tokens of these baselines or reports cannot be compared with ours; empty: they can."""
    versions = sorted({version for version, rows in others if version != ours and any(row.estimated for row in rows)})
    if not versions:
        return ""
    theirs = " and ".join(f"version {each}" if each else "an unknown version" for each in versions)
    return f"estimated tokens are not compared: theirs are by {theirs} of the estimator, ours by version {ours}"


def verdict_of(report: Report) -> Verdict | None:
    """Return the verdict of a report; None: its session ran without the gate."""
    gate = report.gate
    if gate is None:
        return None

    rules = Rules([limit_of(each) for each in gate.limits], gate.mode, gate.accepted, gate.inconclusive)
    if gate.agreed is None:
        nothing = figures((), report.price_of)
        total = Change("", "same", nothing, nothing, Split())
        return Verdict((), total, 0, tuple(report.doubts), (), tuple(gate.notices), rules)
    base = None if gate.base is None else by_test(gate.base)
    return judge(
        Sides(by_test(report.rows), by_test(gate.agreed), base, report.price_of, report.price_of),
        report.passed,
        rules,
        reasons=report.doubts,
        drift=gate.drift,
        notices=gate.notices,
        estimates=gate.estimates,
    )
