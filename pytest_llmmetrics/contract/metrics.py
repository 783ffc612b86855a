"""The suite for metrics: of a registry, or of the `/metrics` of a program in any language."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from llmmetrics.testing.contract.checks import CHECKS, check
from llmmetrics.testing.contract.scraping import scrapes


class MeteredMetricsContract:
    """Subclass it as `Test…` and override `metrics`: each check of the metrics contract is a test."""

    __test__ = False

    checks_excluded: Collection[str] = ()
    """Checks that are not tested, such as `buckets` for an application with its own buckets."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__test__" not in vars(cls):
            cls.__test__ = True
        if unknown := set(cls.checks_excluded) - CHECKS.keys():
            raise ValueError(f"{cls.__name__}: no check is called {min(unknown)!r}: there are {', '.join(CHECKS)}")

    def metrics(self) -> CollectorRegistry | str:
        """Return what to check: a registry, or the URL of a program's metrics."""
        raise NotImplementedError("override metrics(): return a registry, or the URL of a /metrics")

    def between(self) -> object:
        """Run between two scrapes: override it to make calls, so that the counters change."""

    @pytest.mark.parametrize("check_name", CHECKS)
    def test_metrics(self, check_name: str) -> None:
        if check_name in self.checks_excluded:
            pytest.skip(f"{check_name} is in checks_excluded")
        wrong = check(check_name, scrapes(self.metrics(), self.between))
        if wrong:
            pytest.fail("\n".join(map(str, wrong)), pytrace=False)
