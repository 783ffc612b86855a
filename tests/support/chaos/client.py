"""A program that forks client processes on demand, each with a meter and one SDK. Its input: a JSON command a line.

Everything is imported once, so a client process starts in milliseconds; it has no thread and no meter before the fork.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import importlib
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

import llmmetrics
from llmmetrics import BudgetExceeded, ConfigError, Meter
from llmmetrics.system.clock import SystemClock

sys.path.insert(0, str(Path(__file__).parents[2]))
from support.chaos import senders

LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


class ShiftedClock(SystemClock):
    """A wall clock that is ahead or behind; other readings are the machine's."""

    def __init__(self, offset: float) -> None:
        self._offset = timedelta(seconds=offset)

    def now(self):
        return super().now() + self._offset


class Client:
    """One process's meter and SDK."""

    def __init__(self, spec):
        self.spec = spec
        self.name = spec["name"]
        self.refused = False
        self.out = os.open(spec["out"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        own = {"ModelName": "m", "CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": spec["price"]}
        limit = {"MaxSpendUsd": spec["limit"], "SpendResetPeriod": spec["period"]}
        backend = {"Name": "b", "Type": "GenericOpenAI", "BaseUrl": spec["url"], **limit, **own}
        self.meter = Meter.from_settings(
            {"Budget": spec["budget"], "Backends": [backend]},
            registry=CollectorRegistry(),
            clock=ShiftedClock(spec["offset"]),
        )

    def report(self, call, end):
        os.write(self.out, f"{json.dumps([call, end])}\n".encode())

    def booked(self, call):
        """Report an answer, and once more when it is booked: an event loop's bookings wait for a thread, in turn."""
        self.report(call, "answered")
        self.meter.engine.enforcer.worker.submit(partial(self.report, call, "ok"))

    def plan(self):
        """Yield number, fault and whether to stream of each call."""
        chance = random.Random(f"{self.spec['seed']} {self.name}")
        kinds, weights = zip(*self.spec["faults"].items(), strict=True)
        for n in range(self.spec["calls"]):
            if self.spec["pace"] and self.refused:
                # a long trial is over when its limit is reached
                return
            fault = chance.choices(kinds, weights)[0]
            yield f"{self.name}.{n}", fault, fault == "early" or chance.random() < 0.3

    def ended(self, call, exc):
        """Report an exception: a refusal, or what a fault brings."""
        refusal = exc if isinstance(exc, BudgetExceeded) else llmmetrics.budget_exceeded(exc)
        self.refused |= refusal is not None and refusal.reason == "limit"
        self.report(call, "failed" if refusal is None else "refused" if refusal.reason == "limit" else refusal.reason)

    def threads(self):
        with senders.open_sync(self.spec, self.meter) as send, ThreadPoolExecutor(self.spec["width"]) as pool:

            def call(planned):
                name, fault, stream = planned
                time.sleep(self.spec["pace"])
                try:
                    send({"x-call": name, "x-fault": fault}, stream=stream, early=fault == "early")
                except Exception as exc:
                    self.ended(name, exc)
                else:
                    self.booked(name)

            plan, lock = self.plan(), threading.Lock()

            def work(_):
                while True:
                    with lock:
                        planned = next(plan, None)
                    if planned is None:
                        return
                    call(planned)

            for _ in pool.map(work, range(self.spec["width"])):
                pass

    async def _all(self):
        plan = self.plan()
        async with senders.open_async(self.spec, self.meter) as send:

            async def work():
                for name, fault, stream in plan:
                    await asyncio.sleep(self.spec["pace"])
                    try:
                        await send({"x-call": name, "x-fault": fault}, stream=stream, early=fault == "early")
                    except Exception as exc:
                        self.ended(name, exc)
                    else:
                        self.booked(name)

            await asyncio.gather(*(work() for _ in range(self.spec["width"])))

    def asyncio(self):
        asyncio.run(self._all())

    # forks

    def forks(self):
        """Fork children with multiprocessing while threads make calls."""
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self.threads)
            fork = multiprocessing.get_context("fork")
            children = []
            for n in range(3):
                children.append(fork.Process(target=self._child, args=(n, "asyncio" if n % 2 else "threads")))
                children[-1].start()
            for child in children:
                child.join()
            work.result()

    def prefork(self):
        """Fork children one after the other, each with the pid of the one before, if this machine allows that."""
        fork = multiprocessing.get_context("fork")
        pid = None
        for n in range(4):
            if pid is not None and os.getpid() < 100:
                # only in a pid namespace of our own
                with suppress(OSError):
                    LAST_PID.write_text(f"{pid - 1}")
            child = fork.Process(target=self._child, args=(n, "asyncio" if n % 2 else "threads"))
            child.start()
            pid = child.pid
            child.join()

    def _child(self, n, style):
        self.name = f"{self.name}-{n}"
        getattr(self, style)()


def run(spec):
    client = Client(spec)
    getattr(client, spec["style"])()
    client.meter.close()


def end(spec):
    """Run a client, and end its process without a tear-down of modules, which takes ten times as long as its calls."""
    status = 1
    try:
        run(spec)
        status = 0
    except ConfigError:
        traceback.print_exc()
        status = os.EX_CONFIG
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


def rehearse():
    """Import what the first calls import. It leaves no thread."""
    for sdk in senders.LIBRARIES:
        for style in ("threads", "asyncio"):
            budget = {"Ledger": "memory://", "Mode": "strict"}
            run(
                {
                    "name": "rehearsal",
                    "out": os.devnull,
                    "price": 1,
                    "limit": "1",
                    "period": "Never",
                    "offset": 0,
                    "sdk": sdk,
                    "style": style,
                    "url": "http://127.0.0.1:9/v1",
                    "budget": budget,
                    "seed": 0,
                    "faults": {"ok": 1},
                    "calls": 1,
                    "width": 1,
                    "tokens": 1,
                    "retries": 0,
                    "pace": 0,
                }
            )
    senders.build_models()
    for ledger in ("redis", "sqlite"):
        importlib.import_module(f"llmmetrics.budgets.ledgers.{ledger}")
    assert threading.active_count() == 1
    # a collection in a child would copy every page
    gc.collect()
    gc.freeze()


def main():
    rehearse()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    children = set()
    for line in sys.stdin:
        command = json.loads(line)
        answer = None
        if "start" in command:
            answer = os.fork()
            if not answer:
                os.setpgrp()
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
                os.dup2(os.open(command["start"]["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT), 2)
                os.dup2(2, 1)
                faulthandler.register(signal.SIGUSR1)
                end(command["start"])
            # in both, so that a signal at once meets a group
            with suppress(OSError):
                os.setpgid(answer, answer)
            children.add(answer)
        elif "signal" in command:
            # its forked children too
            with suppress(ProcessLookupError):
                os.killpg(command["pid"], getattr(signal, command["signal"]))
        else:
            # wait for the end of a process, at most so long
            signal.sigtimedwait([signal.SIGCHLD], command["ended"])
            answer = {}
            for pid in list(children):
                gone, status = os.waitpid(pid, os.WNOHANG)
                if gone:
                    children.discard(pid)
                    answer[pid] = status
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()
    for pid in children:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
