"""Two machines and one Redis between them, one of them cut off: what is configured happens, and the books balance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import SOAK
from support.namespaces import HUB, network
from support.servers import program, running, until

MACHINE = str(Path(__file__).parents[2] / "support/programs/machine.py")
CUT = 10 if SOAK else 1
"""Seconds."""
COST = 3


class Remote:
    """One of the machines, as the test speaks to it."""

    def __init__(self, net, name, directory, **budget):
        environ = {each: value for each, value in os.environ.items() if not each.startswith("COV")}
        budget["Ledger"] = f"redis://{net.addresses[name]}:6379/0"
        self.process = subprocess.Popen(
            net.on(name, sys.executable, MACHINE, json.dumps(budget)),
            env={**environ, "XDG_STATE_HOME": str(directory / name)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def __call__(self, what):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(60) == 0
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


@pytest.fixture
def net(tmp_path):
    with network("one", "other") as made:
        (tmp_path / "redis").mkdir()
        redis = [program("redis-server", "redis-server"), "--protected-mode", "no", "--save", ""]
        log = tmp_path / "redis.log"
        with running(made.on(HUB, *redis, "--dir", str(tmp_path / "redis")), log):
            until(lambda: "Ready to accept connections" in log.read_text(), "Redis")
            yield made


@pytest.mark.parametrize("mode", ["documented", "strict"])
@pytest.mark.parametrize(("policy", "outcome"), [("refuse", "ledger"), ("admit", "ok")])
def test_one_machine_is_cut_off(net, tmp_path, policy, outcome, mode):
    options = {"Mode": mode, "OnLedgerError": policy}
    one, other = (Remote(net, name, tmp_path, **options) for name in ("one", "other"))
    try:
        made = [one("call"), other("call")]
        assert one("hold") == "held"
        net.cut("one")
        # it had been admitted, and its answer came: what it cost is booked when the ledger is back
        made.append(one("go"))
        assert one("waiting") == "True"
        end = time.monotonic() + CUT
        meanwhile = []
        while time.monotonic() < end:
            meanwhile.append(one("call"))
            made.append(other("call"))
        assert set(meanwhile) == {outcome}
        assert set(made) == {"ok"}
        # the other machine has what both had booked before, and its own
        assert other("balance").split()[0] == f"{COST * (len(made) - 1):g}"
        net.heal("one")
        until(lambda: meanwhile.append(one("call")) or meanwhile[-1] == "ok", "an answer")
        until(lambda: one("waiting") == "False", "its books")
        calls = len(made) + meanwhile.count("ok")
        assert [one("balance"), other("balance")] == [f"{COST * calls:g} 0"] * 2
        assert not [*(tmp_path / "one").rglob("*.jsonl")]
        print(f"{mode}, {policy}: {calls} calls booked, {len(meanwhile)} of one machine while it was cut off")  # noqa: T201
    finally:
        one.end()
        other.end()
