"""boto3's Bedrock calls: real clients, real sockets, through `wrap` and through `instrument`."""

from __future__ import annotations

import copy
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import vcr
from botocore.exceptions import BotoCoreError, ClientError
from botocore.stub import Stubber
from prometheus_client import CollectorRegistry
from support import alone
from support.bedrock import ASKS, MODEL, STREAMS, ask, client, drain, once, patient

import llmmetrics
from llmmetrics import ConfigError, Meter
from llmmetrics.testing import Answer, faults, observe

# what botocore leaves open after a failure is its own business
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

ANSWER = Answer("one two three four five six seven eight", prompt_tokens=100, completion_tokens=50)

DOORS = ("wrap", "instrument", "both")

each_operation = pytest.mark.parametrize("operation", ASKS)


@pytest.fixture
def meter(registry, provider):
    provider.default = ANSWER
    own = {"CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 2}
    backends = [
        {"Name": "bedrock", "Type": "GenericOpenAI", "BaseUrl": provider.url, **own},
        {"Name": "other", "Type": "GenericOpenAI", "BaseUrl": "http://other.example", **own},
    ]
    return Meter.from_settings({"Backends": backends}, registry=registry)


@pytest.fixture
def instrumented(meter):
    llmmetrics.instrument(meter)
    yield meter
    llmmetrics.uninstrument()


@pytest.fixture
def bedrock(instrumented, provider):
    """A client whose first failure is final."""
    made = once(provider.url)
    yield made
    made.close()


# what is counted


@pytest.mark.parametrize("door", DOORS)
@each_operation
def test_each_call_counts_once(operation, door, meter, provider, count, counted):
    made = client(provider.url)
    if door != "instrument":
        assert meter.wrap(meter.wrap(made)) is made
    if door != "wrap":
        llmmetrics.instrument(meter)
    records = []
    try:
        with observe(records.append):
            answer = drain(ask(made, operation))
    finally:
        llmmetrics.uninstrument()
    assert "seven" in str(answer)
    assert counted() == {"success": 1}
    assert count("llm_requests_total", backend="bedrock", model=MODEL) == 1
    assert count("llm_tokens_total", token_type="prompt") == 100
    assert count("llm_tokens_total", token_type="completion") == 50
    assert count("llm_estimated_cost_usd") == pytest.approx(0.0002)
    assert count("llm_time_to_first_chunk_seconds_count") == (operation in STREAMS)
    assert [(each.usage_known, each.streamed, each.http_status) for each in records] == [
        (True, operation in STREAMS, 200)
    ]


def test_nothing_is_metered_any_more(instrumented, provider, count):
    llmmetrics.uninstrument()
    drain(ask(client(provider.url), "converse"))
    assert count("llm_requests_total") == 0


def test_an_embedding(bedrock, counted, count):
    asked = bedrock.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=b'{"inputText": "a"}')
    assert json.load(asked["body"])["embedding"]
    assert counted() == {"success": 1}
    assert count("llm_tokens_total", token_type="total", model="amazon.titan-embed-text-v2:0") == 100


def test_counting_tokens_is_free(bedrock, counted, count):
    asked = {"converse": {"messages": [{"role": "user", "content": [{"text": "Say hi."}]}]}}
    assert bedrock.count_tokens(modelId=MODEL, input=asked)["inputTokens"] == 100
    assert counted() == {"success": 1}
    assert count("llm_tokens_total") == count("llm_estimated_cost_usd") == 0


def test_a_profile_s_arn_is_the_model(bedrock, counted, count):
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0"
    ask(bedrock, "converse", arn)
    assert counted() == {"success": 1}
    assert count("llm_requests_total", model=arn) == 1


def test_other_services_and_other_operations_are_no_calls(instrumented, provider, count, counted):
    with suppress(ClientError):
        client(provider.url, "s3").list_buckets()
    with suppress(ClientError):
        client(provider.url, "bedrock").list_foundation_models()
    assert count("llmmetrics_unmetered_requests_total") == 0
    with suppress(ClientError):
        client(provider.url).list_async_invokes()
    assert len(provider.requests) == 3
    assert count("llmmetrics_unmetered_requests_total", backend="bedrock") == 1
    assert counted() == {}


def test_what_a_stubber_answers_is_no_request(bedrock, provider, counted):
    output = {"message": {"role": "assistant", "content": [{"text": "stubbed"}]}}
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    with Stubber(bedrock) as stubber:
        stubber.add_response(
            "converse", {"output": output, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}
        )
        assert ask(bedrock, "converse")["output"] == output
        with pytest.raises(BotoCoreError):
            ask(bedrock, "converse")
    assert counted() == {}
    ask(bedrock, "converse")
    assert counted() == {"success": 1}
    assert len(provider.requests) == 1


@pytest.mark.parametrize("operation", ["converse", "converse_stream"])
def test_vcrpy_recording_and_replaying(operation, bedrock, provider, counted, count, tmp_path):
    recorder = vcr.VCR(match_on=["method", "uri"])
    for _ in range(2):
        with recorder.use_cassette(str(tmp_path / "cassette.yaml")):
            drain(ask(bedrock, operation))
    assert len(provider.requests) == 1
    assert counted() == {"success": 2}
    assert count("llm_tokens_total", token_type="total") == 300


