"""The suite for a `/metrics`: of a registry, or of any program's in any language."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llmmetrics.testing.contract.checks import CHECKS, check
from llmmetrics.testing.contract.scraping import scrapes


class MeteredMetricsContract:
    """Subclass it as `Test…` and say what to look at; every check of the metrics contract is a test of it."""

    __test__ = False

    checks_excluded: Collection[str] = ()
    """Checks to leave out, such as `buckets` where an application has its own."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True
        if unknown := set(cls.checks_excluded) - CHECKS.keys():
            raise ValueError(f"{cls.__name__}: no check is called {min(unknown)!r}: there are {', '.join(CHECKS)}")

    def metrics(self) -> CollectorRegistry | str:
        """What to look at: a registry, or the URL of a program's metrics."""
        raise NotImplementedError("say in metrics() what to look at: return a registry, or the URL of a /metrics")

    def between(self) -> object:
        """Happens between two scrapes: override it to make calls, so that there is something to count."""

    @pytest.mark.parametrize("check_name", CHECKS)
    def test_metrics(self, check_name: str) -> None:
        if check_name in self.checks_excluded:
            pytest.skip(f"{check_name} is among checks_excluded")
        wrong = check(check_name, scrapes(self.metrics(), self.between))
        if wrong:
            pytest.fail("\n".join(map(str, wrong)), pytrace=False)
