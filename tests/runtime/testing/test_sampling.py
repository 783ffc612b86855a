"""The sample of a matrix has all that the matrix covers, and is much smaller."""

from __future__ import annotations

from itertools import combinations, product

from support import sampled

ROWS = list(product("abcdefgh", "ABCDEFGH", range(8)))


def pairs(row):
    return combinations(enumerate(row), 2)


def test_every_pair_is_in_the_sample():
    sample = sampled(ROWS, pairs, whole=False)
    assert {each for row in sample for each in pairs(row)} == {each for row in ROWS for each in pairs(row)}
    # 64 at least; 512 are all
    assert len(sample) < 150
    # in their order, and the same again
    assert sample == [row for row in ROWS if row in set(sample)]
    assert sample == sampled(iter(ROWS), pairs, whole=False)


def test_the_whole_is_all():
    assert sampled(ROWS, pairs, whole=True) == ROWS
    assert sampled([], pairs, whole=False) == []
