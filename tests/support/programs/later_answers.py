"""Processes that ask in the background, and others that fetch: one strict budget, one bill. Prints both.

`python later_answers.py '{"ledger": …, "limit": "2", "seed": 1}'`
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import signal
import sys
import warnings
from threading import Lock

import httpx
import openai
from prometheus_client import CollectorRegistry

from llmmetrics import Meter
from llmmetrics.testing import Answer, reply, serve
from llmmetrics.testing.jobs import Jobs
from llmmetrics.testing.messages.model import Reply

warnings.filterwarnings("ignore", category=DeprecationWarning)

INPUT, OUTPUT = 1, 10
"""USD for a million tokens."""
MODEL = "gpt-5"


class Provider:
    """Answers now and later, and keeps the bill in micro-dollars. Each answer is as long as a seed says."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.jobs = Jobs()
        self.lock = Lock()
        self.bill = self.tokens = 0

    def __call__(self, request):
        if request.path == "/bill":
            said = json.dumps({"bill": self.bill, "tokens": self.tokens}).encode()
            return Reply(200, (("content-type", "application/json"),), (said,))
        if fetched := self.jobs.fetch(request):
            return fetched
        batch = "batches" in request.path or "files" in request.path
        made = reply(request) if batch else self.answered(request)
        return self.jobs.defer(request, made, self.answered)

    def answered(self, request):
        with self.lock:
            most = request.max_tokens or 100
            prompt, completion = min(len(request.body), 50), self.rng.randint(1, most)
            self.bill += prompt * INPUT + completion * OUTPUT
            self.tokens += prompt + completion
        return reply(request, Answer(prompt_tokens=prompt, completion_tokens=completion))


class Process:
    """One process's meter and client."""

    def __init__(self, url, ledger, limit, client=openai.OpenAI):
        backend = {"Name": "b", "Type": "OpenAI", "BaseUrl": f"{url}/v1", "MaxSpendUsd": limit}
        prices = {"CostPerMillionInputTokens": INPUT, "CostPerMillionOutputTokens": OUTPUT}
        self.registry = CollectorRegistry()
        settings = {"Budget": {"Ledger": ledger, "Mode": "strict"}, "Backends": [{**backend, **prices}]}
        self.meter = Meter.from_settings(settings, registry=self.registry)
        self.client = self.meter.wrap(client(base_url=f"{url}/v1", api_key="x", max_retries=0))

    def value(self, name, **labels):
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def ask(self, rng, background, batches, requests):
        """Ask for answers; return their ids, and how many were refused."""
        ids, refused = [], 0
        steps = ["background"] * background + ["batch"] * batches + ["chat", "image", "sound"] * 2
        rng.shuffle(steps)
        for step in steps:
            try:
                if step == "background":
                    most = rng.choice([2000, 40_000])
                    made = self.client.responses.create(
                        model=MODEL, input="write", background=True, max_output_tokens=most
                    )
                    ids.append(("response", made.id))
                elif step == "chat":
                    self.client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": "hi"}], max_tokens=50
                    )
                elif step == "image":
                    self.client.images.generate(model="gpt-image-1", prompt="cat", size="1024x1024", quality="low")
                elif step == "sound":
                    self.client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF" * 100))
                else:
                    ids.append(("batch", self.batch(requests).id))
            except openai.APIStatusError as exc:
                if exc.status_code != 402:
                    raise
                refused += 1
        return ids, refused

    def batch(self, requests):
        body = {"model": MODEL, "max_tokens": 40, "messages": [{"role": "user", "content": "hello"}]}
        row = {"method": "POST", "url": "/v1/chat/completions", "body": body}
        lines = "".join(json.dumps({"custom_id": f"r{n}", **row}) + "\n" for n in range(requests))
        file = self.client.files.create(file=("x.jsonl", io.BytesIO(lines.encode())), purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )

    def fetch(self, ids):
        for kind, id in ids:
            if kind == "response":
                self.client.responses.retrieve(id)
            else:
                done = self.client.batches.retrieve(id)
                self.client.files.content(done.output_file_id).read()

    async def afetch(self, ids):
        for kind, id in ids:
            if kind == "response":
                await self.client.responses.retrieve(id)
            else:
                done = await self.client.batches.retrieve(id)
                await (await self.client.files.content(done.output_file_id)).aread()


def child(task, *, killed=False):
    """Run a task in a forked process, which may be killed after it; return a pipe with its result as JSON."""
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        return read
    os.close(read)
    status = 1
    try:
        os.write(write, json.dumps(task()).encode())
        os.close(write)
        status = 0
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(status)


def result(pipe):
    with os.fdopen(pipe) as file:
        return json.loads(file.read() or "null")


def main(ledger, limit, seed, requests=100, processes=4):
    rng = random.Random(seed)
    ready, told = os.pipe()

    def provide():
        with serve(answering=Provider(seed)) as running:
            os.write(told, running.url.encode())
            signal.sigwait({signal.SIGTERM})

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = os.fork()
    if not server:
        provide()
        os._exit(0)
    url = os.read(ready, 100).decode()

    def asker(number):
        def ask():
            process = Process(url, ledger, limit)
            answer = process.ask(random.Random(rng.random() + number), 5, 2 if number == 0 else 1, requests)
            if number != 1:
                process.meter.close()
            return answer

        return child(ask, killed=number == 1)

    asked = [result(pipe) for pipe in [asker(number) for number in range(processes)]]
    ids = [tuple(each) for answer in asked for each in answer[0]]
    watcher = Process(url, ledger, limit)
    before = watcher.value("llm_backend_budget_usd", limit_type="current")
    pending = watcher.value("llmmetrics_pending_answers")

    def fetcher(number):
        def fetch():
            mine = random.Random(seed + number).sample(ids, len(ids))
            if number % 2:
                process = Process(url, ledger, limit, openai.AsyncOpenAI)
                asyncio.run(process.afetch(mine))
            else:
                process = Process(url, ledger, limit)
                process.fetch(mine)
            process.meter.close()
            return process.value("llm_tokens_total", token_type="total")

        return child(fetch)

    fetched = [result(pipe) for pipe in [fetcher(number) for number in range(2)]]
    balance = watcher.meter.engine.enforcer.budget
    line = balance.lines["b"]
    found = balance.guard.balance("b", line.at(watcher.meter.engine.clock.now()))
    bill = httpx.get(f"{url}/bill").json()
    os.kill(server, signal.SIGTERM)
    os.waitpid(server, 0)
    return {
        "bill": bill["bill"],
        "bill_tokens": bill["tokens"],
        "spent": found.spent,
        "reserved": found.reserved,
        "pending": found.pending,
        "before": before,
        "asked": len(ids),
        "were_pending": pending,
        "still_pending": watcher.value("llmmetrics_pending_answers"),
        "refused": sum(answer[1] for answer in asked),
        "fetched_tokens": sum(fetched),
    }


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))  # noqa: T201
