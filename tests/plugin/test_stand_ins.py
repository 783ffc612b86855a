"""The peers inside urllib3 and aiohttp: connections that live longer than a test, large uploads, `100 Continue`."""

from __future__ import annotations

import asyncio
import io
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest
from support import bedrock
from support.http_clients import ASK

from llmmetrics.testing import serve
from pytest_llmmetrics.cassettes.doors import opened
from pytest_llmmetrics.cassettes.match import CassetteMissError, Deck
from pytest_llmmetrics.cassettes.replay import Replay
from pytest_llmmetrics.stand_ins.messages import request_of
from pytest_llmmetrics.stand_ins.standing import standing_in

requests = pytest.importorskip("requests")
aiohttp = pytest.importorskip("aiohttp")
CHAT = "/openai/v1/chat/completions"


@pytest.fixture
def provider():
    with serve() as provider:
        yield provider


@pytest.fixture(params=["requests", "boto3", "aiohttp"])
def ask(request, provider):
    """Ask over a connection that is open already, as a client does that several tests share."""
    if request.param == "requests":
        with requests.Session() as session:
            yield lambda: session.post(provider.url + CHAT, json=ASK).content
    elif request.param == "boto3":
        made = bedrock.once(provider.url)
        yield lambda: bedrock.drain(bedrock.ask(made, "converse"))
    else:
        with asyncio.Runner() as runner:
            session = runner.run(_session())

            async def post():
                async with session.post(provider.url + CHAT, json=ASK) as answer:
                    return await answer.read()

            yield lambda: runner.run(post())
            runner.run(session.close())


async def _session():
    return aiohttp.ClientSession()


def test_a_connection_of_before_the_test_is_not_used(provider, ask):
    ask()
    with opened(Replay(Deck([]))), pytest.raises(Exception) as caught:
        ask()
    assert isinstance(caught.value, CassetteMissError) or "is not recorded" in str(caught.value)
    assert len(provider.requests) == 1


def test_a_connection_of_before_the_test_is_recorded(provider, ask):
    ask()
    first, second = (Replay(Deck([]), recording=True) for _ in range(2))
    with opened(first):
        ask()
    with opened(second):
        ask()
    assert [[each.response["status"]["code"] for each in replay.received] for replay in (first, second)] == [[200]] * 2


def test_a_connection_is_the_client_s_own_after_the_test(provider, ask):
    replay = Replay(Deck([]), recording=True)
    with opened(replay):
        ask()
    received = len(replay.received[0].raw)
    ask()
    assert len(provider.requests) == 2
    assert [len(each.raw) for each in replay.received] == [received]


class Counting(bytearray):
    """Counts the bytes that are copied out of it."""

    copied = 0

    def __getitem__(self, part):
        piece = super().__getitem__(part)
        Counting.copied += len(piece) if isinstance(part, slice) else 1
        return piece

    def partition(self, *args):
        Counting.copied += len(self)
        return super().partition(*args)


@pytest.mark.parametrize(
    ("head", "piece", "last"),
    [
        (b"content-length: 100000", b"x" * 100, b""),
        (b"transfer-encoding: chunked", b"64\r\n%b\r\n" % (b"x" * 100), b"0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
def test_a_large_body_is_copied_once(monkeypatch, head, piece, last):
    monkeypatch.setattr(Counting, "copied", 0)
    raw = Counting(b"POST /v1/x HTTP/1.1\r\n" + head + b"\r\n\r\n")
    for _ in range(999):
        raw += piece
        assert request_of(raw, "http", "x") is None
    heads = Counting.copied
    raw += piece + last
    assert request_of(raw, "http", "x").body == b"x" * 100_000
    assert heads < 999 * 100
    assert Counting.copied - heads < 200_000


class Store(BaseHTTPRequestHandler):
    """Keeps what is put, and sends `100 Continue` to those that wait for it."""

    protocol_version = "HTTP/1.1"
    kept: ClassVar[list[int]] = []

    def do_PUT(self):
        Store.kept.append(len(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(Store, "kept", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_a_client_that_waits_for_100_continue(store, kind):
    made = bedrock.client(store, "s3", retries={"total_max_attempts": 1})
    asked = []
    made.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.headers.get("Expect")))
    with opened(replay := Replay(Deck([]))):
        for _ in range(2):
            made.put_object(Bucket="b", Key="k", Body=kind(b"x" * (2 << 20)))
    assert asked == [b"100-continue"] * 2
    assert len(Store.kept) == 2
    assert replay.problems == []
    made.close()


class FailingPeer:
    """A peer with a mistake in its handshake or in its talk."""

    def __init__(self, where):
        self._where = where

    def accept(self, connection, request):
        assert self._where != "accept"

    def talk(self, connection):
        connection.recv()
        raise AssertionError(self._where)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("where", ["accept", "talk"])
def test_a_peer_that_fails_ends_its_websocket(where):
    websockets = pytest.importorskip("websockets")
    client = pytest.importorskip("websockets.asyncio.client")

    async def talk():
        async with asyncio.timeout(30), client.connect("wss://api.openai.com/v1/realtime") as connection:
            await connection.send("hello")
            await connection.recv()

    with standing_in(lambda _: None, lambda _host, _port: False, lambda _: FailingPeer(where)):
        if where == "accept":
            with pytest.raises(websockets.InvalidHandshake):
                asyncio.run(talk())
        else:
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                asyncio.run(talk())
            assert caught.value.rcvd.code == 1011
