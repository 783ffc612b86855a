"""Keeps the requests of tests, and reads them in batches between two tests: reading takes time, and memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from llmmetrics.testing import CallRecord
from llmmetrics.testing.harness import asking
from pytest_llmmetrics.attempts import calls_of
from pytest_llmmetrics.bill.asking.reading import Demand, demand_of
from pytest_llmmetrics.bill.asking.side import sides_of
from pytest_llmmetrics.bill.asking.volatile import steady

Owner = tuple[str, int]


BATCH_CALLS, BATCH_BYTES = 200, 1_000_000
"""So much waits to be read. Code that runs once a test is slow, because the test has emptied the processor's caches."""


class _Sent(NamedTuple):
    """An attempt whose request is not read yet."""

    number: int
    fingerprint: str
    status: str
    body: bytes
    api: str
    model: str
    ended_at: datetime
    seconds: float


class ReadRequest(NamedTuple):
    """What a call asks for, in texts alone: the garbage collector does not track them."""

    side: str
    """The asked side as JSON."""
    difference: str
    clock: str


class PendingRequests:
    """The requests that are not read yet; `read` is what has been read, by the attempt's number."""

    def __init__(self, ignored: Sequence[str]) -> None:
        self.ignored = ignored
        self.read: dict[int, ReadRequest] = {}
        # a lock would block an event loop: append and popleft need none
        self._sent: deque[tuple[Owner, _Sent]] = deque()
        self._ended: list[tuple[tuple[str, ...], list[_Sent]]] = []
        """The attempts of owners that have ended, with the paths to ignore."""
        self._size = (0, 0)
        """How many they are, and the bytes of their requests."""

    @property
    def waiting(self) -> bool:
        """Whether a request is not read yet."""
        return bool(self._sent)

    def add(self, owner: Owner, number: int, record: CallRecord) -> None:
        """Keep the request of a finished attempt."""
        what = (record.fingerprint, record.status.value, record.request_body, record.api, record.model)
        self._sent.append((owner, _Sent(number, *what, record.ended_at, record.duration)))

    def bodies(self) -> list[Any]:
        """Return the kept requests as they are compared: without values that are known to change."""
        sent = sorted((sent for _, sent in self._sent), key=lambda sent: sent.number)
        return [steady(asking.fields_of(each.body)) for each in sent]

    def settle(self, ignored: Sequence[str] = ()) -> None:
        """Keep the requests of a test that has ended for the next batch; `ignored` are more paths to ignore in them."""
        owners: dict[Owner, list[_Sent]] = {}
        while self._sent:
            owner, sent = self._sent.popleft()
            owners.setdefault(owner, []).append(sent)
        self._ended += [((*self.ignored, *ignored), attempts) for attempts in owners.values()]
        calls, size = self._size
        for attempts in owners.values():
            calls, size = calls + len(attempts), size + sum(len(sent.body) for sent in attempts)
        self._size = (calls, size)
        if calls >= BATCH_CALLS or size >= BATCH_BYTES:
            self.finish()

    def finish(self) -> None:
        """Read the requests of all tests that have ended."""
        ended, self._ended, self._size = self._ended, [], (0, 0)
        for paths, attempts in ended:
            calls = [(call[-1], _demand(call[-1], paths)) for call in calls_of(attempts)]
            calls.sort(key=lambda each: each[1].at)
            asked = sides_of([demand for _, demand in calls])
            for (last, _), (side, difference, clock) in zip(calls, asked, strict=True):
                self.read[last.number] = ReadRequest(side.model_dump_json(exclude_defaults=True), difference, clock)


def _demand(sent: _Sent, ignored: Sequence[str]) -> Demand:
    return demand_of(sent.body, sent.api, sent.model, sent.ended_at, sent.seconds, ignored)
