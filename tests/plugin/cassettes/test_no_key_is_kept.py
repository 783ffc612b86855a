"""The keys of `keys.toml`, each in every place of an exchange: no recording holds one of them."""

from __future__ import annotations

import base64
import json
import random
import re
import string
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, unquote, urlencode

import pytest
import yaml
from vcr.request import Request

from pytest_llmmetrics.cassettes import files, recording, scrub
from pytest_llmmetrics.cassettes.bodies import boundary_to_keep
from pytest_llmmetrics.cassettes.files import CassetteError
from pytest_llmmetrics.cassettes.match import Deck, Question
from pytest_llmmetrics.cassettes.replay import Replay
from pytest_llmmetrics.cassettes.secrets import readings

CHAT = "https://api.openai.com/v1/chat/completions"
ALPHABETS = {
    "h": "0123456789abcdef",
    "a": string.ascii_letters + string.digits,
    "l": string.ascii_lowercase + string.digits,
    "u": string.ascii_uppercase + string.digits,
    "w": string.ascii_letters + string.digits + "-_",
    "b": string.ascii_letters + string.digits + "+/",
}


def filled(form: str, seed: str) -> str:
    chance = random.Random(seed)

    def part(match: re.Match[str]) -> str:
        if match[0] == "{uuid}":
            sizes = (8, 4, 4, 4, 12)
            return "-".join("".join(chance.choices(ALPHABETS["h"], k=size)) for size in sizes)
        return "".join(chance.choices(ALPHABETS[match[1]], k=int(match[2])))

    return re.sub(r"\{(?:uuid|(\w)(\d+))\}", part, form)


FORMS = tomllib.loads(Path(__file__).with_name("keys.toml").read_text("utf8"))
KEYS = {name: filled(form, name) for forms in FORMS.values() for name, form in forms.items()}
assert len(KEYS) == 44


class Exchange(NamedTuple):
    """What a place puts the key into."""

    uri: str = CHAT
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b'{"model": "gpt-4o"}'
    answered: Mapping[str, list[str]] = MappingProxyType({})
    answer: bytes = b'{"id": "chatcmpl-1"}'


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def encoded(key: str) -> str:
    return base64.b64encode(f"the key is {key}".encode()).decode()


def form(**fields: str) -> Exchange:
    return Exchange(headers={"content-type": "application/x-www-form-urlencoded"}, body=urlencode(fields).encode())


def multipart(name: str, content: str, more: str = "") -> Exchange:
    part = f'--b0und\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{content}\r\n--b0und--\r\n'
    return Exchange(headers={"content-type": "multipart/form-data; boundary=b0und"}, body=part.encode())


def events(*deltas: dict[str, object]) -> Exchange:
    text = "".join(f"data: {json.dumps(each)}\n\n" for each in deltas) + "data: [DONE]\n\n"
    return Exchange(answered={"content-type": ["text/event-stream"]}, answer=text.encode())


def pieces(key: str, size: int = 5) -> list[str]:
    return [key[n : n + size] for n in range(0, len(key), size)]


def in_turns(key: str) -> Exchange:
    """Two choices that take turns; each has the whole key."""
    return events(*({"choices": [{"index": n, "delta": {"content": part}}]} for part in pieces(key) for n in (0, 1)))


