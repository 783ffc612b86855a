"""Ledgers that an older llmmetrics (schema 1) has written: upgraded once, spend kept to the unit."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from redis import Redis
from support.ledger_calls import DAY, HOUR, NEVER, NOW, UPTIME, age, balance, reserve, settle

from llmmetrics.budgets.journal import Entry, Journal
from llmmetrics.budgets.ledgers import Basis, open_ledger
from llmmetrics.budgets.ledgers.base import MOST, bounds, milliseconds, old_id, quarter_hour
from llmmetrics.errors import LedgerError

OLD_TABLES = """
CREATE TABLE windows (
  backend TEXT, start INTEGER, "end" INTEGER, spent INTEGER NOT NULL, generation INTEGER NOT NULL DEFAULT 0,
  "limit" INTEGER, PRIMARY KEY (backend, "end", start)) WITHOUT ROWID;
CREATE TABLE quarters (
  backend TEXT, start INTEGER, spent INTEGER NOT NULL, PRIMARY KEY (backend, start)) WITHOUT ROWID;
CREATE TABLE held (
  backend TEXT, id TEXT, amount INTEGER NOT NULL, admitted INTEGER NOT NULL, ends INTEGER NOT NULL,
  PRIMARY KEY (backend, id)) WITHOUT ROWID;
