"""The simulated provider speaks like the real ones: the official SDKs understand it, and a meter counts it right."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import httpx
import pytest
from support import sampled
from support.sdks import TYPES
from support.simulated_formats import ANSWER, ELSEWHERE, FORMATS, SIMULATED, answered, says, shape

from llmmetrics import Meter, wire
from llmmetrics.reading.sockets import SOCKETS
from llmmetrics.testing import FAULTS, CannotExpressError, Request, faults, observe, reply
from llmmetrics.testing.shapes import SHAPES
from llmmetrics.testing.simulator import counted, shape_of

CASES = [
    (name, stream)
    for name, (*_, streams) in FORMATS.items()
    for stream in ({True: (False, True), False: (False,), None: (True,)}[streams])
]

_CHAT = {"openai.chat", "openai.responses", "anthropic.messages", "gemini.generate", "gemini.interactions"}

SAID = {
    "prompt_tokens": {
        *_CHAT,
        "openai.embeddings",
        "cohere.v2.chat",
        "cohere.embed",
        "bedrock.converse",
        "rerank voyage",
    },
    "cache_read": {*_CHAT, "vertex.anthropic", "vertex.chat", "cohere.v2.chat", "bedrock.converse", "watsonx.chat"},
    "cache_write": {"anthropic.messages", "vertex.anthropic", "bedrock.converse"},
    "reasoning": {*_CHAT, "vertex.anthropic", "vertex.chat", "watsonx.chat"},
}
"""What some formats must say. What others say is derived from their shapes: a new format needs no row here."""


def send(client, provider, name, stream, **options):
    """The call's record; what a client makes of a broken connection is not asked here."""
    path, body, streams = FORMATS[name]
    said = {"stream": stream} if streams else {}
    records = []
    with observe(records.append), suppress(httpx.TransportError):
        client.post(provider.url + path, json={**body, **said}, **options)
    (record,) = records
    return record


@pytest.fixture
def metered(provider, registry):
    backend = {"Name": "elsewhere", "Type": "GenericOpenAI", "BaseUrl": provider.url + ELSEWHERE}
    made = [{"Name": name, "Type": kind, "BaseUrl": f"{provider.url}/{name}"} for name, kind in TYPES.items()]
    meter = Meter.from_settings({"Backends": [*made, backend]}, registry=registry)
    with httpx.Client(transport=meter.transport(family="httpx"), timeout=5) as client:
        yield client


# tests/plugin/test_provider_sockets.py has them
OVER_WEBSOCKETS = {each.format.id for each in SOCKETS} - {each.id for each in wire.FORMATS}


def test_every_format_of_the_runtime_has_a_shape():
    formats = {each.id for each in SIMULATED}
    assert formats == {each.id for each in SHAPES} - OVER_WEBSOCKETS
    # test_jobs.py has those whose every answer comes later
    assert {each.id for each in SIMULATED if not each.deferred} == {name.partition(" ")[0] for name in FORMATS}


@pytest.mark.parametrize("value", SAID)
def test_a_shape_says_what_its_provider_says(value):
    assert [name for name in SAID[value] if not says(name, **{value: 5})] == []


def test_a_format_whose_path_says_stream_has_a_streamed_row():
    streamed = {name.partition(" ")[0] for name, (*_, streams) in FORMATS.items() if streams is None}
    absent = {each.id for each in wire.FORMATS if "stream" in each.path.groupindex} - streamed
    assert not absent, "add a row with the streamed path to VARIANTS of tests/support/simulated_formats.py"


def test_every_shape_answers_something():
    others = OVER_WEBSOCKETS | {each.id for each in wire.FORMATS if each.deferred}
    assert {id(shape(name)) for name in FORMATS} == {id(each) for each in SHAPES if each.id not in others}


@pytest.mark.parametrize(
    ("host", "path", "vendor"),
    [
        ("api.voyageai.com", "/v1/rerank", "voyage"),
        ("api.cohere.com", "/v1/rerank", "cohere"),
        ("api.cohere.com:443", "/v1/chat", "cohere"),
        ("127.0.0.1", "/v1/chat", None),
        ("api.writer.com:443", "/v1/chat", "openai"),
        ("api.anthropic.com", "/v1/complete", "anthropic"),
        ("127.0.0.1", "/v1/complete", None),
        ("127.0.0.1", "/model/arn%3Aaws%3Abedrock%3Aprofile%2Fus.meta.llama/converse", "bedrock"),
        ("127.0.0.1", "/model/stability.sd3/invoke", None),
    ],
)
def test_a_shape_is_found_where_the_runtime_finds_a_call(host, path, vendor):
    found = shape_of(Request("POST", path, host=host))
    assert (found.errors.name if found else None) == vendor


