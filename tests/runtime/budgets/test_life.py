"""Budgets in the life of a process: leases of calls in flight, several workers, its end, the start of the next."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from support.budget_setup import ASK, START, URL
from support.servers import free_port, get, running, until

from llmmetrics import BudgetExceeded, ConfigError, Meter
from llmmetrics.budgets.ledgers import locks, open_ledger
from llmmetrics.budgets.ledgers.base import SCHEMA
from llmmetrics.budgets.ledgers.sqlite_file import SqliteFile
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule
from llmmetrics.testing import Answer

HERE = Path(__file__).parents[2] / "support/programs"
DAY = WindowSchedule(ResetPeriod.DAILY).window(START)
REPLY = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}


# leases


def test_the_lease_of_a_live_call_is_renewed(made):
    setup = made("100", Mode="strict", LeaseSeconds=60)
    ledger = setup.meter.engine.enforcer.ledger
    held = []

    def answer(_):
        for _ in range(5):
            # the enforcer's own thread renews it
            setup.clock.advance(seconds=50)
            due = setup.clock.uptime() + 60
            until(lambda due=due: next(iter(ledger._keys["b"].rows.values())).ends == due, "a renewal")
            held.append(ledger.balance("b", DAY, setup.clock.uptime()).reserved)
        return httpx.Response(200, json=REPLY)

    setup.answer = answer
    assert setup.call(max_tokens=90).status_code == 200
    assert held == [90 * PICO] * 5
    assert setup.value("llmmetrics_reservations_expired_total") == 0
    assert (setup.spent, ledger.balance("b", DAY, setup.clock.uptime()).reserved) == (3, 0)


def test_a_lease_that_ends_lets_no_money_go(made, monkeypatch):
    setup = made("100", Mode="strict", LeaseSeconds=60)
    # a process that stood still renews nothing
    monkeypatch.setattr(setup.meter.engine.enforcer.budget, "recur", lambda: None)
    spends = []

    def answer(_):
        setup.clock.advance(seconds=61)
        with pytest.raises(BudgetExceeded, match=r"spent \$70"):
            setup.call(max_tokens=31)
        spends.append(setup.spent)
        return httpx.Response(200, json={"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 50}})

    setup.answer = answer
    assert setup.call(max_tokens=70).status_code == 200
    assert (spends, setup.spent) == ([70], 50)
    assert setup.value("llmmetrics_reservations_expired_total") == 1


# the end of a process

ENDS = """
import asyncio, sys
sys.path[:0] = {path!r}
import httpx
from support.budget_setup import Setup, URL, ASK
setup = Setup("100", ledger={ledger!r}, Mode="strict")
async def answer(request):
    return setup.reply(request)
async def main():
    async with httpx.AsyncClient(transport=setup.meter.async_transport(httpx.MockTransport(answer))) as client:
        await asyncio.gather(*(client.post(URL, json={{**ASK, "max_tokens": 9}}) for _ in range(4)))
asyncio.run(main())
class Body(httpx.SyncByteStream):
    def __iter__(self):
        yield b'data: {{"choices": [{{"delta": {{"content": "12345678"}}}}]}}\\n\\n'
        yield b"data: more\\n\\n"
