"""Patches the libraries below every meter while a test runs, also if a library is imported in the midst of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from llmmetrics.testing.harness import when_imported
from pytest_llmmetrics.stand_ins import aiohttp, urllib3
from pytest_llmmetrics.stand_ins.messages import Answer, Takes


@contextmanager
def standing_in(answer: Answer, takes: Takes) -> Iterator[None]:
    """Answer the connections of urllib3 and aiohttp inside the block.

    requests and boto3 send through urllib3; google-genai's async client, aiobotocore and httpx clients with a transport
    of aiohttp through aiohttp.
    """
    with ExitStack() as stack:
        for name, patches in (("urllib3.connection", urllib3.patches), ("aiohttp.connector", aiohttp.patches)):

            def begin(module: Any, patches: Any = patches) -> None:
                for owner, method, made in patches(module, answer, takes):
                    stack.enter_context(mock.patch.object(owner, method, made))

            stack.callback(when_imported(name, begin))
        yield
