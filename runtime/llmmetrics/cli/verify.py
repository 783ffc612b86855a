"""`llmmetrics verify URL`: checks a program's `/metrics` against the contract. The program may be in any language."""

from __future__ import annotations

import sys

from llmmetrics.cli.output.findings import Exit, error, ok, shown
from llmmetrics.errors import ConfigError
from llmmetrics.testing.contract.checks import CHECKS, check
from llmmetrics.testing.contract.scraping import ScrapeError, UnreachableError, scrapes


def run(url: str) -> Exit:
    """Print one line for each finding."""
    try:
        pages = scrapes(url)
    except (ConfigError, UnreachableError) as exc:
        sys.stderr.write(f"llmmetrics: {shown(str(exc))}\n")
        return Exit.CANNOT_LOOK
    except ScrapeError as exc:
        what, _, do = str(exc).rpartition(": ")
        sys.stdout.write(f"{error(shown(what), do)}\n")
        return Exit.FINDINGS
    wrong = [each for name in CHECKS for each in check(name, pages)]
    for each in wrong:
        sys.stdout.write(f"{error(shown(f'{each.what} ({each.where})'), shown(each.do))}\n")
    if wrong:
        return Exit.FINDINGS
    both = (
        "both formats" if pages.openmetrics.openmetrics else "the classic format, the only one that the program offers"
    )
    count = sum(each.name.startswith("llm") for each in pages.again.samples)
    sys.stdout.write(f"{ok(f'{count} series in {both} keep the contract')}\n")
    return Exit.FINE