PLACES: dict[str, Callable[[str], Exchange]] = {
    "bearer": lambda key: Exchange(headers={"authorization": f"Bearer {key}"}),
    "basic": lambda key: Exchange(
        headers={"authorization": f"Basic {base64.b64encode(f'me:{key}'.encode()).decode()}"}, body=as_json({"a": key})
    ),
    "x-api-key": lambda key: Exchange(headers={"x-api-key": key}),
    "a header of a gateway": lambda key: Exchange(headers={"x-gateway": key}),
    "a header, and the answer": lambda key: Exchange(headers={"x-gateway": key}, answer=as_json({"echo": key})),
    "a kept header": lambda key: Exchange(headers={"openai-beta": key}),
    "cookie": lambda key: Exchange(headers={"cookie": f"a=b; session={key}"}, body=as_json({"a": f"is {key}"})),
    "query": lambda key: Exchange(uri=f"{CHAT}?key={quote(key)}"),
    "another parameter": lambda key: Exchange(uri=f"{CHAT}?x={quote(key)}"),
    "a kept parameter": lambda key: Exchange(uri=f"{CHAT}?alt={quote(key)}"),
    "path": lambda key: Exchange(uri=f"https://api.openai.com/v1/files/{quote(key, safe='')}/content"),
    "password": lambda key: Exchange(uri=f"https://me:{quote(key, safe='')}@h.example/v1/chat/completions"),
    "user name": lambda key: Exchange(uri=f"https://{quote(key, safe='')}@h.example/v1/chat/completions"),
    "fragment": lambda key: Exchange(uri=f"{CHAT}#{quote(key)}"),
    "form, by name": lambda key: form(grant_type="client_credentials", client_secret=key),
    "form": lambda key: form(grant_type="x", note=key),
    "multipart, by name": lambda key: multipart("api_key", key),
    "multipart": lambda key: multipart("note", f"see {key}"),
    "a file's lines": lambda key: multipart("file", f'{{"a": 1}}\n{{"b": "{key}"}}', '; filename="x.jsonl"'),
    "a file's name": lambda key: multipart("file", "x", f'; filename="{key}.txt"'),
    "JSON, by name": lambda key: Exchange(body=as_json({"api_key": key, "password": [key]})),
    "JSON": lambda key: Exchange(body=as_json({"note": key})),
    "a JSON key": lambda key: Exchange(body=as_json({key: 1})),
    "nested": lambda key: Exchange(body=as_json({"a": [{"b": {"c": f"use {key}, please"}}]})),
    "array": lambda key: Exchange(body=as_json({"stop": ["x", key]})),
    "JSON in a text": lambda key: Exchange(body=as_json({"arguments": json.dumps({"a": json.dumps({"b": key})})})),
    "a key twice": lambda key: Exchange(answer=f'{{"a": "{key}", "a": "b"}}'.encode()),
    "text": lambda key: Exchange(headers={"content-type": "text/plain"}, body=f"see {key}".encode()),
    "base64": lambda key: Exchange(body=as_json({"note": encoded(key)})),
    "a data: URL": lambda key: Exchange(body=as_json({"url": f"data:text/plain;base64,{encoded(key)}"})),
    "percent-encoded": lambda key: Exchange(body=as_json({"note": f"https://h.example/?a={quote(key, safe='')}"})),
    "percent-encoded wholly": lambda key: Exchange(
        body=as_json({"note": "".join(f"%{ord(letter):02X}" for letter in key)})
    ),
    "set-cookie": lambda key: Exchange(answered={"set-cookie": [f"s={key}; Path=/"]}, answer=as_json({"s": key})),
    "a header of the answer": lambda key: Exchange(answered={"x-session": [key]}),
    "a kept header of the answer": lambda key: Exchange(answered={"x-ratelimit-limit-requests": [key]}),
    "the answer's JSON": lambda key: Exchange(answer=as_json({"error": {"message": f"Incorrect key: {key}."}})),
    "the answer's JSON key": lambda key: Exchange(answer=as_json({"a": {key: {"b": 1}}})),
    "the answer's text": lambda key: Exchange(answer=f"<p>{key}</p>".encode()),
    "the answer's base64": lambda key: Exchange(answer=as_json({"note": encoded(key)})),
    "an event": lambda key: events({"delta": {"text": f"is {key}"}}),
    "pieces": lambda key: events(*({"delta": {"text": part}} for part in pieces(key))),
    "pieces in turns": in_turns,
    "JSON lines": lambda key: Exchange(answer=b"\n".join(as_json({"a": each}) for each in ("x", key))),
}
assert len(PLACES) >= 32

KNOWN = {"basic", "a header, and the answer", "cookie", "set-cookie"}
"""Places with the key in a dropped header and in what is kept: such a recording is refused, or the key replaced."""


def recorded(place: Exchange) -> str:
    """Record an exchange as vcrpy's hooks do, and return the cassette's text."""
    replay = Replay(Deck([]), recording=True)
    request = replay.request(
        Request("POST", place.uri, place.body, {"content-type": "application/json", **place.headers})
    )
    answer = {"status": {"code": 200, "message": "OK"}, "headers": place.answered, "body": {"string": place.answer}}
    known = recording.answered_credentials([answer], ())
    kept = recording.interactions([request], [answer])
    return recording.text_of("x", kept, {}, credentials={**replay.credentials, **known}, today=date(2026, 1, 2))


