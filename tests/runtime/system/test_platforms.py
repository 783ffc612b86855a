"""Other systems, simulated: what they lack is not asked for, and everything else works."""

from __future__ import annotations

import json
import os
import sys

import pytest
from support import alone

from llmmetrics.budgets.ledgers import locks
from llmmetrics.cli.top import keys
from llmmetrics.system import private_files, processes

WINDOWS = """
import builtins, os, sys

for name in ("fork", "register_at_fork", "fchmod"):
    if hasattr(os, name):
        delattr(os, name)
real = builtins.__import__

def without(name, *arguments, **more):
    if name in ("fcntl", "termios", "tty", "resource", "pwd", "grp"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, *arguments, **more)

for name in ("fcntl", "termios", "tty"):
    sys.modules.pop(name, None)
builtins.__import__ = without
"""
"""What Python on Windows lacks. `sys.platform` stays: the standard library would call the system's own functions."""

LEDGER = f"""{WINDOWS}
import json, sys
import httpx
from prometheus_client import CollectorRegistry
from llmmetrics import Meter

def answer(request):
    return httpx.Response(200, json={{"model": "m", "usage": {{"prompt_tokens": 10, "completion_tokens": 0}}}})

backend = {{"Name": "openai", "Type": "OpenAI", "CostPerMillionInputTokens": 1, "CostPerMillionOutputTokens": 1,
           "MaxSpendUsd": "5"}}
settings = {{"Backends": [backend], "Budget": {{"Ledger": "sqlite:///" + sys.argv[1]}}}}
registry = CollectorRegistry()
meter = Meter.from_settings(settings, registry=registry)
client = httpx.Client(transport=meter.transport(httpx.MockTransport(answer)))
for _ in range(3):
    client.post("https://api.openai.com/v1/chat/completions", json={{"model": "m"}})
meter.close()
import llmmetrics.cli.top.keys, llmmetrics.system.interrupts
values = {{sample.name: sample.value for family in registry.collect() for sample in family.samples
          if sample.name in ("llm_tokens_total", "llmmetrics_internal_errors_total")
          and sample.labels.get("token_type", "total") == "total"}}
print(json.dumps(values))
"""


def test_a_meter_with_a_ledger_where_there_is_no_fork_and_no_flock(tmp_path):
    values = json.loads(alone(LEDGER, str(tmp_path / "spend.db")))
    assert values.pop("llmmetrics_internal_errors_total", 0) == 0
    assert values == {"llm_tokens_total": 30}
    assert (tmp_path / "spend.db").stat().st_size > 0
    assert not (tmp_path / "spend.db.lock").exists()


def test_a_lock_without_flock_is_sqlite_s_own(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    lock = locks.FileLock(tmp_path / "lock")
    with lock:
        assert lock.taken()
    lock.forked()
    lock.close()
    assert list(tmp_path.iterdir()) == []


def test_no_key_is_read_on_windows(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with keys.keys() as pressed:
        assert pressed is None


def test_a_process_is_never_killed_to_see_whether_it_lives(monkeypatch):
    def kill(*_):
        raise AssertionError("on Windows, signal 0 ends the process")

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(os, "name", "nt")
    assert processes.alive(1)


@pytest.mark.parametrize(
    ("error", "lives"), [(ProcessLookupError, False), (PermissionError, True), (OSError, True), (None, True)]
)
def test_whether_a_process_lives(monkeypatch, error, lives):
    def kill(_, number):
        assert number == 0
        if error is not None:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    assert processes.alive(12345) is lives


def test_a_file_is_created_where_modes_cannot_be_changed(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "fchmod", raising=False)
    tmp_path.chmod(0o2770)
    private_files.create(tmp_path / "file")
    assert (tmp_path / "file").exists()


def test_the_siblings_are_unknown_without_proc(monkeypatch):
    monkeypatch.setattr(processes, "Path", lambda _: NoProc())
    assert processes._siblings() is None


class NoProc:
    def glob(self, _):
        raise FileNotFoundError