def test_many_threads(bedrock, counted, count):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: drain(ask(bedrock, list(ASKS)[n % 4])), range(80)))
    assert counted() == {"success": 80}
    assert count("llm_tokens_total", token_type="total") == 80 * 150


# retries


@pytest.mark.parametrize("mode", ["legacy", "standard"])
@each_operation
def test_each_attempt_is_a_request(operation, mode, instrumented, provider, counted, count, monkeypatch):
    waits = patient(monkeypatch)
    provider.script(faults.RATE_LIMIT_BARE, faults.UNAVAILABLE)
    drain(ask(client(provider.url, retries={"mode": mode, "total_max_attempts": 4}), operation))
    assert len(provider.requests) == 3
    assert len(waits) == 2
    assert counted() == {"failure": 2, "success": 1}
    assert count("llm_errors_total", error_type="rate_limit") == 1
    assert count("llm_errors_total", error_type="api_error") == 1
    assert count("llmmetrics_retries_total", backend="bedrock") == 2


# doors


def test_a_wrapped_client_keeps_its_backend(instrumented, provider, count, counted):
    made = instrumented.wrap(client(provider.url), backend="other")
    drain(ask(made, "converse"))
    assert counted() == {"success": 1}
    assert count("llm_requests_total", backend="other") == 1


def test_a_client_inside_an_object_is_found(meter, provider, counted):
    class Chat:
        def __init__(self):
            self.storage = client(provider.url, "s3")
            self.inner = {"runtime": client(provider.url)}

    chat = meter.wrap(Chat())
    drain(ask(chat.inner["runtime"], "converse"))
    assert counted() == {"success": 1}


def test_a_client_of_another_meter(meter, provider):
    made = meter.wrap(client(provider.url))
    with pytest.raises(ConfigError, match="a meter with another registry already counts the calls"):
        Meter(registry=CollectorRegistry()).wrap(made)
    with pytest.raises(ConfigError, match="wrap a new client for backend='other'"):
        meter.wrap(made, backend="other")


def test_what_cannot_be_wrapped(meter, provider):
    boto3 = pytest.importorskip("boto3")
    with pytest.raises(ConfigError, match=r"client of AWS's s3, which makes no LLM calls: .*\('bedrock-runtime'\)"):
        meter.wrap(client(provider.url, "s3"))
    with pytest.raises(ConfigError, match=r"is not a client: wrap the result of boto3.client\('bedrock-runtime'\)"):
        meter.wrap(boto3.Session())
    with pytest.raises(ConfigError, match="boto3 is a module"):
        meter.wrap(boto3)


def test_an_asynchronous_client_is_none_of_ours(meter, provider):
    """aiobotocore's endpoints derive from botocore's, and send through aiohttp."""
    made = client(provider.url)

    class AioEndpoint(type(made._endpoint)):
        async def _send(self, request):
            raise NotImplementedError

    made._endpoint.__class__ = AioEndpoint
    with pytest.raises(
        ConfigError,
        match=r"BedrockRuntime sends through a library that llmmetrics does not know.*: wrap the result of boto3",
    ):
        meter.wrap(made)


def test_what_is_wrapped_may_be_copied(meter, provider):
    session = meter.wrap(client(provider.url))._endpoint.http_session
    assert copy.copy(session).meter is meter.engine
    assert copy.copy(session)._manager is session._manager


def test_an_error_inside_harms_no_call(instrumented, provider, monkeypatch, count):
    monkeypatch.setattr("llmmetrics.instrumentation.botocore._AwsRequest.__init__", lambda *_: 1 / 0)
    assert ask(client(provider.url), "converse", MODEL)["output"]
    monkeypatch.undo()
    monkeypatch.setattr("llmmetrics.wire.framing.body_buffer.BodyBuffer.feed", lambda *_: 1 / 0)
    assert len(drain(ask(client(provider.url), "converse_stream"))) > 3
    assert count("llmmetrics_internal_errors_total", where="botocore") == 1
    assert count("llmmetrics_internal_errors_total", where="follow") > 0
    assert count("llm_active_requests") == 0


LATER = """
import sys
import llmmetrics
from llmmetrics import Meter
from llmmetrics.testing import observe

llmmetrics.instrument(Meter())
assert "botocore" not in sys.modules
if sys.argv[2] == "undone":
    llmmetrics.uninstrument()
import boto3, botocore.endpoint, importlib.util, inspect
assert "class Endpoint" in inspect.getsource(botocore.endpoint)
assert type(botocore.endpoint.__spec__.loader) is type(boto3.__spec__.loader)
client = boto3.client("bedrock-runtime", endpoint_url=sys.argv[1], region_name="us-east-1",
                      aws_access_key_id="x", aws_secret_access_key="y")
records = []
with observe(records.append):
    client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])
print(len(records))
"""


@pytest.mark.parametrize(("how", "seen"), [("kept", "1"), ("undone", "0")])
def test_botocore_is_imported_later(provider, how, seen):
    assert alone(LATER, provider.url, how).strip() == seen


def test_a_botocore_that_is_not_as_it_was(meter, monkeypatch, provider, count):
    monkeypatch.delattr("botocore.endpoint.Endpoint._send")
    llmmetrics.instrument(meter)
    llmmetrics.uninstrument()
    assert count("llmmetrics_internal_errors_total", where="instrument") == 1
