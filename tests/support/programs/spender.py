"""Processes that spend one budget, forked from a program with a meter. Prints the result.

Each call costs $3. `python spender.py MODE '{"ledger": …}'`
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
from prometheus_client import CollectorRegistry
from redis import Redis

from llmmetrics import BudgetExceeded, Meter
from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.metrics.registry import PICO

URL = "https://api.openai.com/v1/chat/completions"
REPLY = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
COST = 3 * PICO
START = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)


class Clock:
    """The test's wall clock; monotonic time is real."""

    def __init__(self):
        self.by = timedelta()
        self.origin = time.monotonic()

    def now(self):
        return START + self.by + timedelta(seconds=time.monotonic() - self.origin)

    def monotonic(self):
        return time.monotonic()

    def uptime(self):
        return time.monotonic() + self.by.total_seconds()


class Spender:
    def __init__(self, ledger, limit, *, mode="strict", period="Never", tokens=3, lease=60, durability="normal"):
        prices = {"CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}
        backend = {"Name": "b", "ModelName": "m", "MaxSpendUsd": limit, "SpendResetPeriod": period, **prices}
        budget = {"Ledger": ledger, "Mode": mode, "LeaseSeconds": lease, "Durability": durability}
        self.url, self.clock = ledger, Clock()
        self.meter = Meter.from_settings(
            {"Budget": budget, "Backends": [backend]}, registry=CollectorRegistry(), clock=self.clock
        )
        self.during = lambda: None
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.answer)))
        self.tokens = tokens
        # a new registry: the parent's samples belong to another process
        self.ledger = open_ledger(ledger, namespace="default", durability=durability)
        self.shape = self.meter.engine.enforcer.budget.lines["b"].shape

    def answer(self, _):
        self.during()
        return httpx.Response(200, json=REPLY)

    def call(self):
        """Make a call; return whether it was admitted."""
        try:
            self.client.post(URL, json={"model": "m", "max_tokens": self.tokens})
        except BudgetExceeded as exc:
            if exc.reason != "limit":
                raise
            return False
        return True

    def later(self, seconds):
        """Let time pass: for the server, its age of the limit counts."""
        self.clock.by += timedelta(seconds=seconds)
        if self.url.startswith("redis"):
            with Redis.from_url(self.url, decode_responses=True) as client:
                key = "llmmetrics:{default:b}:meta"
                age, rest = client.hget(key, "head").split(" ", 1)
                client.hset(key, "head", f"{int(age) + seconds * 1000} {rest}")

    def balance(self, moment=None):
        moment = moment or self.clock.now()
        return self.ledger.balance("b", self.shape.window(moment), self.clock.uptime())


def forked(work):
    """Fork a child that does this and ends; return its pid."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def over(pids):
    """Wait for the children; return whether all succeeded."""
    while pids:
        pid, status = os.waitpid(pids[0], os.WNOHANG)
        if not pid:
            return False
        assert status == 0, status
        pids.pop(0)
    return True


def race(processes, calls, retry_until=None, **options):
    """Run so many processes with so many calls each; repeat until this part of the limit is used, if given."""
    spender = Spender(**options)
    limit = options["limit"] * PICO

    def work():
        made = 0
        deadline = time.monotonic() + 120
        while made < calls and time.monotonic() < deadline:
            if spender.call() or retry_until is None:
                made += 1
            elif spender.balance().spent >= retry_until * limit:
                return

    pids = [forked(work) for _ in range(processes)]
    samples = []
    while not over(pids):
        found = spender.balance()
        samples.append(found.spent + found.reserved)
        time.sleep(0.001)
    final = spender.balance()
    return {"spent": final.spent, "reserved": final.reserved, "most": max(samples), "samples": len(samples)}


def kills(times, seed, **options):
    """Kill a spending child at random times; return its completed and the booked calls."""
    spender = Spender(**options)
    chance = random.Random(seed)
    wrong, expired = [], 0
    for n in range(times):
        before = spender.balance().spent
        reading, writing = os.pipe()

        def work(writing=writing):
            while True:
                spender.call()
                os.write(writing, b".")

        pid = forked(work)
        os.close(writing)
        # after at least one call, it is in the middle of spending
        done = len(os.read(reading, 1))
        time.sleep(chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while chunk := os.read(reading, 65536):
            done += len(chunk)
        os.close(reading)
        found = spender.balance()
        booked = (found.spent - before) / COST
        if not done <= booked <= done + 1 or found.reserved > spender.tokens * PICO:
            wrong.append((n, done, booked, found))
        # the lease ends; a new process opens the ledger, and books the worst case of the call that was killed
        spender.later(options["lease"] + 1)
        fresh = open_ledger(options["ledger"], namespace="default", durability=options.get("durability", "normal"))
        after = fresh.balance("b", spender.shape.window(spender.clock.now()), spender.clock.uptime())
        fresh.close()
        expired += after.expired
        if after.reserved or after.spent != found.spent + found.reserved or after.worst_case % COST:
            wrong.append((n, "lease", after))
    return {"wrong": wrong, "expired": expired, "spent": spender.balance().spent}


def boundary(processes, calls, **options):
    """Move each process's clock past the reset while one of its calls is in flight."""
    spender = Spender(period="Daily", **options)
    turns = [(n * 7) % calls for n in range(processes)]

    def work(turn):
        count = iter(range(calls))

        def during():
            if next(count) == turn:
                spender.clock.by += timedelta(hours=12)

        spender.during = during
        for _ in range(calls):
            assert spender.call()

    pids = [forked(lambda turn=turn: work(turn)) for turn in turns]
    while not over(pids):
        time.sleep(0.001)
    both = [spender.balance(moment).spent // COST for moment in (START, START + timedelta(hours=12))]
    return {"booked": both, "made": [sum(turn + 1 for turn in turns), sum(calls - turn - 1 for turn in turns)]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(globals()[sys.argv[1]](**json.loads(sys.argv[2]))))
