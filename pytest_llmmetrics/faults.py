"""Faults of a provider, as data: `llm_provider.fail(faults.RATE_LIMIT)`.

Each fault has the `status` and the `error_type` of its attempt. `dataclasses.replace` makes a variant.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches

from llmmetrics.testing.faults import (
    BAD_GATEWAY,
    BAD_KEY,
    CONNECT_TIMEOUT,
    CONTENT_FILTERED,
    CONTEXT_TOO_LONG,
    CUT,
    DNS,
    EMPTY,
    ERROR_IN_200,
    FAULTS,
    FORBIDDEN,
    GATEWAY_TIMEOUT,
    HTML,
    INSUFFICIENT_QUOTA,
    MALFORMED,
    NOT_FOUND,
    OVERLOADED,
    POOL_TIMEOUT,
    RATE_LIMIT,
    RATE_LIMIT_BARE,
    READ_TIMEOUT,
    REFUSED,
    RESET,
    SERVER_ERROR,
    SLOW_FIRST_BYTE,
    STALL,
    TLS,
    TRUNCATED_JSON,
    UNAVAILABLE,
    USAGE_MISSING,
    USAGE_NEGATIVE,
    WRITE_TIMEOUT,
)
from llmmetrics.testing.messages.model import Fault

__all__ = ["FAULTS", "Fault", "chosen", "cut_after", "stall_after"]
__all__ += ["BAD_GATEWAY", "BAD_KEY", "CONNECT_TIMEOUT", "CONTENT_FILTERED", "CONTEXT_TOO_LONG", "CUT", "DNS", "EMPTY"]
__all__ += ["ERROR_IN_200", "FORBIDDEN", "GATEWAY_TIMEOUT", "HTML", "INSUFFICIENT_QUOTA", "MALFORMED", "NOT_FOUND"]
__all__ += ["OVERLOADED", "POOL_TIMEOUT", "RATE_LIMIT", "RATE_LIMIT_BARE", "READ_TIMEOUT", "REFUSED", "RESET"]
__all__ += ["SERVER_ERROR", "SLOW_FIRST_BYTE", "STALL", "TLS", "TRUNCATED_JSON", "UNAVAILABLE", "USAGE_MISSING"]
__all__ += ["USAGE_NEGATIVE", "WRITE_TIMEOUT"]


def cut_after(events: int) -> Fault:
    """Make a fault that closes the connection after this number of events of a stream."""
    return replace(CUT, cut_after=events)


def stall_after(events: int) -> Fault:
    """Make a fault that sends nothing after this number of events of a stream, until the client times out."""
    return replace(STALL, stall_after=events)


def chosen(only: Collection[str | Fault] | None = None, exclude: Collection[str | Fault] = ()) -> Sequence[Fault]:
    """Select faults by name, in the table's order: those in `only` (default: all), without those in `exclude`.

    Raises `ValueError` for a name that no fault has.
    """
    wanted = FAULTS.keys() if only is None else names_of(only)
    dropped = names_of(exclude)
    return [fault for name, fault in FAULTS.items() if name in wanted and name not in dropped]


def names_of(faults: Collection[str | Fault]) -> set[str]:
    """Return the names of faults: each is a fault, `"BAD_KEY"` or `"bad_key"`. Raises `ValueError` for other names."""
    if isinstance(faults, str):
        raise ValueError(  # noqa: TRY004 - one kind of error for a wrong argument
            f"{faults!r} should be a list of faults, as in [{faults!r}]"
        )
    return {each.name if isinstance(each, Fault) else _name_of(each) for each in faults}


def _name_of(text: str) -> str:
    name = _CONSTANTS.get(text, text)
    if name not in FAULTS:
        near = get_close_matches(str(text).lower(), FAULTS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(FAULTS)}"
        raise ValueError(f"no fault is called {text!r}: {hint}")
    return name


_CONSTANTS = {constant: fault.name for constant, fault in list(globals().items()) if isinstance(fault, Fault)}
"""This module's constant → the fault's name."""