ANSWERS = {
    "plain": ANSWER,
    "cached": replace(ANSWER, cache_read=100),
    "written": replace(ANSWER, cache_read=50, cache_write=20),
    "reasoning": replace(ANSWER, reasoning=20),
    "empty": replace(ANSWER, text="", completion_tokens=0),
}


@pytest.mark.parametrize(
    ("name", "stream", "answer"), sampled([(*case, answer) for answer in ANSWERS for case in CASES], answered)
)
def test_what_is_scripted_is_what_is_counted(metered, provider, name, stream, answer):
    answer = ANSWERS[answer]
    provider.script(answer)
    record = send(metered, provider, name, stream)
    free = wire.claim("POST", "", provider.requests[0].path, wire.ANY).format.billing is wire.Billing.FREE

    def if_said(field, value=5):
        return getattr(answer, field) if says(name, stream=stream, **{field: value}) else 0

    assert record.usage_known is (free or says(name, stream=stream, prompt_tokens=5))
    if free:
        assert record.usage.total == 0
        return
    assert record.model_responded == (if_said("model", "other") or None)
    if not record.usage_known:
        return
    used = record.usage
    assert (used.prompt, used.completion) == (120, if_said("completion_tokens"))
    assert (used.cache_read, used.cache_write) == (if_said("cache_read"), if_said("cache_write"))
    assert used.reasoning == if_said("reasoning")


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_usage_can_be_left_out(metered, provider, name, stream):
    provider.script(replace(ANSWER, usage=False))
    record = send(metered, provider, name, stream)
    # a count that is asked for is no usage
    # of images the request says what they cost
    known = "count_tokens" in name or "images" in name
    assert (record.status, record.usage_known) == ("success", known)


SLOW = ("stall", "read_timeout")

WIRE = [name for name, fault in FAULTS.items() if fault.on_the_wire]


def failing(row):
    """Each pair of whose words, how it is framed and which fault; and each case one fault."""
    name, stream, fault = row
    vendor, framing = shape(name).errors.name, (stream, shape(name).content_type)
    return {(vendor, fault), (framing, fault), (vendor, framing), (name, stream)}


@pytest.mark.parametrize(
    ("name", "stream", "fault"), sampled([(*case, fault) for fault in WIRE for case in CASES], failing)
)
def test_every_fault_is_counted_as_the_contract_demands(metered, provider, count, name, stream, fault):
    path, _, query = FORMATS[name][0].partition("?")
    if fault in shape(name).errors.cannot:
        with pytest.raises(CannotExpressError, match=f"the fault '{fault}' does not exist in"):
            reply(Request("POST", path, query), FAULTS[fault])
        return
    provider.script(FAULTS[fault])
    record = send(metered, provider, name, stream, timeout=0.15 if fault in SLOW else 5)
    assert (record.status, record.error_type) == counted(Request("POST", path, query), FAULTS[fault])
    assert count("llm_active_requests") == 0


IN_STREAM = {"rate_limit": faults.RATE_LIMIT, "api_error": faults.OVERLOADED}

WITH_STREAM_ERRORS = (
    "openai.chat",
    "openai.completions",
    "openai.responses",
    "anthropic",
    "gemini",
    "vertex",
    "bedrock",
)


@pytest.mark.parametrize("name", [name for name, stream in CASES if stream and name.startswith(WITH_STREAM_ERRORS)])
@pytest.mark.parametrize("kind", IN_STREAM)
def test_a_stream_breaks_off_with_the_code_that_the_refusal_would_have(metered, provider, name, kind):
    provider.script(replace(IN_STREAM[kind], http=200, in_band=True))
    assert send(metered, provider, name, stream=True).error_type == kind


def test_the_faults_carry_what_a_client_needs(provider):
    url = provider.url + "/v1/chat/completions"
    provider.script(faults.RATE_LIMIT, faults.RATE_LIMIT_BARE)
    assert httpx.post(url, json={}).headers["retry-after"] == "1"
    assert "retry-after" not in httpx.post(url, json={}).headers
    provider.script(faults.BAD_KEY)
    assert httpx.post(f"{provider.url}/v1beta/models/m:generateContent", json={}).status_code == 400
