"""The tables and lists of the documentation that follow tables and enums of the code: made from them, or checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import partial
from typing import get_args

from llmmetrics import wire
from llmmetrics.budgets.budget import LEDGER_ERRORS
from llmmetrics.budgets.ledgers import Basis
from llmmetrics.errors import Reason
from llmmetrics.reading import endpoints
from llmmetrics.reading.endings import VERDICTS, Ending, Shown
from llmmetrics.reading.error_types import CODES, STATUSES, ErrorType, Status
from llmmetrics.settings.model import (
    BackendType,
    BudgetMode,
    Durability,
    OnBudgetExceeded,
    OnLedgerError,
    OnUnknownPrice,
    OnUnknownUsage,
)
from llmmetrics.settings.windows import ResetPeriod, Weekday
from llmmetrics.testing import FAULTS
from pytest_llmmetrics.bill.modes import Mode
from support.documentation import DOCS

STATUS_MEANINGS = {
    Status.SUCCESS: "HTTP below 400 and the body came to its end, or a stream's last event was seen before the caller closed it",
    Status.FAILURE: "everything else",
    Status.TIMEOUT: "the error type is `timeout`",
    Status.CANCELLED: "the caller went away; no error is counted",
}

ERROR_MEANINGS: dict[ErrorType, tuple[str, str]] = {
    ErrorType.RATE_LIMIT: ("", ""),
    ErrorType.AUTH: ("", ""),
    ErrorType.TIMEOUT: ("", "connect, read, write and pool timeouts"),
    ErrorType.NETWORK: ("", "connection, read, write, protocol and proxy errors"),
    ErrorType.API_ERROR: ("any other error object", ""),
    ErrorType.UNKNOWN: ("a 2xx body that is not what its format says", "any other"),
}
"""The other causes of an error type: in the body, or an exception."""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n" + "".join(f"|{'|'.join(cell if cell == '---' else f' {cell} ' for cell in line)}|\n" for line in lines)


def endings() -> str:
    """What the status and error type are, by ending and what was shown."""
    rows = [(shown.value, *(VERDICTS[shown, ending].value for ending in Ending)) for shown in Shown]
    return _table(("the answer had shown", *(ending.value for ending in Ending)), rows)


def statuses() -> str:
    """Each status and when it is given."""
    return _table(("status", "when"), [(f"`{each}`", STATUS_MEANINGS[each]) for each in Status])


def error_types() -> str:
    """Each error type and what leads to it."""
    rows = []
    for error, (body, exception) in ERROR_MEANINGS.items():
        http = http_statuses(error)
        codes = ", ".join(f"`{code}`" for code, kind in CODES.items() if kind is error)
        if error is ErrorType.API_ERROR:
            http = ", ".join(filter(None, (http, "any other from 400 on")))
        rows.append((f"`{error}`", http, ", ".join(filter(None, (codes, body))), exception))
    assert set(ERROR_MEANINGS) == set(ErrorType), "each error type needs a row in ERROR_MEANINGS"
    return _table(("error type", "HTTP", "code in the body, inside a 200 too", "exception"), rows)


def http_statuses(error: ErrorType) -> str:
    """The HTTP statuses of an error type."""
    return ", ".join(str(status) for status, kind in STATUSES.items() if kind is error)


def fault_table() -> str:
    """How each fault of the simulated provider is counted."""
    rows = [
        (f"`{name.upper()}`", f"`{each.status}`", f"`{each.error_type}`" if each.error_type else "")
        for name, each in FAULTS.items()
    ]
    return _table(("fault", "`status`", "`error_type`"), rows)


def code(values: Iterable[str]) -> list[str]:
    """The values as code, in backticks."""
    return [f"`{value}`" for value in values]


def listed(values: Iterable[str], separator: str = ", ") -> str:
    """The values in a line."""
    return separator.join(code(values))


LISTS: dict[tuple[str, str], type[StrEnum]] = {
    ("settings.md", "backend types"): BackendType,
    ("settings.md", "reset periods"): ResetPeriod,
    ("settings.md", "weekdays"): Weekday,
    ("settings.md", "modes"): BudgetMode,
    ("settings.md", "durabilities"): Durability,
    ("settings.md", "on ledger error"): OnLedgerError,
    ("settings.md", "on unknown price"): OnUnknownPrice,
    ("settings.md", "on unknown usage"): OnUnknownUsage,
    ("settings.md", "on budget exceeded"): OnBudgetExceeded,
    ("metrics.md", "status values"): Status,
    ("metrics.md", "error type values"): ErrorType,
}
"""Page and name of each made list of an enum's values."""