def everything(text: str) -> str:
    """Return all that a reader of a cassette sees: its text, decoded, and the joined texts of its stream."""
    streams: dict[str, list[str]] = {}
    for body in (each["response"]["body"]["string"] for each in yaml.safe_load(text)["interactions"]):
        for line in str(body).splitlines():
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                choice = event.get("choices", [{"index": 0, "delta": {"content": ""}}])[0]
                streams.setdefault(f"choice {choice['index']}", []).append(choice["delta"]["content"])
                streams.setdefault("text", []).append(event.get("delta", {}).get("text", ""))
    joined = ["".join(each) for each in streams.values()]
    return "\n".join(reading for each in (text, unquote(text), *joined) for reading in readings(each))


@pytest.mark.parametrize("place", PLACES)
def test_no_key_is_kept(place):
    for name, key in KEYS.items():
        try:
            text = recorded(PLACES[place](key))
        except CassetteError as refused:
            # what only may be a key refuses no recording
            if not (name in FORMS["shaped"] or place in KNOWN):
                raise
            seen = str(refused)
        else:
            seen = everything(text)
        assert key not in seen, name
        assert key.encode().hex() not in seen, name


@pytest.mark.parametrize("name", FORMS["shaped"])
def test_a_provider_s_key_refuses_the_recording(name):
    with pytest.raises(CassetteError, match=r"request\.body\.a\[0\]\.b\.c looks like an? "):
        recorded(PLACES["nested"](KEYS[name]))


def test_what_may_be_a_key_becomes_one_placeholder():
    for name in FORMS["perhaps"]:
        doc = yaml.safe_load(recorded(PLACES["nested"](KEYS[name])))
        body = json.loads(doc["interactions"][0]["request"]["body"])
        assert body == {"a": [{"b": {"c": "use [scrubbed], please"}}]}, name


def test_a_known_value_is_found_in_any_dress():
    word = "correct horse battery"
    for shown in (word, quote(word), encoded(word), f'{{"a": "{word}"}}'):
        with pytest.raises(CassetteError, match="looks like the value of the header x-gateway"):
            recorded(Exchange(headers={"x-gateway": word}, body=as_json({"data": shown})))
    parts = events(*({"delta": {"text": part}} for part in pieces(word)))
    with pytest.raises(CassetteError, match="joined from the events of the stream"):
        recorded(parts._replace(headers={"x-gateway": word}))


def test_an_image_is_kept():
    image = "data:image/png;base64," + base64.b64encode(random.Random(0).randbytes(3000)).decode()
    body = {"messages": [{"content": [{"type": "image_url", "image_url": {"url": image}}]}]}
    assert image in recorded(Exchange(body=as_json(body)))
    with pytest.raises(CassetteError, match=r"messages\[0\]\.content looks like an OpenAI key"):
        recorded(Exchange(body=as_json({"messages": [{"content": KEYS["openai"]}, {"content": image}]})))


def test_scrubbing_twice_is_scrubbing_once():
    for place in PLACES.values():
        for name in FORMS["perhaps"]:
            sent = place(KEYS[name])
            kind = sent.headers.get("content-type", "")
            once = scrub.request_body(sent.body, kind)
            again = scrub.request_body(once.encode(), boundary_to_keep(kind))
            assert again == once
            assert scrub.url(scrub.url(sent.uri)) == scrub.url(sent.uri)


def test_an_upload_is_found_again_with_another_boundary_and_another_id():
    sent = multipart("file", f'{{"id": "{KEYS["sambanova"]}"}}')
    other = multipart("file", '{"id": "3f2504e0-4f89-11d3-9a0c-0305e82c3301"}').body.replace(b"b0und", b"0ther")
    text = recorded(sent._replace(body=sent.body.replace(b'"id"', b'"job"')))
    deck = Deck([files.parse(text, "x")])
    asked = scrub.request_body(other.replace(b'"id"', b'"job"'), "multipart/form-data; boundary=0ther")
    assert deck.choose(Question("POST", CHAT, asked.encode()), {}) == 0


def test_what_each_event_repeats_is_no_key():
    sent = events(*({"model": "gpt4omini2024", "delta": {"text": part}} for part in "abcdef"))
    assert recorded(sent).count("gpt4omini2024") == 6


@pytest.mark.parametrize("header", ["cf-access-client-secret", "x-ms-token-aad-access-token", "x-gateway"])
def test_a_secret_header_is_looked_for_whatever_its_prefix(header):
    with pytest.raises(CassetteError, match="looks like"):
        recorded(Exchange(headers={header: "correct-horse"}, body=as_json({"note": "is correct-horse"})))
    assert recorded(Exchange(headers={"x-ms-deployment-name": "gpt-4o-mini"}, body=as_json({"a": "gpt-4o-mini"})))
