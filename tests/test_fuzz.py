"""A little of `make fuzz`, by a fixed seed, and all that it has found."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from support import SOAK
from support.fuzz_targets import TARGETS, found_before, mutated


@pytest.mark.parametrize("name", TARGETS)
def test_valid_input_and_what_was_found_once(name):
    seeds = TARGETS[name].seeds()
    assert seeds
    for data in (*(seeds if SOAK else seeds[:3]), *found_before(name)):
        TARGETS[name].check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_input(name):
    @settings(
        max_examples=500 if SOAK else 15,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutated(name))
    def feed(data):
        TARGETS[name].check(data)

    feed()
