"""The simulated provider inside the client: every LLM request through httpx or httpx2 is answered from a script.

respx takes them at the pool of the family's HTTP core, so that the real transports map what goes wrong there to
exceptions of their own family, in mid-stream too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType

import httpx

# defines the mocker that respx uses for httpx2
import pytest_httpx2
import respx
from respx.models import AllMockedAssertionError

from llmmetrics.testing import Answer, Reply, Request, serve
from llmmetrics.testing.harness import Script, is_llm_request

__all__ = ["LlmProvider", "LlmServer", "answering", "pytest_httpx2", "served"]

CORES = ("httpcore", "httpcore2")


@contextmanager
def answering(script: Script) -> Iterator[None]:
    """Answer every LLM request of this process that goes through httpx or httpx2; the rest goes where it went."""
    with ExitStack() as stack:
        for core in CORES:
            router = respx.MockRouter(using=core, assert_all_called=False)
            router.route().mock(side_effect=_answerer(script, router, import_module(core)))
            stack.enter_context(router)
        yield


def _answerer(
    script: Script, router: respx.MockRouter, core: ModuleType
) -> Callable[[httpx.Request], httpx.Response | httpx.Request]:
    def answer(request: httpx.Request) -> httpx.Response | httpx.Request:
        url = request.url
        if not is_llm_request(request.method, url.host, url.port, url.path):
            if router.Mocker is not None and len(router.Mocker.routers) > 1:
                # another router may have an answer to it
                raise AllMockedAssertionError(f"llm_provider: {request!r} is no LLM request")
            return request
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = url.query.decode("latin1")
        return _response(
            script.answer(Request(request.method, url.path, query, headers, request.content, url.host)), core
        )

    return answer


def _response(made: Reply, core: ModuleType) -> httpx.Response:
    if made.raises:
        raise getattr(core, made.raises)(made.says)
    # as a server says it
    length = () if made.stream else (("content-length", str(sum(map(len, made.chunks)))),)
    return httpx.Response(made.status, headers=[*made.headers, *length], stream=_ScriptedBody(made, core))


class _ScriptedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body as it comes off the wire, chunk by chunk, up to where it breaks off."""

    def __init__(self, made: Reply, core: ModuleType) -> None:
        self._made = made
        self._core = core

    def __iter__(self) -> Iterator[bytes]:
        yield from self._made.passing
        if self._made.cut_after is not None:
            raise self._core.RemoteProtocolError("peer closed connection without sending complete message body")
        if self._made.stall_after is not None:
            raise self._core.ReadTimeout("timed out")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk


class LlmProvider(Script):
    """The fixture `llm_provider`: a `Script` for every LLM request of this process through httpx or httpx2."""


class LlmServer(Script):
    """The fixture `llm_server`: a `Script` over loopback HTTP, at `url`, for other clients, processes and languages."""

    def __init__(self) -> None:
        super().__init__(served=True)
        self.url = ""

    def serve_one(self, request: Request) -> Reply:
        """The reply; what is not scripted is a 501 that says so."""
        try:
            return self.answer(request)
        except AssertionError as exc:
            # 501 is what no SDK takes for a passing trouble of the provider's
            body = json.dumps({"error": {"message": f"llm_server: {exc}", "type": "unscripted", "code": None}})
            return Reply(501, (("content-type", "application/json"), ("x-should-retry", "false")), (body.encode(),))


@contextmanager
def served() -> Iterator[LlmServer]:
    """A script that a loopback server answers from."""
    script = LlmServer()
    with serve(answering=script.serve_one) as running:
        script.url = running.url
        yield script


def lenient(script: Script) -> None:
    """Have it answer what is not scripted, too."""
    script.otherwise = Answer()


def complaints(script: Script, name: str, *, requested: bool, scripted: bool) -> list[str]:
    """What a test has to answer for at its end: a request without a reply, a reply without a request."""
    found = []
    if scripted and script.problems:
        found.append(
            f'{name}: {"; ".join(script.problems)}. Script it, as in {name}.reply("hi"), or let the rest be answered: '
            f"@pytest.mark.{name}(assert_all_scripted=False)"
        )
    if requested and (unused := script.unused):
        found.append(
            f"{name}: never asked for: {', '.join(map(str, unused))}. Take it out of the script, or allow it: "
            f"@pytest.mark.{name}(assert_all_requested=False)"
        )
    return found
