"""`llmmetrics rules check FILE…`: finds what cannot work in a user's rules and dashboards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llmmetrics.cli.output.findings import Exit, ok, shown
from llmmetrics.cli.output.tables import number
from llmmetrics.cli.rules import files, promtool
from llmmetrics.cli.rules.checking import Checked, Checker, placed
from llmmetrics.cli.rules.queries import Document, Placed, UnreadableError

WIDTH = 160
"""Maximum length of an excerpt of an expression, in characters."""


class Found(NamedTuple):
    """A finding, and its file."""

    path: str
    placed: Placed


def run(paths: Sequence[str]) -> Exit:
    """Print each finding; return the exit status."""
    documents: dict[str, Document] = {}
    unreadable = False
    for path in paths:
        try:
            documents[path] = files.read(path)
        except UnreadableError as exc:
            sys.stderr.write(f"llmmetrics: {shown(path)} {shown(str(exc))}\n")
            unreadable = True
    if unreadable:
        return Exit.CANNOT_LOOK
    program = promtool.installed()
    everything = list(findings(documents, program))
    for each in everything:
        sys.stdout.write(_written(each))
    if everything:
        return Exit.FINDINGS
    count = sum(len(each.queries) for each in documents.values())
    how = "checked, and evaluated by promtool" if program else "checked; install promtool to evaluate them too"
    what = f"{number(count, 'expression')} of {number(len(documents), 'file')}"
    sys.stdout.write(f"{ok(f'no errors in {what} ({how})')}\n")
    return Exit.FINE


def findings(documents: Mapping[str, Document], program: str | None) -> Iterator[Found]:
    """Find everything that is wrong, file by file; with promtool, evaluate what seems right."""
    targets = frozenset[str]().union(*(each.targets for each in documents.values()))
    checker = Checker([query for each in documents.values() for query in each.queries], targets)
    everything: list[Checked] = []
    paths: list[str] = []
    for path, document in documents.items():
        checked = [checker.check(each) for each in document.queries]
        wrong = [*document.found, *(one for each in checked for one in each.found)]
        if program and document.checked_by and not wrong:
            wrong = [Placed("", each) for each in promtool.loads(program, document.checked_by, path)]
        yield from (Found(path, each) for each in wrong)
        everything += checked
        paths += [path] * len(checked)
    if program:
        for index, finding in promtool.evaluated(program, everything):
            yield Found(paths[index], placed(everything[index].query, finding))


def _written(located: Found) -> str:
    path, (where, finding, expression) = located
    line = finding._replace(
        what=shown(f"{path}, {where}: {finding.what}" if where else f"{path}: {finding.what}"), do=shown(finding.do)
    )
    excerpt = shown(" ".join(expression.split()))
    more = excerpt if len(excerpt) <= WIDTH else f"{excerpt[: WIDTH - 2]} …"
    return f"{line}\n" + (f"{'':<8} {more}\n" if more else "")
