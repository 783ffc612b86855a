"""A ledger's content for output: rows of a table for a person, fields of JSON for a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from llmmetrics.budgets.accounts import Account
from llmmetrics.budgets.amounts import usd
from llmmetrics.budgets.ledgers import Basis, Correction, WindowRow
from llmmetrics.cli.output.findings import shown
from llmmetrics.cli.output.tables import aligned, money, when
from llmmetrics.settings.windows import FIRST, Window


def account_table(accounts: Iterable[Account]) -> Iterable[str]:
    """Make the table of budgets, with the start of each next window."""
    rows = [("backend", "spent USD", "reserved USD", "limit USD", "window", "next reset")]
    for each in accounts:
        amounts = (_money(each.spent), _money(each.reserved), _money(each.limit))
        rows.append((shown(each.backend), *amounts, *_span(each.window)))
    return aligned(rows)


def window_table(rows: Iterable[WindowRow]) -> Iterable[str]:
    """Make the table of past windows."""
    table = [(shown(each.key), _money(each.spent), _money(each.limit), *_span(each.window)) for each in rows]
    return aligned([("backend", "spent USD", "limit USD", "window", "until"), *table])


def correction_table(corrections: Iterable[Correction]) -> Iterable[str]:
    """Make the table of what operators took off."""
    rows = [(shown(each.key), _money(each.amount), when(each.at), shown(each.by), each.kind) for each in corrections]
    return aligned([("backend", "taken off USD", "at", "by", "what"), *rows])


def parts_of(account: Account) -> Sequence[tuple[Basis, int]]:
    """Return what a budget has spent, by how sure it is: what is known first."""
    return [(basis, account.by_basis.get(basis, 0)) for basis in Basis]


def basis_table(accounts: Iterable[Account]) -> Iterable[str]:
    """Make the table of what the spend of budgets consists of."""
    rows = [(shown(each.backend), *(_money(amount) for _, amount in parts_of(each))) for each in accounts]
    return aligned([("backend", *(f"{basis.value.replace('_', ' ')} USD" for basis in Basis)), *rows])


def account_fields(each: Account) -> Mapping[str, object]:
    """Make the JSON object of a budget; amounts are USD as strings."""
    return {
        "backend": each.backend,
        "spent_usd": _money(each.spent),
        "booked_usd": {basis.value: _money(amount) for basis, amount in parts_of(each)},
        "reserved_usd": _money(each.reserved),
        "limit_usd": _exact(each.limit),
        **_ends(each.window),
    }


def window_fields(each: WindowRow) -> Mapping[str, object]:
    """Make the JSON object of a past window; amounts are USD as strings."""
    amounts = {"spent_usd": _money(each.spent), "limit_usd": _exact(each.limit)}
    return {"backend": each.key, **amounts, **_ends(each.window)}


def correction_fields(each: Correction) -> Mapping[str, object]:
    """Make the JSON object of a correction; amounts are USD as strings."""
    return {
        "backend": each.key,
        "taken_off_usd": _money(each.amount),
        "at": each.at.isoformat(),
        "by": each.by,
    }


def _money(pico: int | None) -> str:
    return money(None if pico is None else usd(pico))


def _exact(pico: int | None) -> str | None:
    return None if pico is None else _money(pico)


def _span(window: Window | None) -> tuple[str, str]:
    if window is None:
        return "no call in it yet", "-"
    start = "never reset" if window.start == FIRST else f"since {when(window.start)}"
    return start, when(window.resets_at) if window.resets_at else "never"


def _ends(window: Window | None) -> Mapping[str, str | None]:
    if window is None:
        return {"window_start": None, "resets_at": None}
    return {
        "window_start": window.start.isoformat(),
        "resets_at": None if window.resets_at is None else window.resets_at.isoformat(),
    }
