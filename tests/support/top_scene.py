"""A metered process for `llmmetrics top`: real calls of fixed amounts at fixed times, between scrapes.

Of the first scrapes each is two seconds after the one before, in the process's own time and in that of `WATCHER`, the
real program with its clock replaced. Then nothing happens any more, and time stands still, as the screen does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import cycle
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx2
from prometheus_client import CollectorRegistry

from llmmetrics import BudgetExceeded, Meter
from llmmetrics.testing import Answer, Reply, Request, faults, reply, serve
from support.servers import in_a_thread, until
from support.terminal import terminal

SECONDS = 2
ACTS = 12
WATCHER = f"""
import itertools, sys
from llmmetrics.cli.top import command as top
clock = itertools.chain(range(0, {ACTS * SECONDS}, {SECONDS}), itertools.repeat({ACTS * SECONDS}))
sys.exit(top.run(sys.argv[1], interval=0.1, clock=clock.__next__))
"""
COMMAND = (sys.executable, "-c", WATCHER)

ASK = [{"role": "user", "content": "Does the bookshop open on Sunday?"}]
CHAT, MESSAGES = "v1/chat/completions", "v1/messages"


def backend(name: str, model: str | None, prompt: float, completion: float, url: str, **more: Any) -> dict[str, Any]:
    kind = {"anthropic-claude": "Anthropic", "local-llama": "GenericOpenAI"}.get(name, "OpenAI")
    named = {"ModelName": model} if model else {}
    price = {"CostPerMillionInputTokens": prompt, "CostPerMillionOutputTokens": completion}
    return {"Name": name, "Type": kind, "BaseUrl": f"{url}/{name}", **named, **price, **more}


def settings(url: str) -> dict[str, Any]:
    daily = {"SpendResetPeriod": "Daily"}
    return {
        "Budget": {"Ledger": "memory://"},
        "Backends": [
            backend("openai-primary", None, 0.15, 0.60, url, MaxSpendUsd=25, **daily),
            backend("anthropic-claude", "claude-sonnet-4-5", 3, 15, url, MaxSpendUsd=40, **daily),
            backend("openai-reasoning", "o1", 15, 60, url, MaxSpendUsd=10, **daily),
            backend("openai-eu", "gpt-4o-mini", 0.15, 0.60, url),
            backend("local-llama", "llama-3.2", 0, 0, url),
        ],
    }


class Row:
    """The calls to one backend in each act."""

    def __init__(
        self, path: str, model: str, calls: int, prompt: int, completion: int, seconds: tuple[float, ...], *bad: int
    ) -> None:
        self.path, self.model, self.calls = path, model, calls
        self.answer = Answer("At ten.", prompt, completion)
        self.seconds = cycle(seconds)
        self.bad = bad
        """The acts in which its first call meets a rate limit; -1: all."""


def rows() -> tuple[Row, ...]:
    return (
        Row(f"openai-primary/{CHAT}", "gpt-4o-mini", 9, 1840, 236, (0.42, 0.61, 0.38, 0.95, 0.71, 1.8, 0.55), 3, 8),
        Row(f"openai-primary/{CHAT}", "gpt-4.1-nano", 3, 620, 48, (0.21, 0.34, 0.18)),
        Row(f"anthropic-claude/{MESSAGES}", "claude-sonnet-4-5", 4, 2210, 412, (1.4, 2.2, 0.9, 3.1, 1.7)),
        Row(f"openai-reasoning/{CHAT}", "o1", 1, 3100, 2900, (8.5, 14.2, 11.0)),
        Row(f"openai-eu/{CHAT}", "gpt-4o-mini", 2, 900, 110, (0.2, 0.3), -1),
        Row(f"local-llama/{CHAT}", "llama-3.2", 5, 1500, 180, (3.8, 4.4, 6.2, 2.9)),
    )


BEFORE = (
    (f"anthropic-claude/{MESSAGES}", "claude-sonnet-4-5", 11_000_000),
    (f"openai-primary/{CHAT}", "gpt-4o-mini", 95_000_000),
    (f"openai-reasoning/{CHAT}", "o1", 560_000),
)
"""The spend of a morning: one call of this number of tokens for each backend."""


class Clock:
    """A clock that only advances by the provider's answer times."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, tzinfo=UTC)


class Stage:
    """The process."""

    def __init__(self) -> None:
        self._scrapes = 0
        self._clock, self._rows = Clock(), rows()
        self._next: tuple[float, Any] = (0.0, Answer())
        self._exit = ExitStack()
        provider = self._exit.enter_context(serve(answering=self._answer))
        self._meter = Meter.from_settings(settings(provider.url), registry=CollectorRegistry(), clock=self._clock)
        self._exit.callback(self._meter.close)
        self._client = self._exit.enter_context(httpx2.Client(base_url=provider.url, transport=self._meter.transport()))
        self._app = self._meter.wsgi_app()
        for path, model, tokens in BEFORE:
            self._call(path, model, Answer("Good morning.", tokens, 1), 0.8)
        for path, model, _ in BEFORE[:2]:
            self._open(path, model)

    def _answer(self, request: Request) -> Reply:
        seconds, step = self._next
        self._clock.seconds += seconds
        return reply(request, step)

    def _call(self, path: str, model: str, step: Any, seconds: float) -> None:
        self._next = seconds, step
        with suppress(BudgetExceeded):
            self._client.post(f"/{path}", json={"model": model, "max_tokens": 500, "messages": ASK})

    def _open(self, path: str, model: str) -> None:
        """Start a stream that is only read at the end of the play."""
        self._next = 0.5, Answer("At ten.", 100, 20)
        body = {"model": model, "max_tokens": 500, "messages": ASK, "stream": True}
        self._exit.enter_context(self._client.stream("POST", f"/{path}", json=body))

    def _act(self, number: int) -> None:
        for row in self._rows:
            for n in range(row.calls):
                bad = (not n and number in row.bad) or -1 in row.bad
                self._call(row.path, row.model, faults.RATE_LIMIT if bad else row.answer, next(row.seconds))

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request for `/metrics`."""
        if 0 < self._scrapes <= ACTS:
            self._act(self._scrapes)
        self._scrapes += 1
        return self._app(environ, start_response)

    def close(self) -> None:
        self._exit.close()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def staged() -> Iterator[str]:
    """Run the process; yield the URL of its metrics."""
    stage = Stage()
    server = make_server("127.0.0.1", 0, stage.app, Server, Handler)
    with closing(stage), in_a_thread(server):
        yield f"http://127.0.0.1:{server.server_port}/metrics"


SIZES = ((80, 21), (104, 22), (140, 23))
"""Columns and lines; no number of lines twice, so that a redrawn screen can be recognized."""


def played() -> Iterator[tuple[str, bytes]]:
    """Return the final screen in a terminal of each size, and its drawing. The port is 50000."""
    with staged() as url, terminal([*COMMAND, url], *SIZES[0]) as screen:
        for columns, lines in SIZES:
            screen.resize(columns, lines)
            until(lambda: f"last {ACTS * SECONDS} s".encode() in screen.frame, "the last act")
            port = url.rpartition(":")[2].partition("/")[0].rjust(5)
            yield screen.text.replace(port, "50000"), screen.frame.replace(port.encode(), b"50000")
        screen.press("q")
        assert screen.end() == 0
