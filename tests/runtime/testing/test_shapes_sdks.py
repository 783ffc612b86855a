"""The official SDKs read every shape of answer."""

from __future__ import annotations

import httpx
import pytest
from support.shape_requests import events, post

from llmmetrics.testing import Answer, faults

ANSWER = Answer(
    " one two\n", prompt_tokens=120, completion_tokens=30, cache_read=40, cache_write=10, reasoning=5, model="answered"
)

ASK = [{"role": "user", "content": "count"}]

ASKED = {"stream_options": {"include_usage": True}}


# the official SDKs, on clients of their own


@pytest.fixture
def openai_sdk(provider):
    openai = pytest.importorskip("openai")
    provider.default = ANSWER
    with openai.OpenAI(api_key="x", base_url=f"{provider.url}/v1", max_retries=0) as client:
        yield client


def test_openai_reads_every_format(openai_sdk):
    chat = openai_sdk.chat.completions.create(model="m", messages=ASK).usage
    assert (chat.prompt_tokens, chat.completion_tokens) == (120, 30)
    assert (chat.prompt_tokens_details.cached_tokens, chat.completion_tokens_details.reasoning_tokens) == (40, 5)
    assert openai_sdk.completions.create(model="m", prompt="p").usage.prompt_tokens == 120
    said = list(openai_sdk.completions.create(model="m", prompt="p", stream=True, **ASKED))
    assert "".join(each.choices[0].text for each in said[:-1]) == ANSWER.text
    assert said[-1].usage.completion_tokens == 30
    # no encoding_format: the SDK asks for base64
    assert openai_sdk.embeddings.create(model="m", input="i").data[0].embedding == [0.25, -0.5]
    with openai_sdk.responses.stream(model="m", input="i") as stream:
        stream.until_done()
        made = stream.get_final_response()
    assert (made.output_text, made.usage.input_tokens_details.cached_tokens) == (ANSWER.text, 40)
    assert next(iter(openai_sdk.models.list())).id == "simulated"


def test_openai_raises_an_error_inside_a_200(openai_sdk, provider):
    import openai

    provider.script(faults.ERROR_IN_200, faults.ERROR_IN_200)
    with pytest.raises(openai.APIError, match="error in 200"):
        list(openai_sdk.chat.completions.create(model="m", messages=ASK, stream=True))
    last = list(openai_sdk.responses.create(model="m", input="i", stream=True))[-1]
    assert (last.type, last.response.error.code) == ("response.failed", "server_error")


def test_azure_reads_its_deployment(provider):
    openai = pytest.importorskip("openai")
    provider.script(ANSWER)
    with openai.AzureOpenAI(api_key="x", api_version="v", azure_endpoint=provider.url) as client:
        made = client.chat.completions.create(model="deployed", messages=ASK)
    assert (made.model, made.usage.prompt_tokens) == ("answered", 120)
    assert provider.requests[0].model == "deployed"


@pytest.mark.parametrize("stream", [False, True])
def test_groq_reads_openai_s_shape(provider, stream):
    groq = pytest.importorskip("groq")
    provider.default = ANSWER
    with groq.Groq(api_key="x", base_url=provider.url) as client:
        made = client.chat.completions.create(model="m", messages=ASK, stream=stream)
        said = "".join(c.choices[0].delta.content or "" for c in made) if stream else made.choices[0].message.content
    assert said == ANSWER.text


@pytest.mark.parametrize("stream", [False, True])
def test_mistral_reads_openai_s_shape(provider, stream):
    mistralai = pytest.importorskip("mistralai.client")
    provider.default = ANSWER
    with mistralai.Mistral(api_key="x", server_url=provider.url) as client:
        if stream:
            with client.chat.stream(model="m", messages=ASK) as made:
                assert "".join(event.data.choices[0].delta.content or "" for event in made) == ANSWER.text
        else:
            assert client.chat.complete(model="m", messages=ASK).usage.prompt_tokens == 120


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_reads_cache_writes(provider, stream):
    anthropic = pytest.importorskip("anthropic")
    provider.default = ANSWER
    ask = {"model": "m", "max_tokens": 9, "messages": ASK}
    with anthropic.Anthropic(api_key="x", base_url=provider.url, max_retries=0) as client:
        if stream:
            with client.messages.stream(**ask) as made:
                used = made.get_final_message().usage
            provider.script(faults.ERROR_IN_200)
            with pytest.raises(anthropic.APIStatusError, match="error in 200"):
                list(client.messages.create(**ask, stream=True))
        else:
            used = client.messages.create(**ask).usage
    fields = used.input_tokens, used.cache_read_input_tokens, used.cache_creation_input_tokens, used.output_tokens
    assert fields == (70, 40, 10, 30)


@pytest.mark.parametrize("stream", [False, True])
def test_google_reads_the_cache(provider, stream):
    genai = pytest.importorskip("google.genai")
    provider.default = ANSWER
    with genai.Client(api_key="x", http_options={"base_url": provider.url}) as client:
        if stream:
            used = list(client.models.generate_content_stream(model="m", contents="c"))[-1].usage_metadata
            provider.script(faults.ERROR_IN_200)
            with pytest.raises(genai.errors.APIError, match="error in 200"):
                list(client.models.generate_content_stream(model="m", contents="c"))
        else:
            used = client.models.generate_content(model="m", contents="c").usage_metadata
            provider.script(faults.BAD_KEY)
            with pytest.raises(genai.errors.ClientError) as caught:
                client.models.generate_content(model="m", contents="c")
            assert caught.value.code == 400
    assert (used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count) == (120, 25, 5)
    assert (used.cached_content_token_count, used.total_token_count) == (40, 150)


