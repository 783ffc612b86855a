"""boto3's Bedrock clients against a provider on loopback, and their four operations."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3", reason="needs boto3: pip install boto3")

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
MESSAGES = [{"role": "user", "content": [{"text": "Say hi."}]}]
BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 10, "messages": []})

# one for all tests: it caches the descriptions of the services, which load slowly
_session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="y", region_name="us-east-1")


def client(url: str, service: str = "bedrock-runtime", **config: Any) -> Any:
    """Make a client of this service for the provider at this address."""
    return _session.client(service, endpoint_url=url, config=boto3.session.Config(**config))


def once(url: str, **config: Any) -> Any:
    """Make a client that does not retry."""
    return client(url, retries={"total_max_attempts": 1}, **config)


ASKS = {
    "converse": {"messages": MESSAGES},
    "converse_stream": {"messages": MESSAGES},
    "invoke_model": {"body": BODY},
    "invoke_model_with_response_stream": {"body": BODY},
}
STREAMS = tuple(name for name in ASKS if "stream" in name)


def ask(made: Any, operation: str, model: str = MODEL) -> Any:
    """Return the answer, with its body unread."""
    return getattr(made, operation)(modelId=model, **ASKS[operation])


def body(answer: Any) -> Any:
    """Return the body of an answer, if it has one."""
    return answer.get("stream") or answer.get("body")


def drain(answer: Any) -> Any:
    """Return the text of the whole answer."""
    found = body(answer)
    return answer if found is None else found.read() if hasattr(found, "read") else list(found)


def patient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace botocore's waits between attempts; yield the list of waits."""
    waits: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))
    return waits
