"""The simulated provider answers later, as the official SDKs ask for it; a meter counts each answer once."""

from __future__ import annotations

import asyncio
import io
import json

import pytest
from prometheus_client import CollectorRegistry
from support.samples import samples

from llmmetrics import Meter
from llmmetrics.testing import Answer, serve

ANSWER = Answer(prompt_tokens=1000, completion_tokens=500)
CHAT = {"max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


class Setup:
    def __init__(self, url):
        self.url = url
        self.registry = CollectorRegistry()
        types = {"openai": "OpenAI", "anthropic": "Anthropic", "gemini": "Gemini", "generic": "GenericOpenAI"}
        # longer paths first: each SDK has one of its own
        backends = [{"Name": name, "Type": type, "BaseUrl": f"{url}/{name}"} for name, type in types.items()]
        self.meter = Meter.from_settings({"Backends": backends}, registry=self.registry)

    def wrap(self, client):
        return self.meter.wrap(client)

    def value(self, name, **labels):
        return sum(samples(self.registry, name, **labels))

    def counted(self, backend):
        """Requests, total tokens, pending answers."""
        tokens = self.value("llm_tokens_total", token_type="total", backend=backend)
        pending = self.value("llmmetrics_pending_answers", backend=backend)
        return self.value("llm_requests_total", backend=backend), tokens, pending


@pytest.fixture
def setup():
    with serve(ANSWER) as provider:
        setup = Setup(provider.url)
        yield setup
        setup.meter.close()


@pytest.fixture
def openai_client(setup):
    openai = pytest.importorskip("openai")
    return setup.wrap(openai.OpenAI(base_url=f"{setup.url}/openai/v1", api_key="x", max_retries=0))


def rows(n, model):
    url = "/v1/chat/completions"
    return "".join(
        json.dumps({"custom_id": f"r{i}", "method": "POST", "url": url, "body": {"model": model, **CHAT}}) + "\n"
        for i in range(n)
    ).encode()


def test_openai_in_the_background(setup, openai_client):
    asked = openai_client.responses.create(model="gpt-5", input="hi", background=True)
    assert (asked.status, asked.usage) == ("queued", None)
    assert setup.counted("openai") == (1, 0, 1)
    done = openai_client.responses.retrieve(asked.id)
    assert (done.id, done.status, done.output_text) == (asked.id, "completed", ANSWER.text)
    assert setup.counted("openai") == (1, 1500, 0)


def test_openai_async(setup):
    openai = pytest.importorskip("openai")

    async def ask():
        client = setup.wrap(openai.AsyncOpenAI(base_url=f"{setup.url}/openai/v1", api_key="x", max_retries=0))
        asked = await client.responses.create(model="gpt-5", input="hi", background=True)
        await client.responses.retrieve(asked.id)
        await client.close()

    asyncio.run(ask())
    assert setup.counted("openai") == (1, 1500, 0)


def test_openai_cancels(setup, openai_client):
    asked = openai_client.responses.create(model="gpt-5", input="hi", background=True)
    assert openai_client.responses.cancel(asked.id).status == "cancelled"
    assert openai_client.responses.retrieve(asked.id).status == "cancelled"
    assert setup.counted("openai") == (1, 0, 0)
    assert setup.value("llmmetrics_answers_total", outcome="cancelled") == 1


def test_openai_resumes_a_stream(setup, openai_client):
    stream = openai_client.responses.create(model="gpt-5", input="hi", background=True, stream=True)
    first = [next(stream) for _ in range(4)]
    stream.close()
    assert setup.counted("openai") == (1, 0, 1)
    id, seen = first[0].response.id, first[-1].sequence_number
    rest = list(openai_client.responses.retrieve(id, stream=True, starting_after=seen))
    assert (rest[0].sequence_number, rest[-1].type) == (seen + 1, "response.completed")
    assert setup.counted("openai") == (1, 1500, 0)


def test_openai_runs(setup, openai_client):
    run = openai_client.beta.threads.runs.create(thread_id="t", assistant_id="a", model="gpt-5")
    assert (run.status, run.usage) == ("queued", None)
    done = openai_client.beta.threads.runs.retrieve(run.id, thread_id="t")
    assert (done.status, done.usage.total_tokens) == ("completed", 1500)
    assert setup.counted("openai") == (1, 1500, 0)


def batch_of(client, model):
    file = client.files.create(file=("x.jsonl", io.BytesIO(rows(3, model))), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.status == "validating"
    batch = client.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 3)
    return batch.output_file_id


def test_openai_batches(setup, openai_client):
    file = batch_of(openai_client, "gpt-5")
    assert setup.counted("openai") == (1, 0, 1)
    assert len(openai_client.files.content(file).text.splitlines()) == 3
    assert setup.counted("openai") == (1, 4500, 0)
    half = 3 * (1000 * 1.25e-6 + 500 * 10e-6) / 2
    assert setup.value("llm_estimated_cost_usd", backend="openai") == pytest.approx(half)


def test_groq_batches(setup):
    groq = pytest.importorskip("groq")
    client = setup.wrap(groq.Groq(base_url=f"{setup.url}/generic/groq", api_key="x", max_retries=0))
    assert len(client.files.content(batch_of(client, "llama-3.3-70b-versatile")).text().splitlines()) == 3
    assert setup.counted("generic") == (1, 4500, 0)


def test_anthropic_batches(setup):
    anthropic = pytest.importorskip("anthropic")
    client = setup.wrap(anthropic.Anthropic(base_url=f"{setup.url}/anthropic", api_key="x", max_retries=0))
    requests = [{"custom_id": f"r{n}", "params": {"model": "claude-sonnet-4-5", **CHAT}} for n in range(3)]
    batch = client.messages.batches.create(requests=requests)
    assert batch.processing_status == "in_progress"
    assert client.messages.batches.retrieve(batch.id).processing_status == "ended"
    for _ in range(2):
        assert [each.custom_id for each in client.messages.batches.results(batch.id)] == ["r0", "r1", "r2"]
    assert setup.counted("anthropic") == (1, 4500, 0)
    half = 3 * (1000 * 3e-6 + 500 * 15e-6) / 2
    assert setup.value("llm_estimated_cost_usd", backend="anthropic") == pytest.approx(half)


def test_mistral_batches(setup):
    mistral = pytest.importorskip("mistralai.client")
    client = setup.wrap(mistral.Mistral(server_url=f"{setup.url}/generic/mistral", api_key="x"))
    file = client.files.upload(file={"file_name": "x", "content": rows(3, "mistral-small-latest")}, purpose="batch")
    model = "mistral-small-latest"
    job = client.batch.jobs.create(input_files=[file.id], endpoint="/v1/chat/completions", model=model)
    assert job.status == "QUEUED"
    job = client.batch.jobs.get(job_id=job.id)
    assert job.status == "SUCCESS"
    client.files.download(file_id=job.output_file).read()
    assert setup.counted("generic") == (1, 4500, 0)
    assert setup.value("llm_tokens_total", model=model, token_type="total") == 4500


def test_gemini(setup):
    genai = pytest.importorskip("google.genai")
    client = setup.wrap(genai.Client(api_key="x", http_options={"base_url": f"{setup.url}/gemini"}))
    source = [{"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}] * 3
    batch = client.batches.create(model="gemini-2.5-flash", src=source)
    assert batch.state.name == "JOB_STATE_PENDING"
    batch = client.batches.get(name=batch.name)
    assert (batch.state.name, len(batch.dest.inlined_responses)) == ("JOB_STATE_SUCCEEDED", 3)
    client.batches.get(name=batch.name)
    assert setup.counted("gemini") == (1, 4500, 0)
    asked = client.interactions.create(model="gemini-2.5-flash", input="hi", background=True)
    assert asked.status == "in_progress"
    assert client.interactions.get(id=asked.id).status == "completed"
    assert setup.counted("gemini") == (2, 6000, 0)
