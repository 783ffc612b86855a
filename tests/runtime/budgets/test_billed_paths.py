"""A budget and what is billed without text: a spent one refuses it, an unknown price is `OnUnknownPrice`'s."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from support.budget_setup import Setup

from llmmetrics.errors import BudgetExceeded

BASE = "https://api.openai.com/v1"
IMAGE = {"model": "gpt-image-2", "prompt": "cat"}
DREW = {"input_tokens": 50, "input_tokens_details": {"text_tokens": 50}, "output_tokens": 4160}
HEARD = {"text": "hi", "usage": {"type": "duration", "seconds": 60}}
FILE = {"file": ("a.mp3", b"x" * 30_000)}

# of each kind of billing: the path, and what httpx sends
BILLED = {
    "image": ("/images/generations", {"json": IMAGE}),
    "edited image": (
        "/images/edits",
        {"data": {"model": "gpt-image-2", "prompt": "c"}, "files": {"image": ("a", b"x")}},
    ),
    "image by piece": ("/images/generations", {"json": {"model": "dall-e-2", "prompt": "cat"}}),
    "transcription": ("/audio/transcriptions", {"data": {"model": "whisper-1"}, "files": FILE}),
    "speech": ("/audio/speech", {"json": {"model": "tts-1", "input": "hi"}}),
    "speech with a usage": (
        "/audio/speech",
        {"json": {"model": "gpt-4o-mini-tts", "input": "hi", "stream_format": "sse"}},
    ),
    "film": ("/videos", {"json": {"model": "sora-2", "prompt": "cat", "seconds": "4", "size": "1280x720"}}),
    "decision": ("/decisions", {"json": {"model": "gpt-6-luna", "input": "i", "questions": []}}),
}
JOBS = {
    "fine-tuning": ("/fine_tuning/jobs", {"json": {"model": "gpt-4o-mini", "training_file": "f"}}),
    "run of an evaluation": ("/evals/e/runs", {"json": {"name": "n"}}),
    "call over WebRTC": ("/realtime/calls", {"content": b"v=0"}),
    "speech of a model without such a price": ("/audio/speech", {"json": {"model": "gpt-4o-mini-tts", "input": "hi"}}),
    "image without a price": ("/images/generations", {"json": {"model": "dall-e-9", "prompt": "cat"}}),
}
FREE = [
    "/files",
    "/moderations",
    "/vector_stores",
    "/fine_tuning/jobs/j/cancel",
    "/uploads/u/parts",
    "/threads/t/messages",
]


def answered(request):
    path = request.url.path
    if path.endswith("/images/generations") and json.loads(request.content)["model"] == "gpt-image-2":
        return httpx.Response(200, json={"data": [{"b64_json": "x"}], "usage": DREW})
    if path.endswith("/transcriptions"):
        return httpx.Response(200, json=HEARD)
    if path.endswith("/chat/completions"):
        return httpx.Response(
            200, json={"model": "gpt-4o", "usage": {"prompt_tokens": 400_000, "completion_tokens": 0}}
        )
    return httpx.Response(200, json={"id": "x", "data": [{"url": "x"}]})


@pytest.fixture
def made():
    setups = []

    def setup(limit, **budget):
        catalogued = {"Type": "OpenAI", "BaseUrl": BASE, "ModelName": None, "CostPerMillionInputTokens": None}
        backend = {**catalogued, "CostPerMillionOutputTokens": None}
        setups.append(Setup(limit, answer=answered, backend=backend, **budget))
        return setups[-1]

    yield setup
    for each in setups:
        each.meter.close()


def post(setup, path, sent):
    return setup.client.post(BASE + path, **sent)


@pytest.mark.parametrize("mode", ["documented", "strict"])
@pytest.mark.parametrize("name", BILLED)
def test_a_spent_budget_refuses_everything_that_is_billed(made, name, mode):
    setup = made("1", Mode=mode, OnUnknownPrice="warn")
    chat = {"json": {"model": "gpt-4o", "messages": [], "max_tokens": 1}}
    post(setup, "/chat/completions", chat)
    path, sent = BILLED[name]
    with pytest.raises(BudgetExceeded) as refused:
        post(setup, path, sent)
    assert refused.value.reason == "limit"
    assert [each.url.path for each in setup.sent] == ["/v1/chat/completions"]


@pytest.mark.parametrize("name", [*BILLED, *JOBS])
@pytest.mark.parametrize("mode", ["documented", "strict"])
def test_what_has_no_known_price_is_refused_by_default(made, name, mode):
    setup = made("1000", Mode=mode)
    path, sent = (BILLED | JOBS)[name]
    if name in BILLED:
        assert post(setup, path, sent).status_code == 200
        return
    with pytest.raises(BudgetExceeded) as refused:
        post(setup, path, sent)
    assert refused.value.reason == "unknown_price"
    assert not setup.sent


@pytest.mark.parametrize("name", JOBS)
def test_or_passes_is_counted_and_said_once_a_path(made, name, caplog):
    setup = made("1000", OnUnknownPrice="warn")
    path, sent = JOBS[name]
    with caplog.at_level(logging.WARNING, "llmmetrics"):
        for _ in range(3):
            assert post(setup, path, sent).status_code == 200
    assert setup.value("llm_requests_total", backend="b", status="success") == 3
    assert setup.value("llmmetrics_calls_without_price_total", backend="b") == 3
    assert setup.value("llm_tokens_total", backend="b") == 0
    assert setup.value("llm_estimated_cost_usd", backend="b") is None
    said = [each for each in caplog.messages if "count no cost" in each]
    assert len(said) == 1
    assert path in said[0] or sent["json"]["model"] in said[0]


@pytest.mark.parametrize("path", FREE)
def test_what_is_free_is_never_refused(made, path):
    setup = made("0.000001")
    post(setup, "/chat/completions", {"json": {"model": "gpt-4o", "messages": []}})
    assert post(setup, path, {"json": {}}).status_code == 200
    assert setup.value("llmmetrics_unmetered_requests_total", backend="b") == 1
    assert setup.value("llm_requests_total", backend="b") == 1


def test_a_form_of_unknown_length_is_bounded_by_the_largest_upload(made):
    """Nothing says how long the sound is, so that a strict budget does not let it pass."""
    setup = made("100", Mode="strict")
    request = setup.client.build_request(
        "POST", BASE + "/audio/transcriptions", data={"model": "whisper-1"}, files=FILE
    )
    del request.headers["content-length"]
    with pytest.raises(BudgetExceeded) as refused:
        setup.client.send(request)
    assert refused.value.could_cost > 100


def test_a_sound_that_is_elsewhere_is_bounded_like_it(made):
    setup = made("100", Mode="strict")
    with pytest.raises(BudgetExceeded) as refused:
        post(setup, "/audio/transcriptions", {"json": {"model": "whisper-1", "url": "https://files.example/a.mp3"}})
    assert refused.value.could_cost > 100


def test_an_image_model_of_another_name_is_priced_by_what_its_backend_says():
    """On a gateway: by token, or by image."""
    for own, answer in (
        ({}, {"data": [], "usage": DREW}),
        ({"CostPerThousandImages": 40}, {"data": []}),
    ):
        gateway = {"Type": "GenericOpenAI", "BaseUrl": "https://gateway.example/v1", "ModelName": None, **own}
        tokens = {"CostPerMillionInputTokens": 5, "CostPerMillionOutputTokens": 30}
        setup = Setup(
            "10", answer=lambda _, a=answer: httpx.Response(200, json=a), backend=tokens | gateway, Mode="strict"
        )
        asked = {"model": "painter", "prompt": "cat"}
        assert setup.client.post("https://gateway.example/v1/images/generations", json=asked).status_code == 200
        assert setup.value("llm_estimated_cost_usd") == pytest.approx(0.04 if own else 0.12505)
        setup.meter.close()


def test_a_body_that_cannot_be_looked_at_is_bounded_like_it():
    own = {"Type": "OpenAI", "BaseUrl": BASE, "ModelName": None, "CostPerAudioHour": "0.36"}
    setup = Setup("100", answer=answered, backend=own, Mode="strict")
    with pytest.raises(BudgetExceeded) as refused:
        setup.client.post(BASE + "/audio/transcriptions", content=iter([b"--b", b"--"]))
    assert refused.value.could_cost > 100
    setup.meter.close()


def test_a_strict_budget_holds_over_images_and_transcriptions(made):
    """The bill is what went out: 60 seconds are $0.006, an image is $0.12505. The worst cases are more."""
    setup = made("2", Mode="strict")

    def ask(n):
        path, sent = BILLED["transcription" if n % 2 else "image"]
        try:
            post(setup, path, sent)
        except BudgetExceeded:
            return 0
        return 6_000 if n % 2 else 125_050

    with ThreadPoolExecutor(4) as pool:
        bill = sum(pool.map(ask, range(80)))
    assert 1_400_000 < bill <= 2_000_000
    assert setup.value("llm_estimated_cost_usd", backend="b") == pytest.approx(bill / 10**6)
    assert setup.value("llm_backend_budget_usd", limit_type="current") == pytest.approx(bill / 10**6)