def test_cohere_reads_an_error_at_the_end_of_a_stream(provider):
    cohere = pytest.importorskip("cohere")
    provider.script(ANSWER, faults.ERROR_IN_200)
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="x", base_url=provider.url, httpx_client=http)
        assert list(client.chat_stream(model="m", messages=ASK))[-1].delta.usage.tokens.input_tokens == 120
        failed = list(client.chat_stream(model="m", messages=ASK))[-1].delta
    assert (failed.finish_reason, failed.error) == ("ERROR", "Simulated fault: error in 200.")


@pytest.mark.parametrize("stream", [False, True])
def test_ollama_reads_generate(provider, stream):
    ollama = pytest.importorskip("ollama")
    provider.default = ANSWER
    client = ollama.Client(host=provider.url)
    made = client.generate(model="m", prompt="p", stream=stream)
    parts = list(made) if stream else [made]
    client._client.close()
    assert "".join(part.response for part in parts) == ANSWER.text
    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (120, 30)


def test_anthropic_reads_a_count(provider):
    anthropic = pytest.importorskip("anthropic")
    provider.default = ANSWER
    with anthropic.Anthropic(api_key="x", base_url=provider.url, max_retries=0) as client:
        assert client.messages.count_tokens(model="m", messages=ASK).input_tokens == 120


def test_anthropic_s_legacy_stream_is_the_text(provider):
    provider.script(ANSWER)
    said = events(post(f"{provider.url}/anthropic/v1/complete", json={"stream": True}))
    assert "".join(each["completion"] for each in said) == ANSWER.text
    assert [each["stop_reason"] for each in said] == [None] * (len(said) - 1) + ["stop_sequence"]


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic_reads_vertex(provider, stream):
    anthropic = pytest.importorskip("anthropic")
    pytest.importorskip("google.auth")
    provider.default = ANSWER
    ask = {"model": "m", "max_tokens": 9, "messages": ASK}
    where = {"region": "l", "project_id": "p", "access_token": "x", "base_url": f"{provider.url}/v1"}
    with anthropic.AnthropicVertex(**where, max_retries=0) as client:
        if stream:
            with client.messages.stream(**ask) as made:
                used = made.get_final_message().usage
            provider.script(faults.ERROR_IN_200)
            with pytest.raises(anthropic.APIStatusError, match="error in 200"):
                list(client.messages.create(**ask, stream=True))
        else:
            used = client.messages.create(**ask).usage
            provider.script(faults.RATE_LIMIT)
            with pytest.raises(anthropic.RateLimitError, match="RESOURCE_EXHAUSTED"):
                client.messages.create(**ask)
    assert (used.input_tokens, used.output_tokens) == (70, 30)
    assert provider.requests[0].stream is stream


def test_google_reads_embeddings_counts_and_interactions(provider):
    genai = pytest.importorskip("google.genai")
    provider.default = ANSWER
    with genai.Client(api_key="x", http_options={"base_url": provider.url}) as client:
        assert client.models.count_tokens(model="m", contents="c").total_tokens == 120
        embedded = client.models.embed_content(model="m", contents=["a", "b"])
        assert embedded.embeddings[0].values == [0.25, -0.5]
        made = client.interactions.create(model="m", input="i")
        assert (made.usage.total_input_tokens, made.usage.total_thought_tokens) == (120, 5)
        *_, last = list(client.interactions.create(model="m", input="i", stream=True))
        assert last.interaction.usage.total_output_tokens == 25


def test_cohere_reads_version_1(provider):
    cohere = pytest.importorskip("cohere")
    provider.default = ANSWER
    with httpx.Client() as http:
        client = cohere.Client(api_key="x", base_url=f"{provider.url}/cohere", httpx_client=http)
        assert client.chat(message="m").meta.tokens.input_tokens == 120
        *said, last = client.chat_stream(message="m")
        assert "".join(each.text for each in said if each.event_type == "text-generation") == ANSWER.text
        assert last.response.meta.cached_tokens == 40
        assert client.generate(prompt="p").generations[0].text == ANSWER.text
        assert list(client.generate_stream(prompt="p"))[-1].response.generations[0].text == ANSWER.text
        assert client.rerank(query="q", documents=["a", "b"], model="m").meta.billed_units.search_units == 1
        assert client.embed(texts=["a", "b"], model="m", input_type="clustering").embeddings == [[0.25, -0.5]] * 2
        assert len(client.tokenize(text="t", model="m", offline=False).tokens) == 120
        provider.script(faults.ERROR_IN_200, faults.ERROR_IN_200)
        assert list(client.chat_stream(message="m"))[-1].finish_reason == "ERROR"
        assert list(client.generate_stream(prompt="p"))[-1].err == "Simulated fault: error in 200."


def test_cohere_reads_embeddings_by_type(provider):
    cohere = pytest.importorskip("cohere")
    provider.default = ANSWER
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key="x", base_url=provider.url, httpx_client=http)
        made = client.embed(texts=["a", "b"], model="m", input_type="clustering", embedding_types=["float"])
    assert (made.embeddings.float_, made.meta.billed_units.input_tokens) == ([[0.25, -0.5]] * 2, 120)


def test_ollama_reads_embeddings(provider):
    ollama = pytest.importorskip("ollama")
    provider.default = ANSWER
    client = ollama.Client(host=provider.url)
    made = client.embed(model="m", input=["a", "b"])
    client._client.close()
    assert (len(made.embeddings), made.prompt_eval_count) == (2, 120)
