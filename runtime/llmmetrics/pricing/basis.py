"""How sure an amount is."""

from enum import StrEnum


class Basis(StrEnum):
    """How sure a booked amount is."""

    KNOWN = "known"
    ESTIMATED = "estimated"
    WORST_CASE = "worst_case"
    PENDING = "pending"
