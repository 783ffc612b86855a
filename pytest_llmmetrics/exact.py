"""Exact money for tests: comparing it with a float is an error, not a silent inequality."""

from __future__ import annotations

from decimal import Decimal


class Usd(Decimal):
    """An exact amount in USD. Comparing it with a float, or with `approx` of a float, raises `TypeError`."""

    __hash__ = Decimal.__hash__

    def __eq__(self, other: object) -> bool:
        _require_exact(other)
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        _require_exact(other)
        return super().__ne__(other)


def _require_exact(other: object) -> None:
    # pytest.approx keeps the number in `expected`
    value = getattr(other, "expected", other)
    if isinstance(value, float):
        raise TypeError(
            f'an exact cost cannot equal the float {value!r}: compare it with usd("{value}") (from pytest_llmmetrics '
            "import usd)"
        )
