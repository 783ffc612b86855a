"""`--llm-max-usd`: what a session of real calls may spend, over all its workers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from llmmetrics import ConfigError
from llmmetrics.testing.harness import capped
from llmmetrics.testing.prices import ATTO, PriceBook
from pytest_llmmetrics.bill.baseline import Baseline
from pytest_llmmetrics.bill.documents import DocumentError, read
from pytest_llmmetrics.bill.figures import figures
from pytest_llmmetrics.bill.options import price_file

NAME = "llmmetrics-max-usd"
_LEDGER = "llm_max_usd_ledger"


def start(config: pytest.Config, usd: str) -> None:
    """Limit the session's spend. Raises `pytest.UsageError` for a wrong amount."""
    config.pluginmanager.register(Cap(config, usd), NAME)


def forecasts(path: Path, prices: str | None) -> Mapping[str, Decimal]:
    """Return what each test of a baseline costs, in USD; nothing without a baseline that can be read."""
    try:
        baseline = read(Baseline, path)
    except DocumentError:
        return {}
    book = PriceBook(price_file=prices)
    price_of = lambda row: book.price(row.backend, row.model, row.answered or None, row.tier or None)  # noqa: E731
    costs = {test: figures(rows, price_of).cost for test, rows in baseline.by_test().items()}
    return {test: Decimal(cost.total) / ATTO for test, cost in costs.items()}


class Cap:
    """The plugin object of a session with a limit. The workers of pytest-xdist share the controller's ledger."""

    def __init__(self, config: pytest.Config, usd: str) -> None:
        self._usd = usd
        self._stack = ExitStack()
        worker: Mapping[str, Any] = getattr(config, "workerinput", {})
        self.ledger = worker.get(_LEDGER) or self._new_ledger()
        baseline = config.getoption("llm_baseline_file", None) or config.getini("llm_baseline_file")
        prices = price_file(config)
        try:
            self._forecasts = forecasts(config.rootpath / baseline, prices)
            self._run = self._stack.enter_context(capped(usd, self.ledger, "--llm-max-usd", prices))
        except ConfigError as exc:
            self._stack.close()
            raise pytest.UsageError(str(exc)) from None

    def _new_ledger(self) -> str:
        directory = tempfile.mkdtemp(prefix="llm-max-usd-")
        self._stack.callback(shutil.rmtree, directory, ignore_errors=True)
        return f"sqlite:///{directory}/ledger.db"

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[_LEDGER] = self.ledger

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        forecast = self._forecasts.get(item.nodeid)
        left = self._run.remaining
        if forecast is not None and left is not None and forecast > left:
            pytest.skip(
                f"--llm-max-usd={self._usd}: ${left:f} is left, and this test cost ${forecast:f} in the baseline"
            )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.section("LLM spend")
        terminalreporter.write_line(f"${self._run.spent:f} of the ${self._usd} of --llm-max-usd")
        for line in _unsure(self._run.report()):
            terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        self._stack.close()


def _unsure(rows: Iterable[Any]) -> Iterable[str]:
    for row in rows:
        if unsure := row.estimated + row.worst_case + row.pending:
            yield f"  ${unsure:f} of {row.model} at {row.backend} is estimated, or the most that it may have cost"
