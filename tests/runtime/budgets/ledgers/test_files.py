"""What can be wrong with a ledger's file: each is named, and nothing is deleted."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from support import ledger_calls

from llmmetrics.budgets.ledgers import Basis, CallId, default_url, locks, open_ledger
from llmmetrics.budgets.ledgers.base import SCHEMA
from llmmetrics.errors import ConfigError, LedgerError
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule

NOW = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
DAY = WindowSchedule(ResetPeriod.DAILY).window(NOW)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def opened(path):
    made = []

    def open_one():
        made.append(open_ledger(f"sqlite:///{path}", namespace="n"))
        return made[-1]

    yield open_one
    for each in made:
        each.close()


def settle(ledger, id, amount=5):
    return ledger.settle("b", CallId("o", id), amount, Basis.KNOWN, NOW, DAY)


def test_a_file_that_is_no_database(path, opened):
    path.write_text("notes" * 1000)
    with pytest.raises(
        LedgerError, match=r"ledger.db: file is not a database: it is no SQLite file, and was left as it is"
    ):
        opened()
    assert path.read_text() == "notes" * 1000


def test_a_file_that_is_damaged(path, opened):
    ledger = opened()
    for n in range(2000):
        settle(ledger, n)
    ledger.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    body = bytearray(path.read_bytes())
    body[4096:] = os.urandom(len(body) - 4096)
    path.write_bytes(body)
    with pytest.raises(LedgerError, match="it is damaged, and was left as it is: move it away"):
        settle(opened(), 10**6)
    assert len(path.read_bytes()) == len(body)


def test_a_file_of_a_newer_version(path, opened):
    opened().close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    db.close()
    with pytest.raises(ConfigError, match=f"was written by a newer llmmetrics .its schema is {SCHEMA + 1}"):
        opened()


def test_a_file_that_another_program_holds(path, opened):
    ledger = opened()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(LedgerError, match="database is locked: another program holds it: end that program"):
            settle(ledger, 1)
    finally:
        db.execute("ROLLBACK")
        db.close()
    assert settle(ledger, 1).spent == 5


@pytest.mark.skipif(os.name == "nt", reason="needs flock")
def test_a_process_that_stands_still_with_the_lock(path, opened, monkeypatch):
    import fcntl

    ledger = opened()
    settle(ledger, 1)
    assert not ledger.blocking
    monkeypatch.setattr(locks, "PATIENCE", 0.15)
    with path.with_name("ledger.db.lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert ledger.blocking
        with pytest.raises(LedgerError, match=r"ledger.db.lock is locked by a process that does not let go: end it"):
            settle(ledger, 2)
        # a reader does not wait
        assert ledger.balance("b", DAY, 0).spent == 5
    assert settle(ledger, 2).spent == 10


def test_a_disk_that_is_full(path, opened):
    """A real limit on what a process may write, in a process of its own."""
    opened().close()
    code = f"""
import resource, signal
from datetime import datetime, UTC
from llmmetrics.errors import LedgerError
from llmmetrics.budgets.ledgers import Basis, CallId, open_ledger
from llmmetrics.settings.windows import ResetPeriod, WindowSchedule
now = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
ledger = open_ledger("sqlite:///{path}", namespace="n")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
booked = 0
try:
    for n in range(100_000):
        ledger.settle("b", CallId("o", n), 5, Basis.KNOWN, now, WindowSchedule(ResetPeriod.DAILY).window(now))
        booked += 1
except LedgerError as exc:
    print(booked, exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    booked, said = done.stdout.split(" ", 1)
    assert "ledger.db: " in said
    # what was acknowledged is there, and the file goes on
    assert settle(opened(), 10**6, 1).spent == 5 * int(booked) + 1


def test_a_directory_that_cannot_be_written_to():
    with pytest.raises(ConfigError, match=r"LlmSettings\.Budget\.Ledger: /proc/none/x.db cannot be written"):
        open_ledger("sqlite:////proc/none/x.db", namespace="n")


def test_the_file_is_its_user_s_alone(path, opened, tmp_path):
    opened()
    assert (path.with_name("ledger.db.lock").stat().st_mode & 0o077) == 0


def test_a_file_does_not_grow_with_settled_calls(path, opened):
    """Short workers, each with a few calls: what ends well leaves nothing, what does not leaves a row."""
    ledger = opened()
    for owner in range(20):
        for n in range(50):
            ledger.settle("b", CallId(f"o{owner}", n), 1, Basis.KNOWN, NOW, DAY)
        if owner < 10:
            ledger.retire("b", f"o{owner}")
    with sqlite3.connect(path) as db:
        (kept,) = db.execute("SELECT count(*) FROM settled_ranges").fetchone()
        (open_rows,) = db.execute("SELECT count(*) FROM reservations").fetchone()
    db.close()
    assert (kept, open_rows) == (10, 0)
    assert ledger.balance("b", DAY, 0).spent == 1000


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("a/b", "a_b"), ("ä", "a"), ("..", "__")])
def test_each_namespace_has_a_file_of_its_own(one, other, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_url(one) != default_url(other)
    assert default_url(one).removeprefix(f"sqlite:///{tmp_path}/llmmetrics/").count("/") == 0


def test_a_booking_in_the_midst_of_another_of_the_same_thread(tmp_path):
    """As the handler of a signal makes one."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}", namespace="default")
    ledger._file.write(lambda _: ledger_calls.settle(ledger, 5, "a"))
    assert ledger_calls.balance(ledger).spent == 5
    with pytest.raises(ZeroDivisionError):
        ledger._file.write(lambda _: ledger._file.write(lambda _: 1 / 0))
    assert ledger_calls.settle(ledger, 7, "b").spent == 12
    ledger.close()
