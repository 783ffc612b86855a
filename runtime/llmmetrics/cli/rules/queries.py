"""The content of a file: its queries, each with its place and how the file uses its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmmetrics.cli.output.findings import Finding


class Query(NamedTuple):
    """One expression, and how the file uses it."""

    where: str
    """The group and rule, or the panel."""
    kind: str
    """`alert`, `record`, `panel`, or `variable`; a variable's expression only selects series."""
    expression: str
    written: str = ""
    """The expression as it is in the file, if variables were replaced in it."""
    name: str = ""
    """The name of a recording rule's result."""
    labels: Mapping[str, str] = {}
    """Labels that a rule adds to each series of its result."""
    texts: Mapping[str, str] = {}
    """An alert's annotations by name, or a panel's legend: they may name labels."""
    stacked: bool = False
    """Whether the panel stacks its series."""
    unit: str = ""
    """The unit of the panel."""
    label: str = ""
    """The label whose values a variable takes."""


class Placed(NamedTuple):
    """A finding, its place in the file, and the expression, if there is one."""

    where: str
    finding: Finding
    expression: str = ""


class Document(NamedTuple):
    """The content of a file."""

    queries: Sequence[Query] = ()
    found: Sequence[Placed] = ()
    """Findings that do not belong to a query."""
    targets: frozenset[str] = frozenset()
    """The labels that this scrape configuration adds to every series."""
    checked_by: str = ""
    """promtool's name for this kind of file: `rules`, `config` or empty."""


class UnreadableError(ValueError):
    """A file that the command does not take. The message says what it is, and what to do."""
