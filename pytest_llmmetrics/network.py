"""No test reaches an LLM: where bytes would leave for one, a sentence says so instead.

An audit hook sees every HTTP library, and nothing of what a mock answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmmetrics.testing.harness import is_llm_host

_EVENTS = ("socket.getaddrinfo", "socket.connect")

_hooked = False
_attempts: list[str] | None = None
"""The hosts that were tried, while connections are denied; None while they are allowed."""


class LlmNetworkError(AssertionError):
    """A connection to an LLM host, in a test that must make none."""


@contextmanager
def denied() -> Iterator[list[str]]:
    """Refuse every connection to an LLM host inside the block; gives the hosts that were tried."""
    global _attempts, _hooked  # noqa: PLW0603 - an audit hook is the process', and can never be removed
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hook)
    before, _attempts = _attempts, []
    try:
        yield _attempts
    finally:
        _attempts = before


def sentence(host: str) -> str:
    """What is said of a connection that was tried."""
    return (
        f"the test opened a connection to {host}: nothing answers for it here. Script it with llm_provider, replay it "
        "with @pytest.mark.llm_cassette, or run this test with --llm-network=allow and without a simulating fixture"
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
