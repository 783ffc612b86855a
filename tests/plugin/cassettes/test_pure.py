"""The pure parts: reading and writing files, matching, scrubbing, scanning, shapes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llmmetrics.cassettes import drift, streams
from pytest_llmmetrics.cassettes import names as cassette_names
from pytest_llmmetrics.cassettes.files import Breakdown, CassetteError, Interaction, dump, parse, write
from pytest_llmmetrics.cassettes.match import Deck, Question, differences

HERE = cassette_names.shipped()

CHAT = "https://api.openai.com/v1/chat/completions"


def interaction(body="", response="", uri=CHAT, **more):
    request = {"method": "POST", "uri": uri, "headers": {}, "body": body}
    answered = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": response}}
    return Interaction(request, answered, **more)


@given(st.text(st.characters(codec="utf8")), st.text("ab \n\r\t:#'\"{}-|>é"))
def test_a_cassette_is_read_as_it_was_written(body, response):
    written = [interaction(body, response, fault=Breakdown("ReadError", "x", "body")), interaction(response, body)]
    text = dump(written, {"match": "body"})
    assert parse(text, "x").interactions == tuple(written)
    assert dump(parse(text, "x").interactions, {"match": "body"}) == text


@pytest.mark.parametrize("name", ["openai/success", "openai/stream", "gemini/cut"])
def test_a_cassette_that_breaks_off_is_none(name):
    text = (HERE / f"{name}.yaml").read_text("utf8")
    for end in range(len(text) - len("1\n")):
        with pytest.raises(CassetteError):
            parse(text[:end], name)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "one.yaml"
    write(path, "first")
    with pytest.raises(UnicodeEncodeError):
        write(path, "\ud800")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write(path, "second")
    assert path.read_text() == "first"
    assert [each.name for each in path.parent.iterdir()] == ["one.yaml"]


def question(url=CHAT, method="POST", **body):
    return Question(method, url, json.dumps(body).encode())


SAME = [
    ({"model": "m", "temperature": 1}, {"temperature": 1.0, "model": "m"}),
    ({"model": "m", "tools": None}, {"model": "m"}),
    ({"model": "m", "stream": False}, {"model": "m"}),
]

OTHER = [
    ({"model": "a"}, {"model": "b"}, ["model", "body.model"]),
    ({"stream": True}, {}, ["body.stream"]),
    ({"n": 1}, {"n": True}, ["body.n"]),
    ({"n": []}, {"n": [1]}, ["body.n[0]"]),
    ({"m": [{"c": "x"}, {"c": "y"}]}, {"m": [{"c": "x"}, {"c": "z"}]}, ["body.m[1].c"]),
    ({"a": {"b": 1}}, {"a": 1}, ["body.a"]),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_bodies_that_mean_the_same(one, other):
    assert differences(question(**one), question(**other), "body") == []


@pytest.mark.parametrize(("one", "other", "paths"), OTHER)
def test_bodies_that_do_not(one, other, paths):
    assert [each.path for each in differences(question(**one), question(**other), "body")] == paths
    assert [each.path for each in differences(question(**other), question(**one), "body")] == paths


@pytest.mark.parametrize(
    ("url", "method", "paths"),
    [
        (CHAT, "GET", ["method"]),
        ("https://api.openai.com:8443/v1/chat/completions", "POST", ["host"]),
        ("https://api.openai.com/v2/chat/completions", "POST", ["path"]),
        (f"{CHAT}?alt=sse", "POST", ["query.alt"]),
    ],
)
def test_recordings_are_of_one_place(url, method, paths):
    asked = question(url, method, model="m")
    found = [each.path for each in differences(asked, question(model="m"), "body") if each.path != "model"]
    assert found == paths


def test_a_body_that_is_no_json():
    assert differences(Question("POST", CHAT, b"a=1"), Question("POST", CHAT, b"a=1"), "body") == []
    (only,) = differences(Question("POST", CHAT, b"a=1"), Question("POST", CHAT, b"a=2"), "body")
    assert str(only) == "body: recorded 'a=2', sent 'a=1'"


def test_a_difference_is_short_and_holds_no_secret():
    key = "AIza" + "x1Y2" * 9
    (only,) = differences(question(text="word " * 99 + key), question(text=f"{key} word"), "body")
    assert len(str(only)) < 200
    assert key not in str(only)


def test_each_is_played_once_in_order():
    text = dump([interaction('{"n": 1}', "a"), interaction('{"n": 1}', "b"), interaction('{"n": 2}', "c")], {})
    deck, played = Deck([parse(text, "x")]), {}
    for expected in (0, 1, None):
        number = deck.choose(question(n=1), played)
        assert number == expected
        played[number] = 1
    assert deck.why_none(question(n=1)) == f"POST {CHAT} was sent more often than recorded: 2 times in x"
    assert [card.number for card in deck.unplayed(played)] == [2]


@pytest.mark.parametrize(
    ("kind", "body", "pieces"),
    [
        ("text/event-stream; charset=utf-8", b"data: 1\n\ndata: 2\n\n", [b"data: 1\n\n", b"data: 2\n\n"]),
        ("text/event-stream", b"data: 1\r\n\r\ndata: 2", [b"data: 1\r\n\r\n", b"data: 2"]),
        ("application/x-ndjson", b"{}\n{}\n", [b"{}\n", b"{}\n"]),
        ("application/json", b"{}\n\n{}", [b"{}\n\n{}"]),
        ("", b"", []),
    ],
)
def test_bodies_are_split_on_events(kind, body, pieces):
    assert streams.split(kind, body) == pieces


def drifts(recorded, live):
    made = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (recorded, live)]
    return [str(each) for each in drift.compare(*map(drift.shape, made))]


@pytest.mark.parametrize(
    ("recorded", "live", "found"),
    [
        ({"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}, []),
        ({"a": 1}, {"a": "1"}, ["$.a: was number, is string"]),
        ({"a": {"b": 1}}, {"c": {"d": 1}}, ["$.a: removed (object)", "$.c: added (object)"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": None}]}, ["$.a[].c: added (null)"]),
        ({"a": [1, "x"]}, {"a": ["x"]}, []),
        ({"a": []}, {"a": [{"b": 1}]}, []),
        ({"a": None}, {"a": {"b": {"c": 1}}}, []),
        ({"a": True}, {"a": 1}, ["$.a: was boolean, is number"]),
        ([1], {"a": 1}, ["$: was array, is object"]),
    ],
)
def test_drift_in_shape(recorded, live, found):
    assert drifts(recorded, live) == found


def test_drift_in_a_stream_is_told_by_event():
    recorded = b'event: start\ndata: {"type": "start", "m": 1}\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: end\ndata: {"type": "end"}\n\n'
    live = b'event: start\ndata: {"type": "start", "m": "1"}\n\nevent: new\ndata: {"type": "new"}\n\ndata: [DONE]\n\n'
    assert drifts(recorded, live) == [
        "end $: removed (object)",
        "new $: added (object)",
        "start $.m: was number, is string",
    ]
    assert drifts(b'{"a": 1}\n{"a": 2}\n', b'{"a": 1}\n{"b": 2}\n') == ["$.b: added (number)"]


def test_unknown_names_are_listed_by_provider_on_short_lines(tmp_path):
    from pytest_llmmetrics.cassettes.names import missing, shipped

    (tmp_path / "mine.yaml").touch()
    lines = str(missing("frobnicate", [tmp_path, shipped()])).splitlines()
    assert lines[0] == "no cassette frobnicate: there are"
    assert "  mine" in lines
    assert sum(line.startswith("  openai/: bad_key, cut, ") for line in lines) == 1
    assert max(map(len, lines)) <= 100
    assert "did you mean openai/rate_limited?" in str(missing("openai/rate_limit", [shipped()]))
