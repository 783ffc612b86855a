"""A provider on loopback that bills each request it has read, and ends it as the request's own header says."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from collections import Counter
from contextlib import suppress
from threading import Event, Thread
from typing import Self

from support.chaos.judging import Attempt

TOKENS = 20
"""What a request asks for at most; an answer has one to so many."""

PRICE = 25
"""USD for a million completion tokens: a call costs about $0.00025."""

A_TOKEN = PRICE * 10**6
"""Pico-dollars."""

BUSY = "busy"
"""The fault of a first attempt that is answered with 429; a retry succeeds."""


class Provider:
    """Its `log` is the truth about what was billed."""

    def __init__(self) -> None:
        self.log: list[Attempt] = []
        self._tries: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._ready = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection can take another one."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        call, fault = headers["x-call"], headers["x-fault"]
        self._tries[call] += 1
        if fault in (BUSY, "error"):
            busy = fault == BUSY
            if not busy or self._tries[call] == 1:
                self.log.append(Attempt(call, fault, 0, time.monotonic()))
                status = (
                    "429 Too Many Requests\r\nretry-after-ms: 10" if busy else "500 Broken\r\nx-should-retry: false"
                )
                writer.write(_whole(status, {"error": {"message": "no", "code": "x"}}))
                await writer.drain()
                return True
        tokens = random.Random(f"{call} {self._tries[call]}").randint(1, TOKENS)
        self.log.append(Attempt(call, fault, tokens * A_TOKEN, time.monotonic()))
        if fault == "slow":
            await asyncio.sleep(0.1)
        elif fault == "timeout":
            await reader.read(1)
            return False
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return False
        usage = {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": tokens + 3}
        words = [" word"] * tokens
        data = _streamed(words, usage, fault) if body.get("stream") else _whole("200 OK", _completion(words, usage))
        if fault == "cut":
            writer.write(data[: len(data) * 2 // 3])
            await writer.drain()
            return False
        if fault == "early":
            # the client closes after the first event
            first = data.index(b"\n\n") + 4
            writer.write(data[:first])
            await writer.drain()
            await reader.read(1)
            return False
        writer.write(data)
        await writer.drain()
        return True


def _completion(words: list[str], usage: dict[str, int]) -> dict[str, object]:
    message = {"role": "assistant", "content": "".join(words)}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _whole(status: str, body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def _streamed(words: list[str], usage: dict[str, int], fault: str) -> bytes:
    common = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events: list[dict[str, object]] = [
        {**common, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in words
    ]
    events.append({**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    events.append({**common, "choices": [], "usage": usage})
    texts = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"]
    chunks = "".join(f"{len(text):x}\r\n{text}\r\n" for text in texts)
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return f"{head}{chunks}0\r\n\r\n".encode()
