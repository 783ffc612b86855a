"""Recorded WebSockets: what the client must say, how the server ends them, and what is kept of a message."""

from __future__ import annotations

import json

import pytest
from vcr.request import Request as VcrRequest

from pytest_llmmetrics.cassettes import files
from pytest_llmmetrics.cassettes.doors import opened
from pytest_llmmetrics.cassettes.files import CassetteError
from pytest_llmmetrics.cassettes.match import CassetteMissError, Deck
from pytest_llmmetrics.cassettes.replay import Replay
from pytest_llmmetrics.cassettes.sockets.comparing import SocketCard, kept, secrets_in
from pytest_llmmetrics.cassettes.sockets.form import SocketExchange, SocketMessage

websockets = pytest.importorskip("websockets", reason="needs websockets: pip install websockets")
client = pytest.importorskip("websockets.sync.client")
URL = "wss://api.openai.com/v1/realtime?model=gpt-realtime"
ASK = {"type": "response.create", "response": {"instructions": "Say hi."}}
MESSAGES = (
    SocketMessage("received", '{"type": "session.created"}'),
    SocketMessage("sent", json.dumps(ASK)),
    SocketMessage("received", '{"type": "response.done"}'),
)


def replay_of(*exchanges, match="body", advice=""):
    cassette = files.parse(files.dump([], {"match": match}, exchanges), "mine")
    cards = [SocketCard(cassette, n, each) for n, each in enumerate(cassette.sockets)]
    return Replay(Deck([cassette]), cards, advice=advice)


def connect(url=URL, **options):
    return client.connect(url, legacy=True, open_timeout=30, **options)


def test_the_same_messages():
    replay = replay_of(SocketExchange(URL, messages=MESSAGES))
    with opened(replay), connect(additional_headers={"authorization": "Bearer x"}) as connection:
        assert json.loads(connection.recv()) == {"type": "session.created"}
        # an id that the client makes up, and another order of the keys
        connection.send(json.dumps({"event_id": "e1", "response": ASK["response"], "type": ASK["type"]}))
        assert json.loads(connection.recv()) == {"type": "response.done"}
    assert replay.problems == []
    assert list(replay.unplayed()) == []


@pytest.mark.parametrize(("match", "is_same"), [("body", False), ("api", True)])
def test_another_message(match, is_same):
    replay = replay_of(SocketExchange(URL, messages=MESSAGES), match=match)
    with opened(replay), connect() as connection:
        connection.recv()
        connection.send(json.dumps({**ASK, "response": {"instructions": "Say ho."}}))
        if is_same:
            assert json.loads(connection.recv()) == {"type": "response.done"}
        else:
            with pytest.raises(websockets.ConnectionClosedError) as caught:
                connection.recv()
            assert caught.value.rcvd.code == 1008
    said = "mine, sockets[0] (wss://api.openai.com/v1/realtime?model=gpt-realtime), messages[1]: "
    assert (
        replay.problems == []
        if is_same
        else [f"{said}message.response.instructions: recorded 'Say hi.', sent 'Say ho.'"]
    )


def test_more_messages_than_recorded():
    replay = replay_of(SocketExchange(URL))
    with opened(replay), connect() as connection:
        connection.send("{}")
        with pytest.raises(websockets.ConnectionClosedError):
            connection.recv()
    assert len(replay.problems) == 1
    assert replay.problems[0].endswith("the client has sent more messages than recorded")


def test_a_rejected_handshake():
    replay = replay_of(SocketExchange(URL, status=401, body='{"error": 1}'))
    with opened(replay), pytest.raises(websockets.InvalidStatus) as caught, connect():
        pass
    assert (caught.value.response.status_code, caught.value.response.body) == (401, b'{"error": 1}')


@pytest.mark.parametrize("url", [URL.replace("gpt-realtime", "other"), "wss://example.com/x"])
def test_a_websocket_that_is_not_recorded(url):
    replay = replay_of(SocketExchange(URL), advice="Record it.")
    with (
        opened(replay),
        pytest.raises(CassetteMissError, match=r"is not recorded: there are mine, sockets\[0\] .* Record it\.$"),
        connect(url),
    ):
        pass
    assert len(replay.problems) == 1


@pytest.mark.parametrize("place", ["localhost:9", "127.0.0.2:9", "[::1]:9", "[::1]"])
def test_what_is_no_llm_call_passes_to_this_machine(place):
    replay = Replay(Deck([]))
    assert replay.sockets.find(f"ws://{place}/x") is None
    assert replay.foreign(VcrRequest("GET", f"http://{place}/x", b"", {}))
    assert replay.problems == []


def test_a_websocket_that_is_opened_again():
    replay = replay_of(SocketExchange(URL, messages=MESSAGES[:1]), advice="Record it.")
    with opened(replay):
        with connect() as connection:
            connection.recv()
        with pytest.raises(CassetteMissError, match=r"was opened more often than recorded\. Record it\."), connect():
            pass
    assert len(replay.problems) == 1


def test_audio_stays_and_what_may_be_a_key_goes():
    audio = "Zx9qW8eR7tY6uI5oP4aS3dF2gH1jK0lMnB" * 3
    spoken = SocketMessage("received", json.dumps({"type": "response.output_audio.delta", "delta": audio}))
    text = SocketMessage("received", json.dumps({"type": "response.output_text.delta", "delta": audio}))
    assert kept(spoken, ()) == spoken
    assert audio not in kept(text, ()).content


@pytest.mark.parametrize("where", ["header", "shape"])
def test_a_secret_is_found_in_a_message(where):
    secret = "sk-" + "a1B2c3D4" * 4 if where == "shape" else "hunter-two-three"
    exchange = SocketExchange(URL, messages=(SocketMessage("sent", json.dumps({"note": secret})),))
    (found,) = secrets_in([exchange], {"hunter-two-three": "a credential"}, ())
    assert str(found).startswith("sockets[0].messages[0].note looks like ")


@pytest.mark.parametrize("row", ["{}", "{uri: wss://x, messages: [{said: x}]}", "{uri: wss://x, messages: 3}"])
def test_what_is_no_websocket(row):
    with pytest.raises(CassetteError, match=r"mine: sockets\[0\] is no WebSocket"):
        files.parse(f"interactions: []\nsockets:\n- {row}\nversion: 1\n", "mine")
