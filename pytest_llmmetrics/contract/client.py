"""The suite for code that makes LLM calls."""

from __future__ import annotations

from typing import Any

from pytest_llmmetrics import faults
from pytest_llmmetrics.contract.base import BUDGET
from pytest_llmmetrics.contract.failures import FailureContract
from pytest_llmmetrics.contract.retries import RetryContract
from pytest_llmmetrics.contract.streams import StreamContract
from pytest_llmmetrics.contract.successes import SuccessContract


class LlmClientContract(SuccessContract, FailureContract, RetryContract, StreamContract):
    """Subclass it as `Test…` and override `call`, and `stream` for code that streams.

    It tests every fault of a provider. The provider is simulated, so nothing is sent. Back-off and timeouts are added
    up instead of slept.
    """

    __test__ = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True
        handled = cls.handled if isinstance(cls.handled, str) else [each for each in cls.handled if each != BUDGET]
        try:
            cls.faults_excluded = faults.names_of(cls.faults_excluded)
            cls.handled = faults.names_of(handled) | ({BUDGET} & set(cls.handled))
        except ValueError as exc:
            raise ValueError(f"{cls.__name__}: {exc}") from None
