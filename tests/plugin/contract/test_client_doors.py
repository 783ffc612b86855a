"""Clients of requests, urllib3, boto3, aiohttp and aiobotocore: a good one passes the contract, a bad one does not."""

from __future__ import annotations

import re
import time

import pytest
from support import SOAK

from pytest_llmmetrics.contract import LlmClientContract

pytest_plugins = ["pytester"]
KEY = "sk-contract-0123456789abcdef"
URL = "https://api.openai.com/v1/chat/completions"
GPT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello to the contract."}]}
STREAM = {**GPT, "stream": True, "stream_options": {"include_usage": True}}
HEADERS = {"authorization": f"Bearer {KEY}"}
BEDROCK = {
    "modelId": "anthropic.claude-3-haiku-20240307-v1:0",
    "messages": [{"role": "user", "content": [{"text": "Hi."}]}],
}
AWS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "y" * 40, "region_name": "us-east-1"}


class TestRequests(LlmClientContract):
    __test__ = SOAK
    deadline = 60.0

    def call(self):
        requests = pytest.importorskip("requests")
        with requests.Session() as session:
            for attempt in range(3):
                try:
                    answer = session.post(URL, json=GPT, headers=HEADERS, timeout=(5, 10))
                    if answer.status_code in (429, 503) and attempt < 2:
                        time.sleep(float(answer.headers.get("retry-after", 1)))
                        continue
                    answer.raise_for_status()
                    return answer.json()["choices"][0]["message"]["content"]
                except (requests.ConnectionError, requests.Timeout):
                    if attempt == 2:
                        raise
        return None

    def stream(self):
        requests = pytest.importorskip("requests")
        with (
            requests.Session() as session,
            session.post(URL, json=STREAM, headers=HEADERS, timeout=10, stream=True) as answer,
        ):
            answer.raise_for_status()
            yield from (line for line in answer.iter_lines(chunk_size=1) if line)


class TestAiohttp(LlmClientContract):
    max_attempts = 1
    deadline = 30.0

    async def call(self):
        aiohttp = pytest.importorskip("aiohttp")
        limit = aiohttp.ClientTimeout(total=20)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(URL, json=GPT, headers=HEADERS) as answer,
        ):
            # aiohttp's own exceptions for a status or a content type show the request's headers
            if answer.status >= 400:
                raise ValueError(answer.status)
            return (await answer.json(content_type=None))["choices"][0]["message"]["content"]

    async def stream(self):
        aiohttp = pytest.importorskip("aiohttp")
        limit = aiohttp.ClientTimeout(total=None, sock_read=5, sock_connect=5)
        async with (
            aiohttp.ClientSession(timeout=limit, raise_for_status=True) as session,
            session.post(URL, json=STREAM, headers=HEADERS) as answer,
        ):
            async for line in answer.content:
                if line.strip():
                    yield line


class TestUrllib3(LlmClientContract):
    __test__ = SOAK
    deadline = 60.0

    def call(self):
        urllib3 = pytest.importorskip("urllib3")
        with urllib3.PoolManager(retries=urllib3.Retry(2, status_forcelist=[429, 503], allowed_methods=None)) as pools:
            answer = pools.request("POST", URL, json=GPT, headers=HEADERS, timeout=5)
            if answer.status >= 400:
                raise ValueError(answer.status)
            return answer.json()["choices"][0]["message"]["content"]


class TestBoto3(LlmClientContract):
    __test__ = SOAK
    # botocore's retries ignore Retry-After
    max_attempts = 1
    deadline = 120.0
    price = ("0.25", "1.25")

    def call(self):
        boto3 = pytest.importorskip("boto3")
        config = pytest.importorskip("botocore.config").Config(
            retries={"total_max_attempts": 1}, read_timeout=10, connect_timeout=5
        )
        client = boto3.Session(**AWS).client("bedrock-runtime", config=config)
        try:
            return client.converse(**BEDROCK)["output"]["message"]["content"][0]["text"]
        finally:
            client.close()


