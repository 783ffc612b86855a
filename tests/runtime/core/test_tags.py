"""Tags: which calls carry them, what their families count, how many values they keep."""

from __future__ import annotations

import asyncio
import gc
import logging
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

import llmmetrics
from llmmetrics import ConfigError, Meter, tags

URL = "https://api.openai.com/v1/chat/completions"
ANSWER = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


class Tagged:
    """A meter with the keys `tenant` and `feature`, at $1 a completion token: $3 a call."""

    def __init__(self, status=200, *, price=True, **attribution):
        own = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000} if price else {}
        self.registry = CollectorRegistry()
        self.meter = Meter.from_settings(
            {
                "Attribution": {"Keys": ["tenant", "feature"], **attribution},
                "Backends": [{"Name": "b", "ModelName": "m", **own}],
            },
            registry=self.registry,
        )
        transport = httpx.MockTransport(lambda _: httpx.Response(status, json=ANSWER if status == 200 else {}))
        self.client = httpx.Client(transport=self.meter.transport(transport))
        self.async_client = httpx.AsyncClient(transport=self.meter.async_transport(transport))

    def call(self):
        return self.client.post(URL, json={"model": "m", "messages": []})

    async def acall(self):
        return await self.async_client.post(URL, json={"model": "m", "messages": []})

    def samples(self, name="llm_tagged_cost_usd_total"):
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        }

    @property
    def costs(self):
        return {(key, value): cost for (key, value, _), cost in self.samples().items()}


def test_calls_are_counted_by_each_of_their_tags():
    tagged = Tagged()
    tagged.call()
    with tags(tenant="acme", feature="search"):
        tagged.call()
        with tags(tenant="other inc"):
            tagged.call()
        tagged.call()
    tagged.call()
    assert tagged.samples() == {
        ("tenant", "acme", "b"): 6,
        ("feature", "search", "b"): 9,
        ("tenant", "other inc", "b"): 3,
    }
    tokens = tagged.samples("llm_tagged_tokens_total")
    assert tokens["tenant", "acme", "b", "prompt"] == 10
    assert tokens["tenant", "acme", "b", "completion"] == 6
    assert tokens["tenant", "acme", "b", "total"] == 16


def test_the_eight_families_keep_their_labels():
    tagged = Tagged()
    with tags(tenant="acme"):
        tagged.call()
    assert tagged.samples("llm_requests_total")["b", "m", "success"] == 1


def test_only_the_keys_of_the_settings_count():
    tagged = Tagged()
    with tags(user="u1", tenant="acme"):
        tagged.call()
    assert tagged.costs == {("tenant", "acme"): 3}


def test_a_failed_call_costs_nothing_and_an_unknown_price_is_no_zero():
    failed, unpriced = Tagged(status=500), Tagged(price=False)
    with tags(tenant="acme"):
        failed.call()
        unpriced.call()
    assert failed.costs == {("tenant", "acme"): 0}
    assert unpriced.costs == {}
    assert unpriced.samples("llm_tagged_tokens_total")["tenant", "acme", "b", "prompt"] == 5


def test_values_after_the_first_are_other():
    tagged = Tagged(MaxValues=3)
    for number in range(10):
        with tags(tenant=f"t{number}"):
            tagged.call()
    assert tagged.costs == {("tenant", "t0"): 3, ("tenant", "t1"): 3, ("tenant", "t2"): 3, ("tenant", "other"): 21}


def test_a_long_value_is_cut_and_still_itself():
    tagged = Tagged()
    for end in "xy":
        with tags(tenant="a" * 10_000 + end):
            tagged.call()
    values = [value for _, value in tagged.costs]
    assert [len(value) for value in values] == [200, 200]
    assert len(set(values)) == 2


@pytest.mark.parametrize("value", ["a\ud800", "a\x1b[31m", "a\nb", "a\x00"])
def test_a_value_that_cannot_be_printed_is_shown_with_a_hash(value):
    tagged = Tagged()
    with tags(tenant=value):
        tagged.call()
    with tags(tenant=f"{value} "):
        tagged.call()
    shown = [value for _, value in tagged.costs]
    assert len(set(shown)) == 2
    assert all(each.isprintable() and each.startswith("a?") for each in shown)
    assert shown[0].encode() in generate_latest(tagged.registry)


def test_an_empty_value_is_no_tag():
    tagged = Tagged()
    with tags(tenant="acme"), tags(tenant=""):
        tagged.call()
    assert tagged.costs == {}


def test_a_key_that_is_not_in_the_settings_is_logged_once(caplog):
    tagged = Tagged()
    for _ in range(3):
        with tags(tennant="acme", tenant="acme"):
            tagged.call()
    (line,) = [record.message for record in caplog.records if "tennant" in record.message]
    assert "Attribution.Keys" in line
    assert tagged.samples("llmmetrics_ignored_tags_total") == {(): 3}


def test_keys_that_come_from_data_do_not_fill_the_log(caplog):
    tagged = Tagged()
    for number in range(100):
        with tags(**{f"k{number}": "x"}):
            tagged.call()
    assert len([record for record in caplog.records if "Attribution.Keys" in record.message]) == 10


