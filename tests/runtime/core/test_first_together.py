"""A thousand concurrent calls over four faulty backends: each ends in a reply or a typed error, counted exactly."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import httpx
import pytest
from support import SOAK
from support.failover_setup import OK, Backends

import llmmetrics
from llmmetrics import NoBackendAvailable

CALLS = 1000
DEADLINE = 300
SLOW = 60
"""Seconds of the test's clock that a slow answer takes, for all calls at once."""
REASONS = {429: "rate_limit", 401: "auth", 500: "api_error", 503: "api_error", 504: "timeout"}
FAULTS = {"a": (429, 500, 200), "b": (503, 200, 401, 200), "c": (200, 504, "slow"), "d": (200, 500)}


@pytest.mark.parametrize("seed", range(20 if SOAK else 1))
def test_a_thousand_concurrent_calls_end_in_a_reply_or_a_typed_error(seed):
    backends = Backends(names="abcd", UnhealthyThreshold=5, ProbeSeconds=1)
    chance, seen, late, clock = random.Random(seed), Counter(), [], backends.clock

    async def reply(request):
        name = request.url.host[0]
        what = chance.choice(FAULTS[name])
        if what == "slow":
            clock.advance(seconds=SLOW)
            what = 200
        seen[name, what] += 1
        await asyncio.sleep(0)
        return httpx.Response(what, json=OK if what == 200 else {"error": {"message": "no"}})

    async def main():
        client = httpx.AsyncClient(transport=backends.meter.async_transport(httpx.MockTransport(reply)))

        async def one():
            ends = clock.monotonic() + DEADLINE

            async def post(name):
                late.append(clock.monotonic() >= ends)
                url = f"https://{name}.example/v1/chat/completions"
                return (await client.post(url, json={"model": "m", "messages": []})).raise_for_status()

            tries = [(name, lambda name=name: post(name)) for name in chance.sample("abcd", 4)]
            return await llmmetrics.afirst(*tries, meter=backends.meter, deadline=DEADLINE)

        return await asyncio.gather(*(one() for _ in range(CALLS)), return_exceptions=True)

    results = asyncio.run(main())
    lost = [result for result in results if isinstance(result, NoBackendAvailable)]
    replies = [result for result in results if isinstance(result, httpx.Response)]
    assert len(replies) + len(lost) == CALLS
    assert not any(late), "a try began after its deadline"
    assert len(replies) == sum(n for (_, what), n in seen.items() if what == 200)
    # the requests, by backend and status
    statuses, requests = {200: "success", 504: "timeout"}, Counter()
    for (name, what), n in seen.items():
        requests[name, "m", statuses.get(what, "failure")] += n
    assert backends.samples("llm_requests_total") == requests
    assert backends.samples("llm_active_requests") == {}
    # each failed try is one step from its backend, by its reason
    steps, failed = Counter(), Counter()
    for (name, _, reason), n in backends.steps.items():
        steps[name, reason] += n
    for (name, what), n in seen.items():
        if what != 200:
            failed[name, REASONS[what]] += n
    skips = ("unhealthy", "deadline")
    assert {key: n for key, n in steps.items() if key[1] not in skips} == failed
    # and who was lost says the same of each backend
    reasons = Counter(reason for error in lost for reason in error.reasons.values())
    assert sum(reasons.values()) == 4 * len(lost)
    assert sum(n for (_, reason), n in steps.items() if reason == "deadline") == reasons["deadline"]
    assert sum(n for (_, to, _), n in backends.steps.items() if to == "none") >= len(lost)
    assert lost
    assert reasons.keys() <= {*skips, "retry_after", *REASONS.values()}