class TestAiobotocore(LlmClientContract):
    __test__ = SOAK
    max_attempts = 1
    deadline = 60.0
    price = ("0.25", "1.25")

    async def call(self):
        session = pytest.importorskip("aiobotocore.session").get_session()
        config = pytest.importorskip("aiobotocore.config").AioConfig(
            retries={"total_max_attempts": 1}, read_timeout=10, connect_timeout=5
        )
        async with session.create_client("bedrock-runtime", config=config, **AWS) as client:
            return (await client.converse(**BEDROCK))["output"]["message"]["content"][0]["text"]


BAD = """
import requests, aiohttp, boto3, urllib3
from botocore.config import Config
from pytest_llmmetrics.contract import LlmClientContract

URL, GPT, STREAM, HEADERS, AWS, BEDROCK = {values!r}


def text(answer):
    answer.raise_for_status()
    return answer.json()["choices"][0]["message"]["content"]


class TestRequestsKeeps(LlmClientContract):
    kept = []

    def call(self):
        self.kept.append(answer := requests.post(URL, json=GPT, headers=HEADERS, timeout=5, stream=True))
        return text(answer)


class TestRequestsForever(LlmClientContract):
    def call(self):
        return text(requests.post(URL, json=GPT, headers=HEADERS))


class TestUrllib3Retries(LlmClientContract):
    def call(self):
        with urllib3.PoolManager(retries=urllib3.Retry(9, status_forcelist=[503], allowed_methods=None)) as pools:
            return pools.request("POST", URL, json=GPT, headers=HEADERS, timeout=5).json()


class TestAiohttpSwallows(LlmClientContract):
    async def call(self):
        try:
            async with aiohttp.ClientSession() as session, session.post(URL, json=GPT, headers=HEADERS) as answer:
                return await answer.text()
        except BaseException:
            return ""


class TestAiohttpKeeps(LlmClientContract):
    kept = []

    async def stream(self):
        session = aiohttp.ClientSession()
        answer = await session.post(URL, json=STREAM, headers=HEADERS)
        self.kept.append((session, answer))
        async for line in answer.content:
            yield line


class TestBoto3Retries(LlmClientContract):
    def call(self):
        config = Config(retries={{"total_max_attempts": 9}})
        return boto3.Session(**AWS).client("bedrock-runtime", config=config).converse(**BEDROCK)
"""
CAUGHT = [
    ("TestRequestsKeeps", "test_no_fault_leaks_a_connection", "the answer is not closed after "),
    ("TestRequestsForever", "test_the_deadline_is_kept[read_timeout]", "has no end, because a timeout is None"),
    ("TestUrllib3Retries", "test_attempts_are_bounded[unavailable]", "it retried until the suite stopped it"),
    ("TestAiohttpSwallows", "test_a_cancelled_call[headers]", "the cancellation was swallowed"),
    ("TestAiohttpSwallows", "test_a_cancelled_call[body]", "the cancellation was swallowed"),
    (
        "TestAiohttpKeeps",
        "test_a_stream_closed_early_counts_once",
        "the answer is not closed when its stream is closed",
    ),
    ("TestBoto3Retries", "test_attempts_are_bounded[unavailable]", "it retried until the suite stopped it"),
]


def test_bad_clients_of_each_door(pytester):
    for module in ("requests", "aiohttp", "boto3"):
        pytest.importorskip(module)
    pytester.makepyfile(test_bad=BAD.format(values=(URL, GPT, STREAM, HEADERS, AWS, BEDROCK)))
    wanted = " or ".join(f"({name} and {test.partition('[')[0]})" for name, test, _ in CAUGHT)
    how = ["-p", "no:cacheprovider", "-rf", "-q", "-W", "ignore", "--show-capture=no", "--tb=short", "-k", wanted]
    said = pytester.runpytest_subprocess(*how).stdout.str()
    failed = re.findall(r"^FAILED \S+?::(Test\w+)::(\S+)", said, re.MULTILINE)
    assert [(name, test) for name, test, _ in CAUGHT if (name, test) not in failed] == []
    assert [says for *_, says in CAUGHT if says not in said] == []