setup.answer = lambda _: httpx.Response(200, stream=Body())
request = setup.client.build_request("POST", URL, json={{**ASK, "stream": True, "max_tokens": 9}})
response = setup.client.send(request, stream=True)
next(iter(response.iter_raw()))
del response
"""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_the_end_of_the_process_books_what_is_still_to_be_booked(kind, tmp_path, request):
    """Four calls of async callers at $3, and a dropped answer at its worst case, $9."""
    from support.servers import redis_server

    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as server:
        url = server.url if kind == "redis" else f"sqlite:///{tmp_path}/ledger.db"
        code = ENDS.format(path=sys.path, ledger=url)
        environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        ledger = open_ledger(url, namespace="default")
        assert ledger.balance("b", DAY, 0)[:2] == (21 * PICO, 0)
        ledger.close()


# the start of the next


@pytest.mark.parametrize("content", [b"notes" * 1000, b"SQLite format 3\0" + b"\1" * 5000])
def test_a_ledger_that_cannot_be_opened_is_an_error_at_start(made, tmp_path, content):
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"LlmSettings\.Budget\.Ledger: sqlite:///.*ledger\.db: .*: it is"):
        made(ledger=f"sqlite:///{path}")
    assert path.read_bytes() == content


@contextmanager
def write_lock(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def exclusive_lock(path):
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def file_lock(path):
    fcntl = pytest.importorskip("fcntl")
    with path.with_name("ledger.db.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("held", [write_lock, exclusive_lock, file_lock])
def test_a_program_starts_while_the_ledger_is_locked(made, tmp_path, monkeypatch, held):
    """A backup holds it, say: its calls meet what `OnLedgerError` says, as with a Redis that is down."""
    monkeypatch.setattr(locks, "PATIENCE", 0.15)
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{path}"
    open_ledger(url, namespace="default").close()
    with held(path):
        setup = made(ledger=url, OnLedgerError="admit")
        assert setup.call().status_code == 200
    setup.clock.advance(seconds=10)
    assert setup.call().status_code == 200
    assert setup.spent == 6


@pytest.mark.parametrize("content", ["junk", "newer"])
def test_what_is_no_ledger_is_an_error_at_start_while_it_is_locked(made, tmp_path, monkeypatch, content):
    monkeypatch.setattr(locks, "PATIENCE", 0.15)
    path = tmp_path / "ledger.db"
    url = f"sqlite:///{path}"
    open_ledger(url, namespace="default").close()
    if content == "junk":
        path.write_bytes(b"notes" * 1000)
    else:
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    with file_lock(path), pytest.raises(ConfigError, match=r"newer llmmetrics|it is no SQLite file"):
        made(ledger=url)


def test_a_program_starts_while_the_disk_is_full(made, tmp_path, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    url = f"sqlite:///{tmp_path}/ledger.db"
    with monkeypatch.context() as patch:
        patch.setattr(SqliteFile, "_transaction", full)
        setup = made(ledger=url, OnLedgerError="admit")
        assert setup.call().status_code == 200
    setup.clock.advance(seconds=10)
    assert setup.call().status_code == 200
    assert setup.spent == 6


# several workers


SERVERS = {
    "uvicorn": ["-m", "uvicorn", "worker_app:asgi", "--workers", "2", "--app-dir", str(HERE), "--port"],
    "gunicorn": [
        *("-m", "gunicorn", "worker_app:wsgi", "--workers", "2", "--preload", "--chdir", str(HERE)),
        *("--timeout", "90", "--bind"),
    ],
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("server", SERVERS)
def test_every_worker_says_the_same_of_a_budget(server, tmp_path, provider):
    """Each call costs $0.002: five of them, whichever worker makes them, spend the limit."""
    provider.default = Answer(prompt_tokens=1000, completion_tokens=500)
    (tmp_path / "multiproc").mkdir()
    port = free_port()
    command = [sys.executable, *SERVERS[server], str(port) if server == "uvicorn" else f"127.0.0.1:{port}"]
    environ = {
        "PROVIDER": provider.url,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "multiproc"),
        "LEDGER": f"sqlite:///{tmp_path}/ledger.db",
    }
    url = f"http://127.0.0.1:{port}"

    def scrape():
        text = get(f"{url}/metrics")
        rows = re.findall(r"^(llm_backend_(?:budget_usd|health)){(.*)} (\S+)$", text, re.MULTILINE)
        return sorted((name, labels, float(value)) for name, labels, value in rows)

    def standing(spent, health):
        return [
            ("llm_backend_budget_usd", 'backend="openai",limit_type="current"', spent),
            ("llm_backend_budget_usd", 'backend="openai",limit_type="max"', 0.01),
            ("llm_backend_health", 'backend="openai"', health),
        ]

    log = tmp_path / "log"
    with running(command, log, **environ):
        until(lambda: get(f"{url}/metrics"), "the server")
        assert scrape() == standing(0, 1)
        assert [get(f"{url}/call").split()[1] for _ in range(5)] == ["200"] * 5
        refused = set()
        until(lambda: refused.add(tuple(get(f"{url}/call").split())) or len(refused) == 2, "both workers' refusal")
        assert {status for _, status in refused} == {"limit"}
        # whichever worker answers a scrape
        assert [scrape() for _ in range(8)] == [standing(0.01, 0)] * 8
        ledger = open_ledger(environ["LEDGER"], namespace="default")
        window = ledger.history()[0].window
        ledger.reset("openai", window, window.start, "alice")
        ledger.close()
        assert [scrape() for _ in range(8)] == [standing(0, 1)] * 8
        assert get(f"{url}/call").split()[1] == "200"
    assert len(provider.requests) == 6
    assert "Traceback" not in log.read_text()


def test_a_meter_whose_metrics_are_off_has_its_budget_all_the_same(made, tmp_path):
    meters = [
        Meter.from_settings(
            {
                "Telemetry": {"EnableMetrics": enabled},
                "Budget": {"Ledger": f"sqlite:///{tmp_path}/ledger.db"},
                "Backends": [
                    {
                        "Name": "b",
                        "MaxSpendUsd": 3,
                        "CostPerMillionInputTokens": 0,
                        "CostPerMillionOutputTokens": 1_000_000,
                    }
                ],
            },
            registry=made("1").registry,
        )
        for enabled in (False, True)
    ]
    inner = httpx.MockTransport(lambda _: httpx.Response(200, json=REPLY))
    off, on = (httpx.Client(transport=meter.transport(inner)) for meter in meters)
    assert off.post(URL, json=ASK).status_code == 200
    with pytest.raises(BudgetExceeded):
        on.post(URL, json=ASK)
    for meter in meters:
        meter.close()
