"""The gate: compares the measured calls with the baseline, test by test and in total. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pytest_llmmetrics.bill.asking.caches import rules_for
from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.baseline import by_test, is_old, same
from pytest_llmmetrics.bill.causes import Facts, causes, no_price
from pytest_llmmetrics.bill.figures import Figures, PriceOf, figures, number
from pytest_llmmetrics.bill.limits import Rules, ceiling_of, limit_of
from pytest_llmmetrics.bill.modes import MODES
from pytest_llmmetrics.bill.pairing import OldName, old_names
from pytest_llmmetrics.bill.report import Reason, Report
from pytest_llmmetrics.bill.rows import Remarks, Row, read_alone
from pytest_llmmetrics.bill.split import Split, split

REGRESSION, INCONCLUSIVE = 10, 11
"""Exit codes."""

STATES = (
    *("regression", "warning", "unmeasured", "reported", "accepted", "changed", "improved"),
    *("renamed", "moved", "parametrised", "new", "same"),
)
"""The states of a test's change, the worst first. `unmeasured`: it used to make calls, and makes none."""

NEW = "new: not in the baseline"

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
    old: OldName | None = None
    """Its name in the baseline, if that is another one."""


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
    unjudged: Mapping[str, tuple[str, ...]] = {}
    """Tests of the baseline that ran and did not pass, by outcome: `failed`, `skipped`."""

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
    window: Callable[[Row], int | None] = lambda _: None
    remarks: Mapping[str, Remarks] = {}
    old: Mapping[str, OldName] = {}
    """The name in the baselines of each test that has another one there."""

    def facts(self, test: str) -> Facts:
        return Facts(self.now, self.window, self.remarks.get(test, Remarks()))

    def paired(self, gone: Collection[str]) -> Sides:
        """Return these sides with the baselines' rows under the present names of the tests."""
        agreed, old = _renamed(self.measured, self.agreed, gone)
        if self.base is None:
            return self._replace(agreed=agreed, old=old)
        base, older = _renamed(self.measured, self.base, gone)
        return self._replace(agreed=agreed, base=base, old={**older, **old})


def _renamed(
    measured: Mapping[str, Sequence[Row]], before: Mapping[str, Sequence[Row]], gone: Collection[str]
) -> tuple[dict[str, Sequence[Row]], dict[str, OldName]]:
    pairs = old_names(measured, before, gone)
    taken = {each.test for each in pairs.values()}
    renamed = {test: rows for test, rows in before.items() if test not in taken}
    for new, old in pairs.items():
        renamed[new] = [row.model_copy(update={"test": new}) for row in before[old.test]]
    return renamed, pairs


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
    notices = [*notices, *_states(whole, tests), *_deleted(sides, gone)]
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
    was, now = figures(before, sides.now), figures(after, sides.now)
    if not before:
        return _new(test, was, now, rules)
    old = sides.old.get(test)
    if was.calls and not now.attempts:
        gone = f"no longer measured: {number(was.calls, 'call')} before, none now"
        return Change(test, "unmeasured", was, now, Split(), (gone,), (), old)
    reached = [each for each in rules.limits if not each.total and each.reached(was, now)]
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


def _states(sides: Sides, tests: Iterable[str]) -> Iterable[str]:
    """Yield a line for each state that limits what can be judged, with the tests that are in it."""
    groups: dict[str, list[str]] = {}
    for test in tests:
        rows = sides.measured.get(test, ())
        now = figures(rows, sides.now)
        asked = now.asked or AskedSide()
        if now.cost.unknown:
            groups.setdefault(f"{no_price(rows, sides.now)}: judged without their cost", []).append(test)
        for n, words in (
            (now.stale, "replay an answer that was recorded for another request: judged by what they ask for"),
            (now.unread, "get an answer without usage: their tokens are estimates"),
            (now.scripted, "write the usage of their answers themselves: judged by what they ask for"),
            (
                any(row.asked and row.asked.later and rules_for(row.model) is None for row in rows),
                "call a model whose cache rules are not known: judged by the longest common prefix alone",
            ),
            (asked.unread, "send a request that cannot be read: judged by their answers alone"),
            (is_old(sides.agreed.get(test, ())) > is_old(rows), _OLD),
        ):
            if n:
                groups.setdefault(words, []).append(test)
    for words, those in sorted(groups.items()):
        yield f"{number(len(those), 'test')}: {words}: {listed(those)}"


def _deleted(sides: Sides, gone: Collection[str]) -> Iterable[str]:
    """Yield a line for the tests of the baseline that do not exist any more, under no name."""
    if deleted := sorted(set(gone) & sides.agreed.keys()):
        these = "1 test of the baseline no longer exists" if len(deleted) == 1 else ""
        yield f"{these or f'{len(deleted)} tests of the baseline no longer exist'}: {listed(deleted)}"


_OLD = (
    "the baseline is of an older version, without the asked side: judged by their answers alone "
    "(--llm-baseline=create adds it)"
)


def listed(names: Sequence[str], most: int = 3) -> str:
    """List the first names, and say how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


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


def drifted(before: Mapping[str, str], now: Mapping[str, str], books: tuple[str, str]) -> list[str]:
    """Say which prices have changed, of those that both sides know."""
    changed = sorted(key for key, digest in before.items() if now.get(key, digest) != digest)
    if not changed:
        return []
    versions = f" ({books[0]} → {books[1]})" if books[0] != books[1] else ""
    return [f"the price of {key} has changed since the baseline was written{versions}" for key in changed]


def other_estimates(ours: int, *others: tuple[int, Iterable[Row]]) -> str:
    """Say why estimated tokens of these baselines or reports cannot be compared with ours; empty: they can."""
    versions = sorted(
        {version for version, rows in others if version != ours and any(row.estimated or row.asked for row in rows)}
    )
    if not versions:
        return ""
    theirs = " and ".join(f"version {each}" if each else "an unknown version" for each in versions)
    return f"estimated tokens are not compared: theirs are by {theirs} of the estimator, ours by version {ours}"


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
