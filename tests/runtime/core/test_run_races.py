"""One named run over many processes, two SDKs and two machines: the provider's own log never passes the limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support import SOAK
from support.namespaces import HUB, network
from support.servers import program, redis_server, running, until

from llmmetrics.budgets.ledgers import open_ledger
from llmmetrics.budgets.run_budget import ALWAYS
from llmmetrics.metrics.registry import PICO
from llmmetrics.system.boot import uptime

PROGRAMS = Path(__file__).parents[2] / "support/programs"
COST = 16 * PICO // 1000
"""Of an answer of 8 tokens."""
FAULTS = ("server_error", "reset", "cut", "rate_limit", "read_timeout", "stall")


class Place:
    """Where workers run: a prefix of their commands by machine, and the addresses of the others as they see them."""

    def __init__(self, ledgers, hosts, on=lambda _, *command: [*command], provider_on=lambda *command: [*command]):
        self.ledgers, self.hosts, self.on, self.provider_on = ledgers, hosts, on, provider_on

    def worker(self, number, port, seed, directory):
        machine = number % len(self.hosts)
        arguments = {"ledger": self.ledgers[machine], "url": f"http://{self.hosts[machine]}:{port}", "seed": seed}
        return subprocess.Popen(
            self.on(machine, sys.executable, PROGRAMS / "run_worker.py", json.dumps(arguments)),
            env={**os.environ, "XDG_STATE_HOME": str(directory / f"machine-{machine}")},
            stdout=subprocess.PIPE,
            text=True,
        )


@contextmanager
def sqlite(directory):
    url = f"sqlite:///{directory / 'ledger.db'}"
    yield Place([url], ["127.0.0.1"]), lambda: balance(url)


@contextmanager
def redis(directory):
    with redis_server(directory) as server:
        yield Place([server.url], ["127.0.0.1"]), lambda: balance(server.url)


@contextmanager
def two_machines(directory):
    names = ("one", "other")
    with network(*names) as net, ExitStack() as stack:
        command = [program("redis-server", "redis-server"), "--protected-mode", "no", "--save", ""]
        log = directory / "redis.log"
        stack.enter_context(running(net.on(HUB, *command, "--dir", str(directory)), log))
        until(lambda: "Ready to accept connections" in log.read_text(), "Redis")
        hosts = [net.addresses[name] for name in names]
        ledgers = [f"redis://{host}:6379/0" for host in hosts]

        def read():
            code = f"from runtime.core.test_run_races import balance; print(*balance({ledgers[0]!r}))"
            environ = {**os.environ, "PYTHONPATH": str(PROGRAMS.parents[1])}
            done = subprocess.run(
                net.on("one", sys.executable, "-c", code), capture_output=True, text=True, check=True, env=environ
            )
            return tuple(map(int, done.stdout.split()))

        yield (
            Place(
                ledgers,
                hosts,
                lambda machine, *command: net.on(names[machine], *map(str, command)),
                lambda *command: net.on(HUB, *map(str, command)),
            ),
            read,
        )


def balance(url):
    """Return what is spent and what is reserved."""
    read = open_ledger(url, namespace="default", durability="normal").balance("run:usd:job", ALWAYS, uptime())
    return read.spent, read.reserved


@pytest.mark.parametrize("seed", range(5 if SOAK else 1))
@pytest.mark.parametrize("where", [sqlite, redis, two_machines] if SOAK else [sqlite], ids=lambda each: each.__name__)
def test_the_bill_of_a_run_over_processes_stays_within_its_limit(where, seed, tmp_path):
    processes = 8 if SOAK else 2
    with where(tmp_path) as (place, read):
        script = FAULTS * (2 if SOAK else 1)
        provider = subprocess.Popen(
            place.provider_on(sys.executable, PROGRAMS / "billing_provider.py", *script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        port = int(provider.stdout.readline())
        workers = [place.worker(number, port, seed * 100 + number, tmp_path) for number in range(processes)]
        assert [worker.communicate(timeout=240)[0] for worker in workers] == ["run"] * processes
        bill = int(provider.communicate(timeout=60)[0]) * COST
        spent, reserved = read()
    assert bill <= PICO
    assert bill <= spent <= PICO
    assert reserved == 0
