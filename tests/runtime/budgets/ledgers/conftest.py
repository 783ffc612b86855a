"""Ledgers of every kind, called from sync and async code."""

from __future__ import annotations

import asyncio
import os
from uuid import uuid4

import pytest
from support.servers import redis_server

from llmmetrics.budgets.ledgers import open_ledger

KINDS = ("memory", "sqlite", "redis", *filter(None, [os.environ.get("LLMMETRICS_LEDGER")]))
"""The ledgers; a URL in the environment is one more, of a scheme that an entry point names."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


class FromAnEventLoop:
    """A ledger as async callers have it: inline where it does not make them wait, else through threads."""

    def __init__(self, ledger, runner):
        self._ledger = ledger
        self._runner = runner

    def __getattr__(self, name):
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        async def ask(*args):
            return await asyncio.to_thread(found, *args) if self._ledger.blocking else found(*args)

        return lambda *args: self._runner.run(ask(*args))


@pytest.fixture(params=["sync", "async"])
def caller(request):
    """What gives a ledger to its callers."""
    if request.param == "sync":
        yield lambda ledger: ledger
        return
    with asyncio.Runner() as runner:
        yield lambda ledger: FromAnEventLoop(ledger, runner)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def namespace():
    return uuid4().hex


@pytest.fixture
def raw(kind, request, tmp_path, namespace):
    """A function that opens the same ledger again, as another process would; but for `memory`."""
    made = []
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/ledger.db"}.get(kind, kind)
    if kind == "redis":
        url = request.getfixturevalue("redis_url")

    def again(namespace=namespace):
        if kind != "memory" or not made:
            made.append(open_ledger(url, namespace=namespace))
        return made[-1]

    yield again
    for ledger in made:
        ledger.close()


@pytest.fixture
def opened(raw, caller):
    return lambda *args: caller(raw(*args))


@pytest.fixture
def ledger(opened):
    return opened()
