"""Passive health: what speaks for or against a backend, and when it turns."""

from __future__ import annotations

import pytest

from llmmetrics.core.health import BackendHealth, verdict
from llmmetrics.reading.error_types import ErrorType, Status

F, T = Status.FAILURE, Status.TIMEOUT


@pytest.mark.parametrize(
    ("status", "error", "http", "pool", "expected"),
    [
        (Status.SUCCESS, None, 200, False, True),
        (Status.CANCELLED, None, None, False, None),
        (T, ErrorType.TIMEOUT, None, False, False),
        (T, ErrorType.TIMEOUT, None, True, None),
        (F, ErrorType.NETWORK, None, False, False),
        (F, ErrorType.RATE_LIMIT, 429, False, False),
        (F, ErrorType.AUTH, 401, False, False),
        (F, ErrorType.API_ERROR, 500, False, False),
        (F, ErrorType.API_ERROR, 529, False, False),
        (F, ErrorType.API_ERROR, 400, False, None),
        (F, ErrorType.API_ERROR, 404, False, None),
        (F, ErrorType.UNKNOWN, 200, False, None),
    ],
)
def test_verdict(status, error, http, pool, expected):
    assert verdict(status, error, http, pool=pool) is expected


def test_a_call_that_began_before_the_last_change_says_nothing():
    health = BackendHealth(2, 1)
    assert [health.record(False, began=0, now=t) for t in (1, 2)] == [False, True]
    assert not health.record(True, began=1, now=3)
    assert not health.up
    assert health.record(True, began=3, now=4)
    assert health.up


def test_one_of_several_workers_tells_that_a_backend_is_up_once_it_has_seen_it():
    health = BackendHealth(3, 2, proven=False)
    said = [health.record(good, began=t, now=t) for t, good in enumerate([True, False, True, True, True])]
    assert said == [False, False, False, True, False]
    assert health.calm
