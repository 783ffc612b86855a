"""Denies connections to LLM hosts, with a message that says how to simulate one.

An audit hook sees the connections of every HTTP library, under uvloop too, and no request that a mock answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmmetrics.testing.harness import audited_uvloop, is_llm_host

_EVENTS = ("socket.getaddrinfo", "socket.connect")

_hooked = False
_attempts: list[str] | None = None
"""The LLM hosts that were contacted while connections are denied; None while they are allowed."""


class LlmNetworkError(AssertionError):
    """A test that must not contact an LLM host opened a connection to one."""


@contextmanager
def denied() -> Iterator[list[str]]:
    """Deny every connection to an LLM host inside the block; yield the hosts that were contacted."""
    global _attempts, _hooked  # noqa: PLW0603 - a process's audit hook cannot be removed
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hook)
    before, _attempts = _attempts, []
    try:
        with audited_uvloop():
            yield _attempts
    finally:
        _attempts = before


def sentence(host: str) -> str:
    """Say which connection was denied, and what to do."""
    return (
        f"the test opened a connection to {host}, and no simulated provider answered it. Script the answer with "
        "llm_provider, replay it with @pytest.mark.llm_cassette, or run this test with --llm-network=allow and "
        "without a simulating fixture"
    )


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _attempts is None or event not in _EVENTS:
        return
    address = args[1] if event == "socket.connect" else args[0]
    host = address[0] if isinstance(address, tuple) and address else address
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if isinstance(host, str) and is_llm_host(host):
        _attempts.append(host)
        raise LlmNetworkError(sentence(host))
