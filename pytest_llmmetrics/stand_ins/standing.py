"""Patches the libraries below every meter while a test runs, also if a library is imported in the midst of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from llmmetrics.testing.harness import when_imported
from pytest_llmmetrics.stand_ins import aiohttp, urllib3, websockets
from pytest_llmmetrics.stand_ins.messages import Answer, Takes
from pytest_llmmetrics.stand_ins.websockets import Find

Patches = Callable[[Any], Iterable[tuple[type[Any], str, Any]]]
"""The methods of a module's classes to replace, with the new ones."""


@contextmanager
def standing_in(answer: Answer, takes: Takes, find: Find | None = None) -> Iterator[None]:
    """Answer the connections of urllib3 and aiohttp inside the block, and with `find` those of `websockets`.

    requests and boto3 send through urllib3; google-genai's async client, aiobotocore and httpx clients with a transport
    of aiohttp through aiohttp.
    """
    with ExitStack() as stack:
        held = urllib3.HeldConnections(answer, takes)
        stack.callback(held.release)
        patched("urllib3.connection", held.patches, stack)
        patched("urllib3.connectionpool", held.pool_patches, stack)
        patched("aiohttp.connector", lambda module: aiohttp.patches(module, answer, takes), stack)
        if find is not None:
            peers = stack.enter_context(websockets.running(find))
            for name in websockets.MODULES:
                patched(name, lambda module: websockets.patches(module, peers), stack)
        yield


def patched(name: str, patches: Patches, stack: ExitStack) -> None:
    """Replace methods of a module's classes, now or when it is imported, until the stack ends."""

    def begin(module: Any) -> None:
        for owner, method, made in patches(module):
            stack.enter_context(mock.patch.object(owner, method, made))

    stack.callback(when_imported(name, begin))
