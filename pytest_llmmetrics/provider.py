"""The simulated provider: answers LLM requests from a script, inside the HTTP libraries or over loopback HTTP.

respx replaces the pool of httpcore and httpcore2. The real transports stay in place and map its errors to the
exceptions of their own library, during a stream too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType
from urllib.parse import urlsplit

import httpx

# defines the mocker that respx uses for httpx2
import pytest_httpx2
import respx
from respx.models import AllMockedAssertionError

from llmmetrics.testing import Answer, CannotExpressError, Reply, Request, serve
from llmmetrics.testing.harness import Script, is_here, is_llm_request
from pytest_llmmetrics.stand_ins.messages import SOCKET_OF_AIOHTTP, Onlooker, Passed, Watched, is_handshake
from pytest_llmmetrics.stand_ins.scripted import finding
from pytest_llmmetrics.stand_ins.standing import standing_in

__all__ = ["LlmProvider", "LlmServer", "answering", "pytest_httpx2", "served"]

CORES = ("httpcore", "httpcore2")


@contextmanager
def answering(script: Script) -> Iterator[None]:
    """Answer every LLM request of this process through httpx, httpx2, urllib3, aiohttp or `websockets`.

    Other requests pass.
    """
    with ExitStack() as stack:
        stack.enter_context(standing_in(_looked_at(script), _is_llm_place, finding(script)))
        for core in CORES:
            router = respx.MockRouter(using=core, assert_all_called=False)
            router.route().mock(side_effect=_answerer(script, router, import_module(core)))
            stack.enter_context(router)
        yield


def _looked_at(script: Script) -> Callable[[Request], Reply | Watched | Passed]:
    def answer(request: Request) -> Reply | Watched | Passed:
        if is_handshake(request):
            if is_here(urlsplit(f"//{request.host}").hostname or ""):
                return Passed(lambda _: None)
            raise CannotExpressError(script.note(f"{request.host}{request.path}: {SOCKET_OF_AIOHTTP}"))
        look = script.look if isinstance(script, LlmProvider) else None
        if look is None:
            return script.answer(request)
        onlooker = look(request)
        return Watched(script.answer(request), onlooker)

    return answer


def _is_llm_place(host: str, port: int | None) -> bool:
    return is_llm_request("GET", host, port, "/")


def _answerer(
    script: Script, router: respx.MockRouter, core: ModuleType
) -> Callable[[httpx.Request], httpx.Response | httpx.Request]:
    def answer(request: httpx.Request) -> httpx.Response | httpx.Request:
        url = request.url
        if not is_llm_request(request.method, url.host, url.port, url.path):
            if router.Mocker is not None and len(router.Mocker.routers) > 1:
                # another router may answer it
                raise AllMockedAssertionError(f"llm_provider: {request!r} is no LLM request")
            return request
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = url.query.decode("latin1")
        return _response(
            script.answer(Request(request.method, url.path, query, headers, request.content, url.host)), core
        )

    return answer


def _response(reply: Reply, core: ModuleType) -> httpx.Response:
    if reply.raises:
        raise getattr(core, reply.raises)(reply.says)
    # as a server sends it
    length = () if reply.stream else (("content-length", str(sum(map(len, reply.chunks)))),)
    return httpx.Response(reply.status, headers=[*reply.headers, *length], stream=_ScriptedBody(reply, core))


class _ScriptedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The response body, chunk by chunk, up to the point where the fault ends it."""

    def __init__(self, reply: Reply, core: ModuleType) -> None:
        self._reply = reply
        self._core = core

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reply.passing
        if self._reply.cut_after is not None:
            raise self._core.RemoteProtocolError("peer closed connection without sending complete message body")
        if self._reply.stall_after is not None:
            raise self._core.ReadTimeout("timed out")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


class LlmProvider(Script):
    """The fixture `llm_provider`: a `Script` for every LLM request of this process through an HTTP library."""

    def __init__(self) -> None:
        super().__init__()
        self.look: Callable[[Request], Onlooker] | None = None
        """Who looks at a request through urllib3 or aiohttp, and at its answer: the contract's suite."""


class LlmServer(Script):
    """The fixture `llm_server`: a `Script` over loopback HTTP, at `url`, for other clients, processes and languages."""

    def __init__(self) -> None:
        super().__init__(served=True)
        self.url = ""

    def serve_one(self, request: Request) -> Reply:
        """Return the reply, or a 501 with a message for a request that is not in the script."""
        try:
            return self.answer(request)
        except AssertionError as exc:
            # no SDK retries a 501
            body = json.dumps({"error": {"message": f"llm_server: {exc}", "type": "unscripted", "code": None}})
            return Reply(501, (("content-type", "application/json"), ("x-should-retry", "false")), (body.encode(),))


@contextmanager
def served() -> Iterator[LlmServer]:
    """Start a loopback server that answers from a script."""
    script = LlmServer()
    with serve(answering=script.serve_one) as running:
        script.url = running.url
        yield script


def lenient(script: Script) -> None:
    """Make the script answer unscripted requests too."""
    script.otherwise = Answer()


def complaints(script: Script, name: str, *, requested: bool, scripted: bool) -> list[str]:
    """List the problems at a test's end: requests without a reply, and replies without a request."""
    problems = []
    if scripted and script.problems:
        problems.append(
            f'{name}: {"; ".join(script.problems)}. Script a reply, as in {name}.reply("hi"), or allow it: '
            f"@pytest.mark.{name}(assert_all_scripted=False)"
        )
    if requested and (unused := script.unused):
        problems.append(
            f"{name}: no request used: {', '.join(map(str, unused))}. Remove it from the script, or allow it: "
            f"@pytest.mark.{name}(assert_all_requested=False)"
        )
    return problems