def formats() -> str:
    """Each wire format: a path, how it is billed, the names of its output limit, what is special about it."""
    rows = []
    for each in sorted(wire.FORMATS, key=lambda row: row.id):
        limits = ", ".join(f"`{'.'.join(place)}`" for place in each.output_limits or ())
        if each.output_limits == wire.NO_COMPLETION:
            limits = "no completion"
        rows.append((f"`{each.id}`", f"`{each.example}`", each.billing.value, limits, each.note))
    return _table(("format", "a path", "billed", "output limit", "what is special about it"), rows)


def free_paths() -> str:
    """What each provider's free paths are for."""
    rows = [(f"`{each.provider}`", each.what) for each in endpoints.FREE]
    return _table(("provider", "free"), sorted(rows))


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("counting.md", "endings"): endings,
    ("formats.md", "formats"): formats,
    ("formats.md", "free paths"): free_paths,
    ("metrics.md", "statuses"): statuses,
    ("metrics.md", "error types"): error_types,
    **{
        ("runbooks/HighLLMErrorRatioByType.md", f"{error} statuses"): partial(http_statuses, error)
        for error in (ErrorType.AUTH, ErrorType.RATE_LIMIT, ErrorType.TIMEOUT)
    },
    ("testing.md", "faults"): fault_table,
    ("metrics.md", "reasons"): partial(listed, get_args(Reason)),
    **{place: partial(listed, values) for place, values in LISTS.items()},
}
"""Page and name of each made part; in the page it stands between `<!-- NAME -->` and `<!-- /NAME -->`."""

NAMED: dict[tuple[str, str], list[str]] = {
    ("api.md", "`LlmBudget`"): code(ResetPeriod),
    ("budgets.md", "Modes"): code(BudgetMode),
    ("budgets.md", "Refusals"): code(get_args(Reason)),
    ("budgets.md", "What is booked"): [*code(Basis), *code(OnUnknownUsage)],
    ("budgets.md", "When the ledger is away"): code(OnLedgerError),
    ("budgets.md", "Prices"): code(OnUnknownPrice),
    ("costs.md", "What a suite's LLM calls cost"): code(get_args(Mode)),
    ("counting.md", "Error types tell the engineer on call what to do"): code(ErrorType),
    ("dashboards.md", "Budgets"): code(get_args(Reason)),
    ("runbooks/HighLLMErrorRatioByType.md", "What to do"): code(ErrorType),
    ("runbooks/LLMCallsRefused.md", "What to do"): code(get_args(Reason)),
    ("runbooks/LLMLedgerErrors.md", "What to do"): code(LEDGER_ERRORS),
}
"""What a section of a page names, each with an explanation of its own, so that it is written by hand."""


def missing(page: str, heading: str, names: Iterable[str]) -> list[str]:
    """The names that a section of a page lacks."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", _text(page), re.DOTALL | re.MULTILINE)
    assert section, f"docs/{page} has no section {heading!r}"
    return [name for name in names if name not in section[1]]


def _text(page: str) -> str:
    return (DOCS / page).read_text("utf8")


def part(page: str, name: str) -> re.Match[str]:
    """Where a made part stands in its page."""
    text = _text(page)
    found = re.search(rf"(?<=<!-- {name} -->)(.*?)(?=<!-- /{name} -->)", text, re.DOTALL)
    assert found, f"docs/{page} has no part between <!-- {name} --> and <!-- /{name} -->"
    return found


def write(page: str, name: str, made: str) -> None:
    """Replace a made part of a page."""
    found = part(page, name)
    text = found.string
    (DOCS / page).write_text(text[: found.start()] + made + text[found.end() :], "utf8")
