"""Every path that the official SDKs POST to is claimed by a format, or is free: one of the two."""

from __future__ import annotations

import re

import pytest
from support.sdk_paths import SDKS, is_installed, posted

from llmmetrics import wire
from llmmetrics.reading.endpoints import FREE, billing_of
from llmmetrics.wire.format import Billing

LEAST = {"openai": 150, "anthropic": 60, "google.genai": 30, "mistralai": 50, "cohere": 20}
ELSEWHERE = {
    # what mistralai sends to Vertex is joined to a path of Google's, where `vertex.chat` claims it
    "api.mistral.ai/rawPredict",
    "api.mistral.ai/streamRawPredict",
}


@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.package)
def test_every_path_of_an_sdk_is_in_the_table_once(sdk):
    if not is_installed(sdk):
        pytest.skip(f"needs {sdk.package}")
    paths = posted(sdk) - ELSEWHERE
    assert len(paths) >= LEAST.get(sdk.package, 8)
    places = [(host, f"/{path}") for host, _, path in (each.partition("/") for each in sorted(paths))]
    assert [path for host, path in places if billing_of(host, path, sdk.provider) is None] == []
    for host, path in places:
        claimed = wire.claim("POST", host, path, sdk.provider)
        free = [each for each in FREE if each.provider == sdk.provider and re.fullmatch(each.path, path)]
        assert claimed is None or not free or claimed.format.billing is Billing.FREE, path


BILLED = {
    "/v1/chat/completions": Billing.READ,
    "/v1/images/generations": Billing.READ,
    "/v1/audio/transcriptions": Billing.READ,
    "/v1/audio/speech": Billing.PIECE,
    "/v1/videos": Billing.PIECE,
    "/v1/videos/video_1/remix": Billing.PIECE,
    "/v1/fine_tuning/jobs": Billing.UNKNOWN,
    "/v1/realtime/calls": Billing.UNKNOWN,
    "/v1/responses/input_tokens": Billing.FREE,
    "/v1/moderations": Billing.FREE,
    "/v1/files": Billing.FREE,
    "/v1/fine_tuning/jobs/ftjob-1/cancel": Billing.FREE,
    "/v1/vector_stores/vs_1/search": Billing.FREE,
    "/v1/something/new": None,
}


@pytest.mark.parametrize("path", BILLED)
def test_how_a_path_is_billed(path):
    assert billing_of("api.openai.com", path, "openai") is BILLED[path]


@pytest.mark.parametrize("path", ["/v1/videos", "/v1/sessions", "/v1/batches", "/v1/ocr", "/v1/evals/e/runs"])
def test_a_path_that_other_servers_have_is_claimed_at_its_providers_alone(path):
    """An instrumented process talks to services of its own."""
    assert wire.claim("POST", "intranet.example", path) is None
    assert wire.claim("POST", "intranet.example", path, "cohere") is None
    # a backend of the settings is one, whatever it speaks
    assert wire.claim("POST", "intranet.example", path, wire.ANY) is not None


def test_other_methods_are_no_calls():
    for method in ("GET", "DELETE", "PUT", "PATCH"):
        assert wire.claim(method, "api.openai.com", "/v1/images/generations", "openai") is None
