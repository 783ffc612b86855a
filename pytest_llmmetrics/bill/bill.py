"""The end of a session: makes the report, the baseline and the verdict from the measured calls, and writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from llmmetrics.testing.harness import ESTIMATOR, prices
from llmmetrics.testing.prices import PriceBook
from pytest_llmmetrics.bill.baseline import Baseline, Changes, amended, by_test, unchanged
from pytest_llmmetrics.bill.documents import DocumentError, check_rows, read, write
from pytest_llmmetrics.bill.figures import asked_price
from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.judging.notices import drifted, other_estimates
from pytest_llmmetrics.bill.judging.verdict import INCONCLUSIVE, Verdict
from pytest_llmmetrics.bill.measured import Measured
from pytest_llmmetrics.bill.offline import history
from pytest_llmmetrics.bill.options import Options
from pytest_llmmetrics.bill.rendering import summary
from pytest_llmmetrics.bill.rendering.texts import visible
from pytest_llmmetrics.bill.report import SCHEMA, Gate, Rates, Reason, Report, digests, price_key, priced
from pytest_llmmetrics.bill.rows import Remarks, added

USAGE_ERROR = 4
"""pytest's exit code for a usage error."""


class Bill:
    """The results of a session. `settle` makes and writes them, once; `lines` are the text for the terminal."""

    def __init__(
        self,
        options: Options,
        root: Path,
        book: PriceBook,
        measured: Sequence[Measured],
        crashed: Sequence[str],
        *,
        merge_base: str,
        whole: bool,
    ) -> None:
        self.options = options
        self.root = root
        path = options.baseline
        self.name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        """The baseline as messages name it: without directories that only this machine has."""
        self.book = book
        self.measured = measured
        self.crashed = crashed
        self.merge_base = merge_base
        """The merge base with `--llm-gate-base`; empty: not asked for."""
        self.whole = whole
        """Whether the collected files were collected whole."""
        self.verdict: Verdict | None = None
        self.changes: Changes | None = None
        self.unchanged = ""
        """Why nothing was written to the baseline."""
        self.problems: list[str] = []
        self.notices: list[str] = []
        for each in measured:
            book.learn_known(each.known)
        self.tests = {test: outcome for one in measured for test, outcome in sorted(one.tests.items())}
        self.report: Report | None = None

    def settle(self) -> int:
        """Judge, and write the report and the baseline. Return the exit code for a session whose tests passed."""
        code = 0
        agreed, base = Baseline(), None
        reasons = self._reasons()
        if self.options.gate or self.options.acts:
            try:
                agreed = self._agreed()
            except DocumentError as exc:
                reasons.append(Reason(what=str(exc)))
                self.problems += [] if self.options.gate else [str(exc)]
                code = INCONCLUSIVE
        if self.merge_base and not code:
            base = self._base(reasons)
        self.book.learn_known({"sellers": agreed.sellers})
        if base is not None:
            self.book.learn_known({"sellers": base.sellers})
        report = self.report = self._report(agreed, base, reasons)
        if self.options.acts and not code:
            agreed = self._amend(agreed, report)
        if self.options.gate:
            report.gate = self._gate(report, agreed, base, readable=not code)
            self.verdict = verdict_of(report)
            assert self.verdict is not None
            code = self.verdict.code
        self._write(report)
        return code or (USAGE_ERROR if self.problems else 0)

    # collect the results

    def _reasons(self) -> list[Reason]:
        return [
            Reason(what=f"the worker {name} crashed, and its measured calls are lost: run the tests again")
            for name in sorted(self.crashed)
        ]

    def _agreed(self) -> Baseline:
        path = self.options.baseline
        if not path.exists():
            called = any(one.rows for one in self.measured)
            if "create" in self.options.acts or not (called or self.options.acts):
                return Baseline()
            raise DocumentError(f"there is no {self.name}: write it with --llm-baseline=create, and commit it")
        return read(Baseline, path, self.name)

    def _base(self, reasons: list[Reason]) -> Baseline | None:
        try:
            base = history.baseline_at(self.root, self.merge_base, self.options.baseline)
        except DocumentError as exc:
            reasons.append(Reason(what=str(exc)))
            return None
        if base is None:
            self.notices.append(f"there is no {self.name} at the merge base with {self.options.gate_base}")
        return base

    def _report(self, agreed: Baseline, base: Baseline | None, reasons: list[Reason]) -> Report:
        own, outside, again, tagged = (
            added(row for one in self.measured for row in getattr(one, name))
            for name in ("rows", "outside", "reruns", "tags")
        )
        others = (*agreed.rows, *(base.rows if base else ()))
        every = {price_key(row): row for row in (*own, *outside, *again, *others)}
        known = {
            key: self.book.price(row.backend, row.model, row.answered or None, row.tier or None)
            for key, row in every.items()
        }
        asked = {price_key(row): row for row in map(asked_price, every.values())}
        for key, row in asked.items():
            known.setdefault(key, self.book.price(row.backend, row.model))
        windows = {key: self.book.window(row.backend, row.model) for key, row in asked.items()}
        rates = {key: Rates.model_validate(prices.plain(price)) for key, price in known.items() if price}
        return Report(
            schema=SCHEMA,
            book=self.book.version,
            estimator=ESTIMATOR,
            priced_at=f"{self.book.at:%Y-%m-%dT%H:%M:%SZ}",
            sellers=self.book.known()["sellers"],
            prices=rates,
            tests=dict(sorted(self.tests.items())),
            rows=priced(own, known),
            outside=priced(outside, known),
            reruns=priced(again, known),
            tags=priced(tagged, known),
            doubts=reasons,
            remarks=self._remarks(),
            repeats=dict(sorted(item for one in self.measured for item in one.repeats.items())),
            windows={key: n for key, n in windows.items() if n},
        )

    def _remarks(self) -> dict[str, Remarks]:
        every = [item for one in self.measured for item in one.remarks.items()]
        return {test: remarks for test, remarks in sorted(every, key=lambda item: item[0]) if test in self.tests}

    # write and judge

    def _amend(self, agreed: Baseline, report: Report) -> Baseline:
        header = Baseline(
            schema=SCHEMA,
            book=report.book,
            estimator=report.estimator,
            prices=digests(report),
            sellers=report.sellers,
        )
        passed = set(report.passed)
        new, self.changes = amended(
            agreed,
            self.options.acts,
            by_test(report.rows),
            passed,
            self._vanished(agreed),
            header=header,
        )
        try:
            check_rows(new.rows, self.name)
            if any(self.changes) or not self.options.baseline.exists():
                write(self.options.baseline, new.text())
            if not any(self.changes):
                self.unchanged = unchanged(self.options.acts, agreed, {row.test for row in report.rows}, passed)
        except DocumentError as exc:
            self.problems.append(str(exc))
            return agreed
        return new

    def _vanished(self, agreed: Baseline) -> set[str]:
        """Return the baseline's tests that do not exist any more: their file is gone, or was collected without them."""
        collected = {test for one in self.measured for test in one.collected}
        files = {test.partition("::")[0] for test in collected}
        gone = set()
        for test in agreed.by_test().keys() - collected:
            file = test.partition("::")[0]
            if (file in files and self.whole) or not (self.root / file).exists():
                gone.add(test)
        return gone

    def _gate(self, report: Report, agreed: Baseline, base: Baseline | None, *, readable: bool) -> Gate:
        rules = self.options.rules
        notices = list(self.notices)
        notices += [
            f"{test} exceeded its @pytest.mark.llm_limit ({what}) and is not judged: reduce its calls or tokens, "
            "or raise the limit"
            for one in self.measured
            for test, what in sorted(one.exceeded.items())
        ]
        gone = self._vanished(agreed) | (set() if base is None else self._vanished(base))
        others = [(each.estimator, each.rows) for each in (agreed, base) if each is not None]
        if incomparable := other_estimates(report.estimator, *others):
            report.doubts.append(Reason(what=f"{incomparable}: --llm-baseline=fix updates the baseline"))
        return Gate(
            agreed=agreed.rows if readable else None,
            base=None if base is None else base.rows,
            estimates=not incomparable,
            limits=[str(limit) for limit in rules.limits],
            mode=rules.mode,
            accepted=rules.accepted,
            inconclusive=rules.inconclusive,
            drift=drifted((base or agreed).prices, digests(report), ((base or agreed).book, report.book)),
            notices=notices,
            new_limits=[str(limit) for limit in rules.new],
            gone=sorted(gone),
        )

    def _write(self, report: Report) -> None:
        for path in self.options.reports:
            try:
                write(path, _rendered(report, path.suffix))
            except DocumentError as exc:
                self.problems.append(str(exc))
        if self._has_results and os.environ.get("GITHUB_STEP_SUMMARY"):
            from pytest_llmmetrics.bill.rendering import github

            github.summarise(os.environ, _rendered(report, ".md"))

    # show the results

    @property
    def _has_results(self) -> bool:
        """Whether there are calls or a verdict to show."""
        report = self.report
        return report is not None and bool(report.rows or report.outside or report.reruns or report.gate)

    def lines(self) -> Iterable[tuple[str, str]]:
        """Yield the terminal's lines, each with its markup."""
        return ((visible(text), kind) for text, kind in self._lines())

    def _lines(self) -> Iterable[tuple[str, str]]:
        if self.report is not None and self._has_results:
            yield from summary.of_report(self.report, self.options.top)
        if self.changes is not None:
            yield from summary.of_baseline(self.changes, self.name, self.unchanged)
        if self.options.twice:
            yield from summary.of_changing([one.changing for one in self.measured])
        if self.verdict is not None:
            yield from summary.of_verdict(self.verdict, self.name)
            if os.environ.get("GITHUB_ACTIONS"):
                from pytest_llmmetrics.bill.rendering import github

                yield from ((line, "") for line in github.commands(os.environ, self.verdict))
        elif self.notices:
            yield from ((notice, "yellow") for notice in self.notices)
        yield from ((problem, "red") for problem in self.problems)


def run_url(environ: Mapping[str, str]) -> str:
    """Return the page of this workflow run on GitHub, which has its artifacts; empty: there is none."""
    parts = [environ.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    return f"{parts[0]}/{parts[1]}/actions/runs/{parts[2]}" if all(parts) else ""


def _rendered(report: Report, suffix: str) -> str:
    """Render a report in the format of this suffix. A format's module is imported on first use."""
    if suffix == ".json":
        return report.text()
    if suffix == ".md":
        from pytest_llmmetrics.bill.rendering import markdown

        return markdown.comment(report, run_url(os.environ))
    from pytest_llmmetrics.bill.rendering import html

    return html.page(report)
