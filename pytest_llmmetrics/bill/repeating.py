"""`@pytest.mark.llm_repeat`: runs a test with real answers several times; enough of the runs have to pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

import pytest
from _pytest.runner import runtestprotocol

from pytest_llmmetrics.hooks import refuse
from pytest_llmmetrics.options import arguments

NAME = "llmmetrics-repeats"
MARKER = "llm_repeat"


class Runs(NamedTuple):
    """How often a test is run, and how many of the runs have to pass."""

    times: int
    passing: int


def prepare(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Read the markers of these tests. A test with a wrong marker fails."""
    wanted: dict[str, Runs] = {}
    for item in items:
        if (marker := item.get_closest_marker(MARKER)) is not None:
            try:
                wanted[item.nodeid] = runs_of(marker)
            except ValueError as exc:
                refuse(item, str(exc))
    if not config.pluginmanager.has_plugin(NAME):
        config.pluginmanager.register(Repeats(wanted), NAME)


def runs_of(marker: pytest.Mark) -> Runs:
    """Return how often a test is run. Raises `ValueError` for wrong arguments."""
    values = {"times": 3, **arguments(marker, ("times", "passing"))}
    runs = Runs(values["times"], values.get("passing", values["times"]))
    if not all(isinstance(n, int) for n in runs) or not 1 <= runs.passing <= runs.times:
        raise ValueError(
            f"@pytest.mark.{MARKER} has times={runs.times!r} and passing={runs.passing!r}: write whole numbers, "
            "and passing from 1 to times"
        )
    return runs


def repeated(config: pytest.Config) -> dict[str, tuple[int, int]]:
    """Return how many runs each repeated test has, and how many of them have passed."""
    plugin = config.pluginmanager.get_plugin(NAME)
    return plugin.runs if isinstance(plugin, Repeats) else {}


class Repeats:
    """The plugin object that runs the marked tests again; `runs` are those of each test, and the passed ones."""

    def __init__(self, wanted: dict[str, Runs]) -> None:
        self.wanted = wanted
        self.runs: dict[str, tuple[int, int]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        runs = self.wanted.get(item.nodeid)
        if runs is None:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._run(item, nextitem, runs):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _run(self, item: pytest.Item, nextitem: pytest.Item | None, runs: Runs) -> Sequence[pytest.TestReport]:
        """Return the reports of the run that stands for all."""
        passed: list[Sequence[pytest.TestReport]] = []
        failed: list[Sequence[pytest.TestReport]] = []
        skipped: list[Sequence[pytest.TestReport]] = []
        for n in range(runs.times):
            # fixtures of a wider scope stay for the next run
            after = nextitem if n == runs.times - 1 else cast("pytest.Item", item.parent)
            reports = runtestprotocol(item, log=False, nextitem=after)
            outcomes = {each.outcome for each in reports}
            (failed if "failed" in outcomes else skipped if "skipped" in outcomes else passed).append(reports)
        self.runs[item.nodeid] = runs.times, len(passed)
        if len(passed) >= runs.passing:
            return passed[0]
        if not failed:
            return skipped[0]
        said = f"{len(passed)} of {runs.times} runs passed, and {runs.passing} have to pass"
        for report in failed[0]:
            if report.failed:
                report.sections.append((MARKER, said))
        return failed[0]
