"""The recorder: meters the session, and knows which test each call belongs to.

A call belongs to whatever the process was running when the call began, on any thread. Records are kept in memory and
looked at when the session ends: during a test nothing is read, written or imported.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from llmmetrics.testing import CallRecord, observe
from llmmetrics.testing.harness import Unpriced, metering, meters, set_owner
from llmmetrics.testing.prices import PriceBook
from pytest_llmmetrics.bill import options as bill_options
from pytest_llmmetrics.bill.enforcing import exceeded
from pytest_llmmetrics.bill.measured import Measured
from pytest_llmmetrics.bill.options import Options
from pytest_llmmetrics.bill.owners import SESSION, Owner, named, owners_of
from pytest_llmmetrics.bill.rows import Row, SeenAttempt, added, packed, rows_of, unpacked
from pytest_llmmetrics.bill.stale import Watch

if TYPE_CHECKING:
    from pytest_llmmetrics.bill.bill import Bill

_KEY = "llmmetrics"


class Recorder:
    """The plugin object of a metered session; in xdist's controller it only collects what the workers measured."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.worker = hasattr(config, "workerinput")
        self.controller = not self.worker and config.getoption("dist", "no") != "no"
        self.book = PriceBook()
        # flat tuples and strings, which the collector does not look at: tens of thousands of objects more would
        # bring on a collection of everything that a test session holds
        self.seen: list[tuple[Owner, tuple[Any, ...]]] = []
        self.owners = owners_of(config)
        self.outcomes: dict[str, str] = {}
        self.stale: list[tuple[Owner, str]] = []
        self.collected: list[str] = []
        self.measured: list[Measured] = []
        self.crashed: list[str] = []
        self.bill: Bill | None = None
        self.merge_base = ""
        self._watch = Watch(lambda what: self.stale.append((named(self.owners.current), what)))
        self._doors = ExitStack()

    # from the session's start to its end

    def open(self) -> None:
        """Begin to meter."""
        if self.controller:
            return
        self._doors.callback(set_owner, set_owner(SESSION))
        self._doors.enter_context(observe(self._told))
        self._meter = Unpriced()
        self._doors.enter_context(metering(self._meter))
        self._doors.callback(self._watch.stop)

    def close(self) -> None:
        """Put everything back as it was."""
        self._doors.close()

    def _told(self, record: CallRecord) -> None:
        self.book.learn(record)
        self.seen.append((named(record.owner), packed(record)))

    # as the tests run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        self.outcomes[item.nodeid] = ""
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        self._watch.look()
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        before = self.outcomes.get(report.nodeid)
        if before in {"", "passed"}:
            said = report.outcome if not hasattr(report, "wasxfail") else f"x{report.outcome}"
            # a failure in any phase is the run's
            if report.when == "call" or said != "passed":
                self.outcomes[report.nodeid] = said

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # before -k and others take some away
        self.collected = [item.nodeid for item in items]

    # what it comes to

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
            # what is made from here on is no garbage, and would have all that the tests left searched for some;
            # pytest itself collects at the very end
            gc.disable()
            self._doors.callback(gc.enable)
        if not self.controller:
            self.measured.append(self._measure())
        if self.worker:
            self.config.workeroutput[_KEY] = self.measured[0].model_dump_json()  # type: ignore[attr-defined]
            return
        asked = self.options
        if not (asked.gate or asked.acts or asked.reports or any(each.anything for each in self.measured)):
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
        """Have the calls counted whose answers nobody holds any more: a cycle may have kept some."""
        every = [self._meter.engine, *meters()]
        if any(meter.in_flight for meter in every):
            gc.collect()
        for meter in every:
            meter.flush()

    def _measure(self) -> Measured:
        seen: dict[Owner, list[SeenAttempt]] = {}
        for owner, each in self.seen:
            seen.setdefault(owner, []).append(unpacked(each))
        own: list[Row] = []
        again: list[Row] = []
        beside: list[Row] = []
        for (name, run), attempts in seen.items():
            where = beside if not run else own if run == self.owners.runs[name] else again
            where.extend(rows_of(name, attempts, self.book))
        return Measured(
            known=self.book.known(),
            rows=own,
            reruns=added(again),
            beside=added(beside),
            tests={test: outcome or "none" for test, outcome in self.outcomes.items()},
            stale=sorted({(name, what) for (name, _), what in self.stale}),
            exceeded=exceeded(self.config),
            collected=self.collected if self.options.acts or self.options.gate else [],
        )

    # what is said of it

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
    """Meter this session. Raises `pytest.UsageError` for what was asked for wrongly."""
    asked = bill_options.read(config)
    if config.getoption("collectonly", default=False):
        return
    recorder = Recorder(config, asked)
    if asked.gate and asked.gate_base and not recorder.worker:
        from pytest_llmmetrics.bill import history

        try:
            recorder.merge_base = history.merge_base(config.rootpath, asked.gate_base)
        except history.HistoryError as exc:
            raise pytest.UsageError(str(exc)) from None
    recorder.open()
    config.pluginmanager.register(recorder, "llmmetrics-recorder")
