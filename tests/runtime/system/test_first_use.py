"""A part that is made at its first use is made once for all who use it, and a failure leaves nothing behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from llmmetrics.system.first_use import on_first_use


class Host:
    def __init__(self, made):
        self._made = made

    @on_first_use
    def part(self):
        """A part."""
        return self._made()


def test_it_is_made_once():
    host = Host(object)
    assert "part" not in vars(host)
    assert host.part is host.part
    assert vars(host)["part"] is host.part
    assert Host(object).part is not host.part


def test_threads_get_the_same():
    barrier = Barrier(8)

    def made():
        barrier.wait(10)
        return object()

    host = Host(made)
    with ThreadPoolExecutor(8) as threads:
        assert len({*threads.map(lambda _: host.part, range(8))}) == 1


def test_a_failure_is_tried_again():
    answers = [ImportError("once"), object()]

    def made():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    host = Host(made)
    with pytest.raises(ImportError):
        host.part  # noqa: B018
    assert host.part is host.part