CREATE TABLE settled (id TEXT UNIQUE, admitted INTEGER NOT NULL);
CREATE TABLE resets (backend TEXT, at INTEGER, by TEXT, amount INTEGER);
"""
TODAY, YESTERDAY, ALWAYS = DAY.window(NOW), DAY.window(NOW - timedelta(days=1)), NEVER.window(NOW)
AT = milliseconds(NOW)

# nano-dollars
WINDOWS = [
    ("b", YESTERDAY, 7, 2, 100),
    ("b", TODAY, 1_234_567_891, 0, 5_000_000_000),
    ("b", ALWAYS, 999_234_567_898, 0, None),
    ("c", TODAY, 9_100_000_000_000_000, 0, None),
]
QUARTERS = [("b", NOW, 1_234_567_891), ("b", NOW - timedelta(days=1), 7), ("c", NOW, 9_100_000_000_000_000)]
HELD = [("b", "token-1-3", 60), ("b", "token-1-4", 40)]
SETTLED = ["token-1-1", "token-1-2"]


def old_file(path):
    with sqlite3.connect(path) as db:
        db.executescript(OLD_TABLES)
        db.executemany(
            "INSERT INTO windows VALUES (?, ?, ?, ?, ?, ?)",
            [(f"n\x1f{name}", *bounds(window), *rest) for name, window, *rest in WINDOWS],
        )
        db.executemany(
            "INSERT INTO quarters VALUES (?, ?, ?)",
            [(f"n\x1f{name}", quarter_hour(milliseconds(at)), spent) for name, at, spent in QUARTERS],
        )
        db.executemany(
            "INSERT INTO held VALUES (?, ?, ?, ?, ?)",
            [(f"n\x1f{name}", id, amount, AT, AT + 60_000) for name, id, amount in HELD],
        )
        db.executemany("INSERT INTO settled VALUES (?, ?)", [(id, AT) for id in SETTLED])
        db.execute("INSERT INTO resets VALUES (?, ?, 'alice', 5)", ("n\x1fb", AT))
        db.execute("PRAGMA user_version = 1")
    db.close()


def old_redis(url):
    with Redis.from_url(url) as client:
        for name, window, spent, generation, limit in WINDOWS:
            ends = "{}:{}".format(*bounds(window))
            meta = f"llmmetrics:{{n:{name}}}:meta"
            client.hset(meta, "schema", 1)
            if window == YESTERDAY:
                client.hset(meta, f"p|{ends}", spent)
            else:
                client.hset(f"llmmetrics:{{n:{name}}}:windows", ends, spent)
            if generation:
                client.hset(meta, f"g|{ends}", generation)
            if limit:
                client.hset(meta, f"l|{ends}", limit)
            client.sadd("llmmetrics:{n}:backends", name)
        for name, at, spent in QUARTERS:
            client.hset(f"llmmetrics:{{n:{name}}}:meta", f"q|{quarter_hour(milliseconds(at))}", spent)
        for name, id, amount in HELD:
            client.hset(f"llmmetrics:{{n:{name}}}:held", id, f"{amount}:{AT}:{AT + 60_000}")
        for id in SETTLED:
            client.set(f"llmmetrics:{{n:b}}:settled:{id}", 1)
        client.lpush("llmmetrics:{n:b}:resets", f'[[{AT},"alice"],5]')


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "sqlite":
        old_file(tmp_path / "ledger.db")
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    address = request.getfixturevalue("redis_url")
    with Redis.from_url(address) as client:
        client.flushall()
    old_redis(address)
    yield address


@pytest.fixture
def ledger(url):
    made = open_ledger(url, namespace="n")
    yield made
    made.close()


def test_the_spend_is_kept_to_the_unit(ledger):
    assert balance(ledger).spent == 1_234_567_891_000
    assert balance(ledger, NOW - timedelta(days=1)).spent == 7_000
    # of a window that is never reset, more than the quarters of an hour that schema 1 kept
    assert balance(ledger, shape=NEVER).spent == 999_234_567_898_000
    assert balance(ledger, shape=HOUR).spent == 1_234_567_891_000
    assert balance(ledger, backend="c").spent == MOST
    rows = {(row.key, row.window): (row.spent, row.limit) for row in ledger.history()}
    assert rows["b", TODAY] == (1_234_567_891_000, 5_000_000_000_000)
    assert rows["b", YESTERDAY] == (7_000, 100_000)
    assert [tuple(each) for each in ledger.corrections()] == [("reset", "b", NOW, "alice", 5_000)]
    # it goes on
    limit = 1_234_567_991_010
    assert not reserve(ledger, 11, limit=limit).admitted
    assert reserve(ledger, 10, limit=limit, id="x").admitted
    assert settle(ledger, 9, "x").spent == 1_234_567_891_009


def test_a_call_in_flight_is_held_until_it_is_settled(ledger):
    assert balance(ledger).reserved == 100_000
    booked = settle(ledger, 25_000, old_id("token-1-3"))
    assert (booked.spent, booked.first) == (1_234_567_916_000, True)
    assert balance(ledger).reserved == 40_000
    assert not settle(ledger, 25_000, old_id("token-1-3")).first


def test_a_call_in_flight_whose_process_has_ended_is_booked_as_worst_case(ledger, url):
    # a whole lease from the first sight
    assert balance(ledger).reserved == 100_000
    if url.startswith("redis"):
        age(url, "n", 61)
    found = balance(ledger, uptime=UPTIME + 61)
    assert (found.reserved, found.worst_case, found.spent) == (0, 100_000, 1_234_567_991_000)
    assert settle(ledger, 1_000, old_id("token-1-4")).spent == 1_234_567_952_000


def test_an_id_that_was_settled_stays_settled(ledger):
    settle(ledger, 25_000, old_id("token-1-1"))
    assert balance(ledger).spent == 1_234_567_891_000


def test_the_journal_of_an_older_process_is_booked(ledger, tmp_path):
    lines = [f'["b", "{id}", 5, "{NOW.isoformat()}"]\n' for id in ("token-1-1", "token-1-3", "token-1-9")]
    (tmp_path / "n.999999999.x.jsonl").write_text("".join(lines))
    journal = Journal(tmp_path, "n")
    assert journal.waiting[1] == Entry("b", old_id("token-1-3"), 5_000, NOW, Basis.KNOWN)
    for _ in range(2):
        for each in journal.waiting:
            ledger.settle(each.key, each.id, each.amount, each.basis, each.admitted, TODAY)
    found = balance(ledger)
    assert (found.spent, found.reserved) == (1_234_567_901_000, 40_000)
    # an older process that comes back does not read, and so does not lose, what waits now
    (file,) = [each for each in tmp_path.iterdir() if each.name.startswith("n.")]
    assert file.suffix != ".jsonl"


def test_several_that_open_it_at_once_upgrade_it_once(url):
    def opened(_):
        made = open_ledger(url, namespace="n")
        found = balance(made), balance(made, shape=NEVER)
        made.close()
        return [(each.spent, each.reserved) for each in found]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(opened, range(8)))
    assert answers == [[(1_234_567_891_000, 100_000), (999_234_567_898_000, 100_000)]] * 8


def test_what_fails_leaves_the_older_form(tmp_path):
    path = tmp_path / "ledger.db"
    old_file(path)
    with sqlite3.connect(path) as db:
        # a name that the upgrade makes
        db.execute("CREATE TABLE alerts (x)")
    db.close()
    with pytest.raises(LedgerError, match="alerts"):
        open_ledger(f"sqlite:///{path}", namespace="n")
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM windows").fetchone() == (len(WINDOWS),)
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} == {
            *("windows", "quarters", "held", "settled", "resets", "alerts")
        }
    db.close()


def test_an_older_process_is_refused_clearly(url, tmp_path):
    """What schema 1 asked first: the version of a file, the schema of a key."""
    made = open_ledger(url, namespace="n")
    balance(made)
    made.close()
    if url.startswith("redis"):
        with Redis.from_url(url, decode_responses=True) as client:
            assert int(client.hget("llmmetrics:{n:b}:meta", "schema")) > 1
            assert not client.exists("llmmetrics:{n:b}:windows", "llmmetrics:{n:b}:held")
        return
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() > (1,)
        # a connection that was open finds no table that it knows
        for table in ("windows", "quarters", "held", "settled", "resets"):
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                db.execute(f"SELECT 1 FROM {table}")
    db.close()
