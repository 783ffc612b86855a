"""OpenAI's usual usage is read by a fast path, which says the same as the slow one."""

from __future__ import annotations

from random import Random

from llmmetrics.wire import openai
from llmmetrics.wire.format import MalformedUsageError

COUNTS = (0, 0, 1, 5, 20, 100, 10**9 - 1, 10**9, -1, 1.5, 5.0, True, None, "3", [], {})
ODD = (None, "x", [], {}, 0)


def details(random, names):
    if random.random() < 0.1:
        return random.choice(ODD)
    few = (0, 0, 0, 0, 0, 2) if random.random() < 0.9 else COUNTS
    return {name: random.choice(few) for name in names if random.random() < 0.9}


def made(random):
    prompt, completion = random.choice(COUNTS[2:7]), random.choice(COUNTS[2:7])
    if random.random() < 0.2:
        prompt, completion = random.choice(COUNTS), random.choice(COUNTS)
    numbers = type(prompt) in (int, float) and type(completion) in (int, float)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if numbers and random.random() < 0.9 else random.choice(COUNTS),
        "prompt_tokens_details": details(random, ("cached_tokens", "audio_tokens", "cache_write_tokens")),
        "completion_tokens_details": details(
            random, ("reasoning_tokens", "audio_tokens", "image_tokens", "accepted_prediction_tokens")
        ),
    }


def test_the_fast_path_says_what_the_slow_one_says():
    random, quick = Random(22), 0
    for _ in range(10_000):
        usage = made(random)
        fast = openai._usual(usage)
        if fast is None:
            continue
        quick += 1
        try:
            slow = openai.tokens(usage)
        except MalformedUsageError:
            slow = None
        assert (fast, [*map(type, fast)]) == (slow, [*map(type, slow or ())]), usage
    assert quick > 500


def test_a_null_instead_of_details_is_no_exception():
    usage = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
    with_null = {**usage, "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": None}
    assert openai.read({"usage": with_null}).usage.buckets == {"input": 2, "cache_read": 3, "output": 5}
