"""`llmmetrics-gate`: compares, merges and shows report files, and settles a conflicted baseline.

Exit status: 0 passed, 2 usage error, 10 regression, 11 inconclusive.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path

from pytest_llmmetrics.bill.documents import DocumentError, read, write
from pytest_llmmetrics.bill.figures import Cost, money
from pytest_llmmetrics.bill.judging.gate import verdict_of
from pytest_llmmetrics.bill.judging.limits import LimitError, Rules, limits_of
from pytest_llmmetrics.bill.judging.verdict import INCONCLUSIVE, listed
from pytest_llmmetrics.bill.modes import MODES
from pytest_llmmetrics.bill.offline.comparing import compared
from pytest_llmmetrics.bill.offline.merging import merged
from pytest_llmmetrics.bill.offline.repricing import repriced
from pytest_llmmetrics.bill.offline.resolving import parents, resolved
from pytest_llmmetrics.bill.rendering import html, markdown, summary
from pytest_llmmetrics.bill.rendering.texts import visible
from pytest_llmmetrics.bill.report import Report

UNREAD = 141
"""The exit status if the reader of the output has closed it: 128 + SIGPIPE, as a shell reports it."""

WRONG = 2
"""The exit status of a usage error, as in argparse."""


def diff(args: argparse.Namespace) -> int:
    """Compare two reports."""
    rules = Rules(limits_of(args.limit or ()), args.mode)
    base, head = read(Report, args.base), read(Report, args.head)
    try:
        verdict = compared(base, head, rules)
    except DocumentError as exc:
        return _complain(exc, INCONCLUSIVE)
    if args.markdown:
        print(markdown.fitted([markdown.MARKER, *markdown.judged(verdict, advice=False)]))  # noqa: T201 - the command's output
        return verdict.code
    for text, kind in summary.of_verdict(verdict, ""):
        print(visible(f"{text}:" if kind == "title" else text))  # noqa: T201
    return verdict.code


def merge(args: argparse.Namespace) -> int:
    """Merge the reports of a suite's shards into one report."""
    whole = merged([(path.name, read(Report, path)) for path in args.shards])
    write(args.output, whole.text())
    verdict = verdict_of(whole)
    return 0 if verdict is None else verdict.code


def comment(args: argparse.Namespace) -> int:
    """Print a report as a Markdown comment."""
    print(markdown.comment(read(Report, args.report)), end="")  # noqa: T201
    return 0


def page(args: argparse.Namespace) -> int:
    """Write a report as an HTML page."""
    write(args.output, html.page(read(Report, args.report)))
    return 0


def reprice(args: argparse.Namespace) -> int:
    """Print what the calls of a report would cost on another model."""
    models = {}
    for text in args.model:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise DocumentError(f"--model {text} is not OLD=NEW: write it as gpt-4o=gpt-4o-mini")
        models[old] = new
    tests = repriced(read(Report, args.report), models)
    before, after = Cost(), Cost()
    for test, each in sorted(tests.items(), key=lambda item: (-item[1].after.total, item[0])):
        before, after = before + each.before, after + each.after
        print(f"{money(each.before)} → {money(each.after)}  {visible(test)}")  # noqa: T201
    change = markdown.percent(before.total, after.total)
    print(f"{money(before)} → {money(after)}{change}  all tests, at the same number of tokens")  # noqa: T201
    return 0


def resolve(args: argparse.Namespace) -> int:
    """Settle the conflicts of a baseline after a merge."""
    sides = parents(args.baseline)
    if sides is None:
        print(f"{args.baseline} has no conflict: there is nothing to resolve")  # noqa: T201
        return 0
    made, both = resolved(*sides)
    write(args.baseline, made.text())
    print(f"{args.baseline}: {len(made.rows)} rows, settled: run the tests with --llm-gate, then git add it")  # noqa: T201
    if both:
        text = f"both sides have changed {listed(both)}: the smaller row is kept"
        print(visible(f"{text}; if the gate finds more, check it and fix it"))  # noqa: T201
    return 0


def _complain(exc: Exception, code: int) -> int:
    print(f"llmmetrics-gate: {exc}", file=sys.stderr)  # noqa: T201
    return code


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    root = argparse.ArgumentParser(
        prog="llmmetrics-gate",
        description="Works on reports that `pytest --llm-report=PATH.json` has written. Exit status: 0 passed, "
        "2 usage error, 10 regression, 11 inconclusive.",
    )
    root.add_argument("--version", action="version", version=f"llmmetrics-gate {version('pytest-llmmetrics')}")
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def command(act: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(act.__name__, help=act.__doc__, description=act.__doc__)
        added.set_defaults(act=act)
        return added

    each = command(diff)
    each.add_argument("base", type=Path, metavar="BASE", help="the report to compare with")
    each.add_argument("head", type=Path, metavar="HEAD", help="the report that is judged")
    each.add_argument(
        "--limit", action="append", metavar="LIMIT", help="such as 'cost 5%% 0.0001'; may be given several times"
    )
    each.add_argument(
        "--mode", choices=MODES, default="block", help="the strongest reaction to a reached limit (default: block)"
    )
    each.add_argument("--markdown", action="store_true", help="print it as a Markdown comment")
    each = command(merge)
    each.add_argument("shards", type=Path, nargs="+", metavar="SHARD", help="the report of one shard of the suite")
    each.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="the file to write")
    each = command(comment)
    each.add_argument("report", type=Path, metavar="REPORT", help="a report, as JSON")
    each = command(page)
    each.add_argument("report", type=Path, metavar="REPORT", help="a report, as JSON")
    each.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help="the file to write")
    each = command(resolve)
    each.add_argument("baseline", type=Path, metavar="BASELINE", help="the conflicted file, such as llm-costs.json")
    each = command(reprice)
    each.add_argument("report", type=Path, metavar="REPORT", help="a report, as JSON")
    each.add_argument(
        "--model",
        action="append",
        required=True,
        metavar="A=B",
        help="price the calls to model A as calls to B; may be given several times",
    )
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    try:
        try:
            return _run(arguments)
        finally:
            # flush the buffer here, where a closed pipe can still be handled
            sys.stdout.flush()
    except BrokenPipeError:
        # as in `llmmetrics-gate comment … | head -1`; the interpreter flushes again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def _run(arguments: Sequence[str] | None) -> int:
    args = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a console of another encoding has no arrow and no minus sign
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code: int = args.act(args)
    except (DocumentError, LimitError) as exc:
        return _complain(exc, WRONG)
    return code


if __name__ == "__main__":
    sys.exit(main())
