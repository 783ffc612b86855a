"""How the clients of a trial send a call: with openai's SDK, httpx or httpx2, from threads or asyncio."""

from __future__ import annotations

import os
import ssl
from contextlib import asynccontextmanager, contextmanager
from functools import cached_property
from threading import RLock

import httpx
import httpx2
import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk

TIMEOUT = 0.3
"""Seconds after which a client gives an answer up."""

# made before any fork: another thread may have one of OpenSSL's locks at that moment
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _renew_locks():
    """Before Python 3.12 a cached property has a lock, which another thread may have had when a child was forked."""
    for owner in (openai.OpenAI, openai.AsyncOpenAI, openai.resources.Chat, openai.resources.AsyncChat):
        for each in vars(owner).values():
            if isinstance(each, cached_property) and hasattr(each, "lock"):
                each.lock = RLock()


os.register_at_fork(after_in_child=_renew_locks)


def build_models():
    """Build the SDK's models, before any fork: pydantic does so at their first use, with a lock."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    common = {"id": "x", "created": 1, "model": "m", "usage": usage}
    place = {"index": 0, "finish_reason": "stop"}
    message = {"role": "assistant", "content": "word"}
    ChatCompletion.construct(**common, object="chat.completion", choices=[{**place, "message": message}])
    ChatCompletionChunk.construct(**common, object="chat.completion.chunk", choices=[{**place, "delta": message}])


LIBRARIES = {"httpx": httpx, "httpx2": httpx2, "openai": httpx}


def _body(spec, stream):
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    messages = [{"role": "user", "content": "hi"}]
    return {"model": "m", "messages": messages, "max_tokens": spec["tokens"], **options}


@contextmanager
def open_sync(spec, meter):
    """Yield what sends a call."""
    library = LIBRARIES[spec["sdk"]]
    transport = meter.transport(library.HTTPTransport(verify=_TLS), family=library.__name__)

    def by_sdk(headers, *, stream, early):
        answer = sdk.chat.completions.create(**_body(spec, stream), extra_headers=headers)
        if stream:
            with answer:
                for _ in answer:
                    if early:
                        break

    def by_http(headers, *, stream, early):
        url = f"{spec['url']}/chat/completions"
        with http.stream("POST", url, json=_body(spec, stream), headers=headers) as answer:
            for _ in answer.iter_bytes():
                if early:
                    break

    with library.Client(transport=transport, timeout=TIMEOUT) as http:
        if spec["sdk"] == "openai":
            sdk = openai.OpenAI(
                base_url=spec["url"], api_key="k", http_client=http, max_retries=spec["retries"], timeout=TIMEOUT
            )
            yield by_sdk
        else:
            yield by_http


@asynccontextmanager
async def open_async(spec, meter):
    """Yield what sends a call."""
    library = LIBRARIES[spec["sdk"]]
    transport = meter.async_transport(library.AsyncHTTPTransport(verify=_TLS), family=library.__name__)

    async def by_sdk(headers, *, stream, early):
        answer = await sdk.chat.completions.create(**_body(spec, stream), extra_headers=headers)
        if stream:
            async with answer:
                async for _ in answer:
                    if early:
                        break

    async def by_http(headers, *, stream, early):
        url = f"{spec['url']}/chat/completions"
        async with http.stream("POST", url, json=_body(spec, stream), headers=headers) as answer:
            async for _ in answer.aiter_bytes():
                if early:
                    break

    async with library.AsyncClient(transport=transport, timeout=TIMEOUT) as http:
        if spec["sdk"] == "openai":
            sdk = openai.AsyncOpenAI(
                base_url=spec["url"], api_key="k", http_client=http, max_retries=spec["retries"], timeout=TIMEOUT
            )
            yield by_sdk
        else:
            yield by_http
