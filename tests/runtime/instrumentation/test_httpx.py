"""The doors: both families, wrong hands, every encoding, and answers of any size."""

from __future__ import annotations

import httpx
import httpx2
import pytest
from prometheus_client import CollectorRegistry
from support import alone

from llmmetrics import ConfigError, Meter

FAMILIES = pytest.mark.parametrize("lib", [httpx, httpx2], ids=["httpx", "httpx2"])

URL = "https://api.openai.com/v1/chat/completions"

BODY = {
    "model": "m-1",
    "choices": [{"message": {"content": "hi"}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}


@pytest.fixture
def meter(registry):
    return Meter(registry=registry)


# families


@FAMILIES
def test_the_family_is_the_inner_transports(meter, lib):
    assert isinstance(meter.transport(lib.HTTPTransport()), lib.BaseTransport)
    assert isinstance(meter.async_transport(lib.AsyncHTTPTransport()), lib.AsyncBaseTransport)
    assert isinstance(meter.transport(family=lib.__name__), lib.BaseTransport)
    assert isinstance(meter.async_transport(family=lib.__name__), lib.AsyncBaseTransport)


def test_without_an_inner_one_it_is_httpx2(meter):
    assert isinstance(meter.transport(), httpx2.BaseTransport)
    assert isinstance(meter.async_transport(), httpx2.AsyncBaseTransport)


def test_classes_that_a_library_has_renamed_are_known():
    """openai puts its own name on httpx2's classes."""
    pytest.importorskip("openai")
    code = """
import openai, httpx2
from llmmetrics import Meter
class Mine(httpx2.BaseTransport):
    def handle_request(self, request): return httpx2.Response(200)
assert 'openai' in {each.__module__ for each in Mine.__mro__}
Meter().transport(Mine())
"""
    alone(code)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m.transport(httpx.AsyncHTTPTransport()), "is async: pass it to meter.async_transport"),
        (lambda m: m.async_transport(httpx2.HTTPTransport()), "is sync: pass it to meter.transport"),
        (lambda m: m.transport(object()), "is not a transport of httpx or httpx2"),
        (lambda m: m.transport(httpx.Client()), "is a client, not a transport"),
        (lambda m: m.transport(family="requests"), "family='requests' is unknown: use 'httpx2' or 'httpx'"),
        (lambda m: m.transport(backend="nope"), "backend='nope' is not configured"),
    ],
)
def test_what_is_no_transport_is_told_so(meter, make, message):
    with pytest.raises(ConfigError, match=message.replace("(", "\\(")):
        make(meter)


@pytest.mark.parametrize(("made", "used"), [("httpx", httpx2), ("httpx2", httpx)])
def test_a_transport_in_a_client_of_the_other_family(meter, made, used, caplog):
    client = used.Client(transport=meter.transport(family=made))
    with pytest.raises(
        ConfigError, match=f'for {made}, and a client of {used.__name__} uses it.*family="{used.__name__}"'
    ) as refused:
        client.post(URL, json={})
    # an SDK hides the error
    assert caplog.messages == [str(refused.value)]


@FAMILIES
def test_an_async_transport_in_a_sync_client(meter, lib, caplog):
    with pytest.raises(ConfigError, match=r"make it with meter\.transport\(\)"):
        lib.Client(transport=meter.async_transport(family=lib.__name__)).post(URL, json={})
    assert "sync client" in caplog.text


def test_each_misuse_is_logged_once(meter, caplog):
    for _ in range(2):
        for client in (httpx.Client(transport=meter.transport()), httpx2.Client(transport=meter.async_transport())):
            with pytest.raises(ConfigError):
                client.post(URL, json={})
    assert len(caplog.messages) == len({*caplog.messages}) == 2


@FAMILIES
@pytest.mark.anyio
async def test_a_sync_transport_in_an_async_client(meter, lib, caplog):
    with pytest.raises(ConfigError, match=r"make it with meter\.async_transport\(\)"):
        await lib.AsyncClient(transport=meter.transport(family=lib.__name__)).post(URL, json={})
    assert "async client" in caplog.text


@FAMILIES
def test_entering_and_leaving_reaches_the_inner_transport(meter, lib):
    seen = []

    class Inner(lib.BaseTransport):
        def handle_request(self, request):
            raise NotImplementedError

        def __enter__(self):
            seen.append("enter")
            return self

        def __exit__(self, *exc):
            seen.append("exit")

        def close(self):
            seen.append("close")

    with lib.Client(transport=meter.transport(Inner())):
        pass
    lib.Client(transport=meter.transport(Inner())).close()
    assert seen == ["enter", "exit", "close"]


def test_importing_llmmetrics_is_light():
    code = """
import sys, llmmetrics
heavy = {'httpx', 'httpx2', 'genai_prices', 'redis', 'rich', 'sqlite3', 'pytest', 'anyio', 'fcntl'}
print(sorted(heavy & set(sys.modules)))
"""
    assert alone(code).strip() == "[]"


def test_meters_do_not_mix():
    one, two = CollectorRegistry(), CollectorRegistry()
    inner = Meter(registry=two).transport(httpx.MockTransport(lambda request: httpx.Response(200, json=BODY)))
    httpx.Client(transport=inner).post(URL, json={"model": "m"})
    Meter(registry=one)
    counted = {sample.name for family in one.collect() for sample in family.samples if sample.value}
    assert counted == {"llmmetrics_price_catalog_info"}


# what an SDK says of its attempts


@FAMILIES
@pytest.mark.parametrize(
    ("name", "value", "retries"),
    [
        ("x-stainless-retry-count", "0", 0),
        ("X-Stainless-Retry-Count", "2", 1),
        ("amz-sdk-request", "attempt=1; max=3", 0),
        ("amz-sdk-request", "attempt=2; max=3", 1),
        # with the answer's clock botocore says until when an attempt is worth it
        ("amz-sdk-request", "ttl=20261127T042352Z; attempt=1; max=3", 0),
        ("amz-sdk-request", "ttl=20261127T042352Z; attempt=2; max=3", 1),
    ],
)
def test_the_sdks_headers_tell_a_retry(meter, lib, count, name, value, retries):
    inner = lib.MockTransport(lambda _: lib.Response(200, json=BODY))
    with lib.Client(transport=meter.transport(inner)) as client:
        client.post(URL, json={"model": "m-1"}, headers={name: value})
    assert count("llmmetrics_retries_total") == retries
