"""The input and the output of the contract's checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from llmmetrics.testing.contract.exposition import Page, Sample
from llmmetrics.testing.contract.families import FAMILIES, Family


class Wrong(NamedTuple):
    """A difference from the contract: what, where, and what to do."""

    what: str
    where: str
    do: str

    def __str__(self) -> str:
        return f"{self.what} ({self.where}): {self.do}"


class Scrapes(NamedTuple):
    """Three scrapes of one program, in order: both formats, and the first format again."""

    classic: Page
    openmetrics: Page
    again: Page


Check = Callable[[Scrapes], Iterator[Wrong]]

_FAMILIES = {sample: family for family in FAMILIES.values() for sample in family.samples}


def family_of(sample: str) -> Family | None:
    """Return the family of a sample; None if it is not one of ours."""
    return _FAMILIES.get(sample)


def printed(page: Page, family: Family) -> str:
    """Return the name on a family's HELP and TYPE lines: in OpenMetrics, a counter's without `_total`."""
    return family.name.removesuffix("_total") if page.openmetrics else family.name


def families_on(page: Page) -> set[str]:
    """Return our families with a TYPE line or a sample on the page."""
    typed = {name for name, family in FAMILIES.items() if printed(page, family) in page.types}
    return typed | {family.name for each in page.samples if (family := family_of(each.name))}


def found_in(page: Page, sample: Sample, what: str, do: str) -> Wrong:
    """Make a finding about a sample."""
    return Wrong(what, f"{page.format}, line {sample.line}", do)
