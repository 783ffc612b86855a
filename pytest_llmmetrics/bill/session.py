"""The recorder: meters the session, and assigns each call to a test.

A call belongs to the test or fixture that ran when the call began, on any thread. Records stay in memory until the
session ends: nothing is read, written or imported during a test.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from llmmetrics import ConfigError
from llmmetrics.testing import CallRecord, observe
from llmmetrics.testing.harness import Unpriced, metering, meters, set_owner
from llmmetrics.testing.prices import Price, PriceBook
from pytest_llmmetrics.bill import options as bill_options
from pytest_llmmetrics.bill.asking.changing import changing
from pytest_llmmetrics.bill.asking.pending import PendingRequests
from pytest_llmmetrics.bill.asking.side import AskedSide
from pytest_llmmetrics.bill.enforcing import exceeded
from pytest_llmmetrics.bill.figures import median
from pytest_llmmetrics.bill.measured import Measured
from pytest_llmmetrics.bill.options import Options
from pytest_llmmetrics.bill.owners import SESSION, Owner, named, owners_of
from pytest_llmmetrics.bill.repeating import repeated
from pytest_llmmetrics.bill.rows import (
    Remarks,
    Repeat,
    Row,
    SeenAttempt,
    added,
    packed,
    rows_of,
    tagged_rows,
    unpacked,
    with_stale,
)
from pytest_llmmetrics.bill.stale import Watch

if TYPE_CHECKING:
    from pytest_llmmetrics.bill.bill import Bill

_KEY = "llmmetrics"
_SIMULATING = {"llm_provider", "llm_server"}
"""Fixtures whose replies a test writes itself."""


class Recorder:
    """The plugin object of a metered session. In xdist's controller it only collects the workers' measurements."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.worker = hasattr(config, "workerinput")
        self.controller = not self.worker and config.getoption("dist", "no") != "no"
        self.book = PriceBook(price_file=options.prices or None)
        # flat tuples and strings, which the garbage collector does not track: tens of thousands of tracked objects
        # would start a collection of everything that the session holds
        self.seen: list[tuple[int, Owner, tuple[Any, ...]]] = []
        self._numbers = count()
        self.owners = owners_of(config)
        self.requests = PendingRequests(options.ignored)
        self.scripted: set[str] = set()
        self.outcomes: dict[str, str] = {}
        self.changing: dict[str, list[str]] = {}
        self.stale: list[tuple[Owner, str]] = []
        self.collected: list[str] = []
        self.measured: list[Measured] = []
        self.crashed: list[str] = []
        self.bill: Bill | None = None
        self.merge_base = ""
        self._watch = Watch(lambda what: self.stale.append((named(self.owners.current), what)))
        self._doors = ExitStack()

    # start and end of the session

    def open(self) -> None:
        """Start metering."""
        if self.controller:
            return
        self._doors.callback(set_owner, set_owner(SESSION))
        self._doors.enter_context(observe(self._record))
        self._meter = Unpriced()
        self._doors.enter_context(metering(self._meter))
        self._doors.callback(self._watch.stop)

    def close(self) -> None:
        """Stop metering, and undo every patch."""
        self._doors.close()

    def _record(self, record: CallRecord) -> None:
        self.book.learn(record)
        owner, number = named(record.owner), next(self._numbers)
        self.requests.add(owner, number, record)
        self.seen.append((number, owner, packed(record)))

    # while the tests run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self.outcomes[item.nodeid] = ""
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        self._watch.look()
        if not _SIMULATING.isdisjoint(getattr(item, "fixturenames", ())):
            self.scripted.add(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        result = yield
        if self.options.twice and self.outcomes.get(item.nodeid) == "passed":
            self._run_again(item, nextitem)
        self._read([item])
        return result

    def _run_again(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Run a test once more, and note the values of its requests that have changed. The first outcome counts."""
        first = self.requests.bodies()
        self._read([item])
        runtestprotocol(item, log=False, nextitem=nextitem)
        self.outcomes[item.nodeid] = "passed"
        for path in changing(first, self.requests.bodies()):
            self.changing.setdefault(path, []).append(item.nodeid)

    def _read(self, items: Iterable[pytest.Item]) -> None:
        """Have the requests of the tests that have ended read."""
        if not self.requests.waiting:
            return
        marks = [mark for item in items for mark in item.iter_markers("llm_ignore")]
        self.requests.settle([str(path) for mark in marks for path in mark.args])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self.outcomes.get(report.nodeid)
        if before in {"", "passed"}:
            outcome = report.outcome if not hasattr(report, "wasxfail") else f"x{report.outcome}"
            # a failure in any phase fails the test
            if report.when == "call" or outcome != "passed":
                self.outcomes[report.nodeid] = outcome

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # before -k and other options deselect tests
        self.collected = [item.nodeid for item in items]

    # the results

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        text = getattr(node, "workeroutput", {}).get(_KEY)
        if text is None:
            self.crashed.append(node.gateway.id)
        else:
            self.measured.append(Measured.model_validate_json(text))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self.controller:
            self._let_go()
            self.close()
        if gc.isenabled():
            # a collection now would search everything that the tests left; pytest collects at the very end itself
            gc.disable()
            self._doors.callback(gc.enable)
        if not self.controller:
            self.measured.append(self._measure())
        if self.worker:
            self.config.workeroutput[_KEY] = self.measured[0].model_dump_json()  # type: ignore[attr-defined]
            return
        options = self.options
        if not (options.gate or options.acts or options.reports or any(each.anything for each in self.measured)):
            return
        from pytest_llmmetrics.bill.bill import Bill

        whole = not (self.config.getoption("lf", default=False) or any("::" in each for each in self.config.args))
        self.bill = Bill(
            self.options,
            self.config.rootpath,
            self.book,
            self.measured,
            self.crashed,
            merge_base=self.merge_base,
            whole=whole,
        )
        code = self.bill.settle()
        if int(session.exitstatus) == 0:
            session.exitstatus = code

    def _let_go(self) -> None:
        """Count the calls whose unread answers are garbage: a cycle may have kept them alive."""
        every = [self._meter.engine, *meters()]
        if any(meter.in_flight for meter in every):
            gc.collect()
        for meter in every:
            meter.flush()

    def _measure(self) -> Measured:
        self._read(())
        self.requests.finish()
        seen: dict[Owner, list[SeenAttempt]] = {}
        remarks: dict[str, Remarks] = {}
        for number, owner, each in self.seen:
            asked = self.requests.read.get(number)
            side = asked and AskedSide.model_validate_json(asked.side)
            seen.setdefault(owner, []).append(unpacked(each)._replace(asked=side))
            if asked and (asked.difference or asked.clock):
                remarks[owner[0]] = remarks.get(owner[0], Remarks()).with_one(asked.difference, asked.clock)
        rows = {
            (name, run): rows_of(name, those, self.book, scripted=name in self.scripted)
            for (name, run), those in seen.items()
        }
        counted, repeats = self._counted(rows)
        own: list[Row] = []
        again: list[Row] = []
        outside: list[Row] = []
        for (name, run), those in rows.items():
            where = outside if not run else own if run == counted[name] else again
            where.extend(those)
        tagged = [
            row
            for (name, run), those in seen.items()
            if run and run == counted[name]
            for row in tagged_rows(those, self.book)
        ]
        return Measured(
            known=self.book.known(),
            rows=with_stale(own, Counter(name for (name, run), _ in self.stale if run == counted.get(name))),
            reruns=added(again),
            outside=added(outside),
            tags=added(tagged),
            tests={test: outcome or "none" for test, outcome in self.outcomes.items()},
            stale=sorted({(name, what) for (name, _), what in self.stale}),
            remarks=remarks,
            changing=self.changing,
            repeats=repeats,
            exceeded={
                name: what
                for (name, run), what in exceeded(self.config).items()
                if run == counted[name] and self.outcomes[name] != "passed"
            },
            collected=self.collected if self.options.acts or self.options.gate else [],
        )

    def _counted(self, rows: Mapping[Owner, Sequence[Row]]) -> tuple[dict[str, int], dict[str, Repeat]]:
        """Return the run of each test that counts, and the ranges of repeated tests: the last one, or the median."""
        counted, repeats = dict(self.owners.runs), {}
        for test, (times, passed) in repeated(self.config).items():
            # without the run of --llm-twice
            runs = [rows.get((test, run), ()) for run in range(1, times + 1)]
            if any(runs):
                n, repeats[test] = median(runs, self._price, passed)
                counted[test] = n + 1
        return counted, repeats

    def _price(self, row: Row) -> Price | None:
        return self.book.price(row.backend, row.model, row.answered or None, row.tier or None)

    # the summary

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.bill is not None:
            for text, kind in self.bill.lines():
                if kind == "title":
                    terminalreporter.section(text)
                else:
                    terminalreporter.write_line(text, **{kind: True} if kind else {})

    def pytest_unconfigure(self) -> None:
        self.close()


def start(config: pytest.Config) -> None:
    """Meter this session. Raises `pytest.UsageError` for a wrong option."""
    options = bill_options.read(config)
    if config.getoption("collectonly", default=False):
        return
    try:
        recorder = Recorder(config, options)
    except ConfigError as exc:
        raise pytest.UsageError(f"--llm-prices: {exc}") from None
    if options.gate and options.gate_base and not recorder.worker:
        from pytest_llmmetrics.bill.offline import history

        try:
            recorder.merge_base = history.merge_base(config.rootpath, options.gate_base)
        except history.HistoryError as exc:
            raise pytest.UsageError(str(exc)) from None
    recorder.open()
    config.pluginmanager.register(recorder, "llmmetrics-recorder")
