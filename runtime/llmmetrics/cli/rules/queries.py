"""What is read out of a file: its queries, each with where it stands and what is made of its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from llmmetrics.cli.output.findings import Finding


class Query(NamedTuple):
    """One expression, and what the file does with it."""

    where: str
    """The group and rule, or the panel."""
    kind: str
    """`alert`, `record`, `panel`, or `variable`, whose expression only chooses series."""
    expression: str
    written: str = ""
    """The expression as it stands in the file, where variables were replaced in it."""
    name: str = ""
    """What a recording rule calls its result."""
    labels: Mapping[str, str] = {}
    """What a rule adds to each series of its result."""
    texts: Mapping[str, str] = {}
    """An alert's annotations by name, or a panel's legend: they may name labels."""
    stacked: bool = False
    """Whether the panel adds its series up."""
    unit: str = ""
    """The panel's."""
    label: str = ""
    """The one whose values a variable takes."""


class Placed(NamedTuple):
    """A finding, and where in its file it belongs; with the expression, where there is one."""

    where: str
    finding: Finding
    expression: str = ""


class Document(NamedTuple):
    """A file that has been read."""

    queries: Sequence[Query] = ()
    found: Sequence[Placed] = ()
    """What is wrong with it apart from its queries."""
    targets: frozenset[str] = frozenset()
    """The labels that this scrape configuration adds to every series."""
    checked_by: str = ""
    """What promtool calls this kind of file: `rules` or `config`, or nothing."""


class UnreadableError(ValueError):
    """A file that is not what the command takes: the message says what it is instead, and what to do."""
