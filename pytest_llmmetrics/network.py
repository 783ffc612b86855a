"""Denies connections to LLM hosts, with a message that says how to simulate one.

The connections of every HTTP library are seen, under uvloop too, and no request that a mock answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmmetrics.testing.harness import is_llm_host, watch_connections


class LlmNetworkError(AssertionError):
    """A test that must not contact an LLM host opened a connection to one."""


class _Denier:
    def __init__(self) -> None:
        self.tried: list[str] = []
        """The LLM hosts that were contacted."""

    def looked_up(self, host: Any) -> None:
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        if isinstance(host, str) and is_llm_host(host):
            self.tried.append(host)
            raise LlmNetworkError(sentence(host))

    def connected(self, address: Any) -> None:
        self.looked_up(address[0] if isinstance(address, tuple) and address else address)


@contextmanager
def denied() -> Iterator[list[str]]:
    """Deny every connection to an LLM host inside the block; yield the hosts that were contacted."""
    denier = _Denier()
    end = watch_connections(denier)
    try:
        yield denier.tried
    finally:
        end()


def sentence(host: str) -> str:
    """Say which connection was denied, and what to do."""
    return (
        f"the test opened a connection to {host}, and no simulated provider answered it. Script the answer with "
        "llm_provider, replay it with @pytest.mark.llm_cassette, or run this test with --llm-network=allow and "
        "without a simulating fixture"
    )
