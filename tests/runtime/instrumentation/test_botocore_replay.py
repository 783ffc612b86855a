"""Recorded Bedrock traffic through boto3 says what `read_exchange` says of it."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import pytest
from botocore.httpsession import URLLib3Session
from prometheus_client import CollectorRegistry
from support.bedrock import ask, drain, once

from llmmetrics import Meter, read_exchange
from llmmetrics.testing import Reply, observe, serve
from llmmetrics.wire.framing import eventstream

OPERATIONS = {
    "converse": "converse",
    "converse-stream": "converse_stream",
    "invoke": "invoke_model",
    "invoke-with-response-stream": "invoke_model_with_response_stream",
}
_CALL = re.compile(r"/model/(.+)/([\w-]+)$")


@pytest.fixture(scope="module")
def recorded(corpus):
    """Each call of the runtime's, with the model and the operation that boto3 has for it."""
    found = []
    for row in corpus:
        call = _CALL.search(urlsplit(row["url"]).path)
        if "bedrock-runtime" in row["url"] and call and call[2] in OPERATIONS:
            found.append((row, unquote(call[1]), OPERATIONS[call[2]]))
    assert len(found) > 100
    return found


class Plain(URLLib3Session):
    """Asks the provider on loopback, as a proxy, for what is asked for by TLS: the host is what a price is known by."""

    def send(self, request):
        request.url = request.url.replace("https:", "http:", 1)
        return super().send(request)


def pieces(row):
    """A body as Bedrock sends it: a stream an event at a time."""
    whole = row["response_body"]
    return tuple(eventstream.split(whole)[0]) if eventstream.is_eventstream(whole) else (whole,)


# what botocore leaves open after a failure is its own business
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_recorded_calls(recorded):
    current, records, framing = {}, [], ("content-length", "transfer-encoding")

    def answer(_):
        headers = tuple((name, value) for name, value in current["response_headers"] if name.lower() not in framing)
        chunks = pieces(current)
        return Reply(current["status"], headers, chunks, stream=len(chunks) > 1)

    meter = Meter(registry=CollectorRegistry())
    with serve(answering=answer) as provider, observe(records.append):
        clients = {}
        for row, model, operation in recorded:
            current.update(row)
            url = urlsplit(row["url"])
            host = f"{url.scheme}://{url.netloc}"
            if host not in clients:
                clients[host] = once(host, proxies={"http": provider.url})
                clients[host]._endpoint.http_session.__class__ = Plain
                meter.wrap(clients[host])
            # botocore cannot read everything that has been recorded
            with suppress(Exception):
                drain(ask(clients[host], operation, model))
            meter.engine.flush()
            same(row, model, records.pop())
        for each in clients.values():
            each.close()
    assert not records


def same(row, model, record):
    names = ("method", "url", "request_body", "status", "response_headers", "response_body")
    expected = read_exchange(request_headers=[], **{name: row[name] for name in names})
    assert (record.model, record.provider, record.api) == (model, expected.provider, expected.api)
    assert (record.error_type, record.http_status) == (expected.error_type, row["status"]), row["id"]
    if row["status"] < 400:
        assert record.model_responded == expected.model_responded, row["id"]
        assert record.usage_known == (expected.usage is not None), row["id"]
        if expected.usage is not None:
            assert (record.usage, record.cost_usd) == (expected.usage, expected.cost_usd), row["id"]
