"""`llmmetrics verify URL`: whether a program's `/metrics` keeps the contract, whatever it is written in."""

from __future__ import annotations

import sys

from llmmetrics.cli.output.findings import Exit, error, ok, shown
from llmmetrics.errors import ConfigError
from llmmetrics.testing.contract.checks import CHECKS, check
from llmmetrics.testing.contract.scraping import ScrapeError, UnreachableError, scrapes


def run(url: str) -> Exit:
    """Print a line a finding."""
    try:
        found = scrapes(url)
    except (ConfigError, UnreachableError) as exc:
        sys.stderr.write(f"llmmetrics: {shown(str(exc))}\n")
        return Exit.CANNOT_LOOK
    except ScrapeError as exc:
        what, _, do = str(exc).rpartition(": ")
        sys.stdout.write(f"{error(shown(what), do)}\n")
        return Exit.FINDINGS
    wrong = [each for name in CHECKS for each in check(name, found)]
    for each in wrong:
        sys.stdout.write(f"{error(shown(f'{each.what} ({each.where})'), shown(each.do))}\n")
    if wrong:
        return Exit.FINDINGS
    both = "both formats" if found.openmetrics.openmetrics else "the classic format, the only one that it speaks"
    count = sum(each.name.startswith("llm") for each in found.again.samples)
    sys.stdout.write(f"{ok(f'{count} series in {both} keep the contract')}\n")
    return Exit.FINE
