"""A replay for another request than the recorded one: of any body that vcrpy keeps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_llmmetrics.bill.stale import Watch

URL = "https://api.openai.com/v1/chat/completions"


def request_of(body):
    return SimpleNamespace(method="POST", uri=URL, body=body, headers={})


@pytest.mark.parametrize(
    ("recorded", "asked", "where"),
    [
        # through aiohttp, `json=` stays an object
        ({"model": "a", "n": 1}, {"model": "a", "n": 2}, ["n"]),
        ({"model": "a"}, {"model": "a"}, []),
        (b'{"model": "a"}', {"model": "b"}, ["model"]),
        (b'{"model": "a"}', b'{ "model": "a" }', []),
        ("text", {"model": "b"}, []),
    ],
)
def test_where_a_request_differs(recorded, asked, where):
    stale = []
    answer = object()
    cassette = SimpleNamespace(data=[(request_of(recorded), answer)], filter_request=lambda request: request)
    Watch(stale.append).compare(cassette, request_of(asked), answer)
    assert stale == where
