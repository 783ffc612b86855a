"""Scrubbing, and the search for secrets, in recordings."""

from __future__ import annotations

import json
from datetime import date

import pytest

from pytest_llmmetrics.cassettes import recording, scrub, secrets
from pytest_llmmetrics.cassettes.files import CassetteError, Interaction, parse

CHAT = "https://api.openai.com/v1/chat/completions"


def interaction(body="", response="", uri=CHAT, **more):
    request = {"method": "POST", "uri": uri, "headers": {}, "body": body}
    answered = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": response}}
    return Interaction(request, answered, **more)


KEYS = [
    "sk-" + "a1B2" * 8,
    "sk-ant-api03-" + "a1B2" * 8,
    "sk-proj-" + "a1_B" * 8,
    "AIza" + "Sy1a" * 9,
    "xai-" + "a1B2" * 8,
    "gsk_" + "a1B2" * 8,
    "hf_" + "a1B2" * 8,
    "ghp_" + "a1B2" * 8,
    "AKIA" + "A1B2" * 4,
    "ya29." + "a1B2" * 8,
    "Bearer " + "a1b2" * 5,
    "Basic " + "a1b2" * 5,
    "eyJ" + "hbGciOiJIUzI1" + "." + "eyJzdWIiOiIx" + "." + "c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY",
]

WORDS = [
    "sk-learn-is-a-library-of-many-words",
    "a Bearer authentication token is sent as Bearer $OPENAI_API_KEY",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "https://docs.example.com/a/very/long/path/of/many/words/that/anyone/reads",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAa1",
    "ThisIsAVeryLongCamelCaseNameOfAClassInSomeProgram",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_found_wherever_they_are(key):
    for document in (
        {"a": [{"b": f"see {key}."}]},
        {"a": json.dumps({"b": key})},
        {"a": f'data: {{"b": "{key}"}}\n\n'},
    ):
        assert secrets.scan(document, json.dumps(document)), document
    assert secrets.scan({}, f"one\ntwo # {key}")[0].where == "line 2"
    assert key not in secrets.redact(f"see {key}.")


@pytest.mark.parametrize("words", WORDS)
def test_words_are_none(words):
    assert secrets.scan({"a": words}, words) == []
    assert secrets.redact(words) == words


def test_what_is_random_by_nature_is_none():
    token = "Zx9" + "qW8eR7tY6uI5oP4aS3dF2gH1jK0lM" * 2
    assert [str(each) for each in secrets.scan({"a": token}, token)] == ["a looks like a long random token"]
    spared = {"id": token, "thoughtSignature": token, "call_id": token, "ticket": token, "data": [token]}
    assert secrets.scan(spared, "", opaque=["Ticket"]) == []


def test_a_key_is_found_in_the_pieces_of_a_stream():
    key = KEYS[0]
    text = "".join(f"data: {json.dumps({'delta': key[n : n + 5]})}\n\n" for n in range(0, len(key), 5))
    (found,) = secrets.scan({"body": text}, text)
    assert str(found) == "body.event[].delta looks like a secret, joined from the events of the stream"


def test_what_is_kept_is_on_a_list():
    assert (
        scrub.url("https://u:p@h.example:8/p?key=k&alt=sse&api-version=1&x=2#f")
        == "https://h.example:8/p?alt=sse&api-version=1"
    )
    headers = {
        "Authorization": "a",
        "X-Api-Key": "b",
        "Content-Type": "c",
        "User-Agent": "d",
        "anthropic-version": ["e"],
    }
    assert scrub.request_headers(headers) == {"content-type": ["c"], "anthropic-version": ["e"]}
    headers = {"Set-Cookie": ["a"], "Retry-After": ["1"], "X-RateLimit-Limit-Requests": ["2"], "Server": ["s"]}
    assert scrub.response_headers(headers) == {"retry-after": ["1"], "x-ratelimit-limit-requests": ["2"]}


def test_a_request_s_credentials():
    headers = {"authorization": "Bearer abcdefgh1", "x-api-key": ["abcdefgh2"], "api-key": "x", "accept": "abcdefgh3"}
    found = dict(scrub.credentials("https://u:abcdefgh4@h.example/?key=abcdefgh5&alt=abcdefgh6", headers))
    assert found.keys() == {"Bearer abcdefgh1", "abcdefgh1", "abcdefgh2", "abcdefgh4", "abcdefgh5"}


def test_bodies_are_scrubbed_by_key():
    given = {"api_key": "a", "password": "b", "max_tokens": 3, "token_type": "c", "nested": [{"access_token": "d"}]}
    kept = json.loads(scrub.request_body(json.dumps(given).encode()))
    assert kept == {
        "api_key": "[scrubbed]",
        "password": "[scrubbed]",
        "max_tokens": 3,
        "token_type": "c",
        "nested": [{"access_token": "[scrubbed]"}],
    }
    assert scrub.response_body(b'{"a":  1}') == '{"a":  1}'
    stream = b'event: x\r\ndata: {"access_token": "s", "token": "word"}\r\n\r\ndata: [DONE]\r\n\r\n'
    assert scrub.response_body(stream) == stream.decode().replace('"s"', '"[scrubbed]"')
    assert scrub.request_body(b"\xff") == b"\xff"


def test_an_encoded_answer_is_written_as_text():
    import gzip

    import vcr.request

    asked = vcr.request.Request("POST", CHAT, b"{}", {})
    answered = {
        "status": {"code": 200, "message": "OK"},
        "headers": {"Content-Encoding": ["gzip"]},
        "body": {"string": gzip.compress(b'{"a": 1}')},
    }
    (made,) = recording.interactions([asked], [answered])
    assert made.response["body"]["string"] == '{"a": 1}'
    assert made.response["headers"] == {}
    answered["body"]["string"] = b"no gzip"
    with pytest.raises(CassetteError, match="in the encoding gzip, which cannot be decoded"):
        recording.interactions([asked], [answered])


def test_the_metadata_of_a_recording():
    text = recording.text_of(
        "x", [interaction()], {"note": "kept", "opaque": ["b"]}, opaque=["a"], today=date(2026, 1, 2)
    )
    assert parse(text, "x").metadata == {
        "match": "body",
        "note": "kept",
        "date": "2026-01-02",
        "source": "https://api.openai.com",
        "opaque": ["a", "b"],
    }