def test_hashed_values_are_in_no_metric_and_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    tagged = Tagged(Hash=True)
    with tags(tenant="secret-tenant"):
        tagged.call()
    ((_, value),) = tagged.costs
    assert len(value) == 16
    assert "secret-tenant" not in value + caplog.text


@pytest.mark.parametrize("value", [5, None, b"acme", ["a"]])
def test_a_value_that_is_no_text_is_a_configuration_error(value):
    with pytest.raises(ConfigError, match="should be text"):
        tags(tenant=value)


@pytest.mark.parametrize("keys", [["a-b"], ["1a"], [""]])
def test_a_key_that_no_argument_can_have_is_a_configuration_error(keys):
    with pytest.raises(ConfigError, match="Keys"):
        Meter.from_settings({"Attribution": {"Keys": keys}}, registry=CollectorRegistry())


def test_what_cannot_be_decorated_or_read_is_a_configuration_error():
    with pytest.raises(ConfigError, match="cannot be decorated"):
        tags(tenant="a")(5)
    for middleware in (llmmetrics.AsgiTags, llmmetrics.WsgiTags):
        with pytest.raises(ConfigError, match="tenant=5: pass the name of a request header"):
            middleware(None, tenant=5)


# which calls


def test_a_decorated_function_tags_its_calls():
    tagged = Tagged()

    @tags(tenant="plain")
    def plain():
        tagged.call()

    @tags(tenant="coroutine")
    async def coroutine():
        await tagged.acall()

    @tags(tenant="generator")
    def generator():
        tagged.call()
        got = yield 1
        tagged.call()
        return got

    @tags(tenant="async generator")
    async def async_generator():
        await tagged.acall()
        yield 1
        await tagged.acall()

    async def main():
        await coroutine()
        async for _ in async_generator():
            await tagged.acall()

    plain()
    asyncio.run(main())
    steps = generator()
    assert next(steps) == 1
    tagged.call()
    with pytest.raises(StopIteration) as stop:
        steps.send("got")
    assert stop.value.value == "got"
    assert tagged.costs == {
        ("tenant", "plain"): 3,
        ("tenant", "coroutine"): 3,
        ("tenant", "generator"): 6,
        ("tenant", "async generator"): 6,
    }


def test_a_generator_that_is_dropped_leaves_no_tag_behind():
    tagged = Tagged()

    def steps():
        with tags(tenant="acme"):
            yield

    dropped = steps()
    next(dropped)
    del dropped
    gc.collect()
    tagged.call()
    assert tagged.costs == {}


def test_tasks_and_to_thread_inherit_and_executors_do_not():
    tagged = Tagged()

    async def main():
        with tags(tenant="acme"):
            await asyncio.gather(tagged.acall(), tagged.acall())
            await asyncio.to_thread(tagged.call)
            with ThreadPoolExecutor() as pool:
                await asyncio.get_running_loop().run_in_executor(pool, tagged.call)

    asyncio.run(main())
    assert tagged.costs == {("tenant", "acme"): 9}


def test_one_scope_in_many_tasks_at_once():
    tagged = Tagged()
    scope = tags(tenant="acme")

    async def one():
        with scope:
            await asyncio.sleep(0)
            await tagged.acall()
        await tagged.acall()

    async def main():
        await asyncio.gather(*(one() for _ in range(5)))

    asyncio.run(main())
    assert tagged.costs == {("tenant", "acme"): 15}


def test_a_stream_that_is_read_later_keeps_its_tags():
    tagged = Tagged()
    asked = tagged.client.stream("POST", URL, json={"model": "m", "messages": []})
    with tags(tenant="acme"), asked as response, tags(tenant="later"):
        response.read()
    assert tagged.costs == {("tenant", "acme"): 3}


# middleware


def test_asgi_middleware_tags_each_request():
    tagged = Tagged()

    async def app(scope, receive, send):
        await tagged.acall()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    app = llmmetrics.AsgiTags(app, tenant="X-Tenant", feature=lambda scope: scope["path"].strip("/") or None)

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            await client.get("/chat", headers={"x-tenant": "acme"})
            await client.get("/", headers={"x-tenant": "b"})
            await client.get("/")

    asyncio.run(main())
    assert tagged.costs == {("tenant", "acme"): 3, ("feature", "chat"): 3, ("tenant", "b"): 3}


def test_wsgi_middleware_tags_each_request_while_its_answer_is_made_too():
    tagged = Tagged()

    def app(environ, start_response):
        tagged.call()
        start_response("200 OK", [])
        yield b"a"
        tagged.call()
        yield b"b"

    app = llmmetrics.WsgiTags(app, tenant="x-tenant", feature=lambda environ: environ["PATH_INFO"].strip("/"))
    with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://test") as client:
        assert client.get("/chat", headers={"x-tenant": "acme"}).content == b"ab"
        client.get("/")
    assert tagged.costs == {("tenant", "acme"): 6, ("feature", "chat"): 6}
