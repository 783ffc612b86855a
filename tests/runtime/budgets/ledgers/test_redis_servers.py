"""Redis, Sentinel and Cluster: their URLs, and a booking that a replica acknowledges."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from redis import Redis
from support import whose_money
from support.ledger_calls import balance, reserve, settle
from support.redis_fleets import cluster_fleet, sentinel_fleet
from support.relays import Relay
from support.servers import free_port, redis_server, until

from llmmetrics.budgets.ledgers import open_ledger, redis_urls
from llmmetrics.budgets.ledgers.redis_clients import _address
from llmmetrics.errors import ConfigError, LedgerError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis+sentinel://a,b:7/main/2", ("sentinel", [("a", 26379), ("b", 7)], "main", {"db": 2})),
        ("redis+sentinel://a", ("sentinel", [("a", 26379)], "mymaster", {})),
        ("redis+cluster://a,[::1]:7", ("cluster", [("a", 6379), ("::1", 7)], "mymaster", {})),
        ("rediss+cluster://a", ("cluster", [("a", 6379)], "mymaster", {"ssl": True})),
        (
            "redis+sentinel://u:p%40@a/s?socket_timeout=2&sentinel_password=x",
            (
                *("sentinel", [("a", 26379)], "s"),
                {"username": "u", "password": "p@", "socket_timeout": 2.0, "sentinel_password": "x"},
            ),
        ),
    ],
)
def test_what_a_url_says(url, address):
    assert _address(url) == address


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis+cluster://a,[::1]:7/0?ssl=1", "a,[::1]:7"),
        ("redis+sentinel://u:p@[::1],[::2]:7/s", "u:p@[::1],[::2]:7"),
        ("rediss+cluster://a,b,[::1]", "a,b,[::1]"),
    ],
)
def test_a_python_that_splits_urls_of_one_host_alone(monkeypatch, url, hosts):
    def strict(text):
        assert "[" not in text.partition("://")[2]
        return urlsplit(text)

    monkeypatch.setattr(redis_urls, "urlsplit", strict)
    parts = redis_urls.split_url(url)
    assert parts.netloc == hosts
    assert parts.hostname
    assert parts.geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        *("redis+cluster://u:secret@a,:7", "redis+cluster://u:secret@a:port", "redis+cluster://u:secret@a/3"),
        *("redis+cluster://u:secret@a,[::1", "redis+cluster://u:secret@a,::1]:7"),
        *("redis+sentinel://u:secret@a,/s", "redis+sentinel://u:secret@a/s?socket_timeout=long"),
        *("redis+sentinel://u:secret@a/s/main", "redis://u:secret@a/main", "rediss://u:secret@a/0/1"),
    ],
)
def test_a_wrong_url_is_an_error_without_its_password(url):
    with pytest.raises(ConfigError, match=r"write redis(\+|:)") as refused:
        open_ledger(url, namespace="n")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "redis+sentinel", "redis+cluster"])
def test_a_program_starts_while_its_servers_are_away(scheme):
    url = f"{scheme}://u:secret@127.0.0.1:{free_port()}"
    ledger = open_ledger(url, namespace="n")
    with pytest.raises(LedgerError, match=f"{scheme.replace('+', '.')}://127") as refused:
        balance(ledger)
    assert "secret" not in str(refused.value)
    ledger.close()


@pytest.mark.parametrize("fleet_of", [sentinel_fleet, cluster_fleet], ids=["sentinel", "cluster"])
def test_the_verbs_and_runs_tags_and_failover(tmp_path, fleet_of):
    with fleet_of(tmp_path) as fleet:
        for durability in ("normal", "replicated"):
            spend(fleet.url, durability)
            sides = (whose_money.Side(fleet.url, f"money-{durability}", durability) for _ in range(2))
            whose_money.play(*sides)


def spend(url, durability):
    ledger = open_ledger(url, namespace=durability, durability=durability)
    for backend in "bcdefgh":
        assert reserve(ledger, 60, id=f"{backend}1", backend=backend).admitted
        assert not reserve(ledger, 60, id=f"{backend}2", backend=backend).admitted
        assert settle(ledger, 30, id=f"{backend}1", backend=backend).spent == 30
    other = open_ledger(url, namespace=durability, durability="normal")
    assert [(row.key, row.spent) for row in other.history()] == [(name, 30) for name in "hgfedcb"]
    ledger.close()
    other.close()


def test_a_connection_is_kept_and_serves_one_question_at_a_time(tmp_path):
    with redis_server(tmp_path) as server, Redis.from_url(server.url, decode_responses=True) as admin:
        ledger = open_ledger(server.url, namespace="n")
        settle(ledger, 1, id="a")
        before = admin.info("stats")["total_connections_received"]
        for id in "bcd":
            settle(ledger, 1, id=id)
        assert admin.info("stats")["total_connections_received"] == before
        # the garbage collector, or a signal, may ask in the midst of a question of the same thread
        answers = ledger._servers.ask("k", lambda redis: (settle(ledger, 1, id="e"), redis.execute_command("PING")))
        assert answers[0].spent == 5
        assert admin.info("stats")["total_connections_received"] == before + 1
        # the server ends idle connections
        admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert settle(ledger, 1, id="f").spent == 6
        ledger.close()
        until(lambda: admin.info("clients")["connected_clients"] == 1, "the end of the connections")


def test_an_answer_that_was_not_waited_for_is_never_taken_for_the_next_one(tmp_path):
    """Ctrl-C between a question and its answer."""
    with redis_server(tmp_path) as server:
        ledger = open_ledger(server.url, namespace="n")
        settle(ledger, 5, id="a")

        def interrupted(redis):
            redis.connection.send_command("GET", "k")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            ledger._servers.ask("k", interrupted)
        assert [settle(ledger, 1, id=id).spent for id in "bcd"] == [6, 7, 8]
        ledger.close()


def test_without_a_replica_nothing_counts_as_replicated(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with redis_server(tmp_path / "one") as master, redis_server(tmp_path / "two") as second:
        ledger = open_ledger(master.url, namespace="n", durability="replicated")
        for verb in (reserve, settle):
            with pytest.raises(LedgerError, match=r"no replica has acknowledged|no answer within"):
                verb(ledger, 5, id=verb.__name__)
        # what needs no replica is answered
        balance(ledger)
        with Redis.from_url(second.url, decode_responses=True) as replica:
            replica.replicaof("127.0.0.1", master.port)
            until(lambda: replica.info("replication")["master_link_status"] == "up", "the replica")
        for verb in (reserve, settle):
            verb(ledger, 5, id=verb.__name__)
        assert balance(ledger)[:2] == (5, 5)
        ledger.close()


def test_a_repeated_reservation_waits_for_the_replica_too(tmp_path):
    """The first answer was lost with its connection: the second script writes nothing, and has to be acknowledged."""
    with sentinel_fleet(tmp_path) as fleet:
        first, second = (open_ledger(fleet.url, namespace="n", durability="replicated") for _ in range(2))
        assert reserve(first, 5, id="x").admitted
        fleet.relay.replica_delay = 60
        with pytest.raises(LedgerError, match=r"no replica has acknowledged|no answer within"):
            reserve(second, 5, id="x")
        first.close()
        second.close()


@pytest.mark.parametrize(
    ("fleet_of", "returns", "durability"),
    [
        (partial(sentinel_fleet, replicas=2), True, "normal"),
        (partial(sentinel_fleet, replicas=2), False, "normal"),
        (partial(sentinel_fleet, replicas=2), True, "replicated"),
        (partial(sentinel_fleet, replicas=2), False, "replicated"),
        (cluster_fleet, False, "normal"),
    ],
)
def test_a_kept_connection_leaves_a_master_that_was_replaced(tmp_path, fleet_of, returns, durability):
    """The old master is at its address again as a replica, or is gone for good."""
    with fleet_of(tmp_path) as fleet:
        # in a cluster, the keys of this namespace are on the first master
        ledger = open_ledger(fleet.url, namespace="chaos1", durability=durability)
        settle(ledger, 5, id="a")
        fleet.first.kill()
        until(fleet.master, "a new master", 30)
        if returns:
            fleet.first.start("--replicaof", f"127.0.0.1 {fleet.master().port}")
            until(lambda: fleet.synced(fleet.first), "the old master", 30)

        def answers():
            try:
                return settle(ledger, 1, id="b") and balance(ledger)
            except LedgerError:
                return None

        until(answers, "an answer", 30)
        ledger.close()


def test_an_sqlite_file_has_no_replicas(tmp_path):
    with pytest.raises(ConfigError, match="replicated is for a Redis ledger"):
        open_ledger(f"sqlite:///{tmp_path}/x.db", namespace="n", durability="replicated")


@contextmanager
def behind_a_relay(directory):
    with redis_server(directory) as server, Relay(server.port) as relay:
        yield SimpleNamespace(url=f"redis://127.0.0.1:{relay.port}/0", relay=relay)


@pytest.mark.parametrize(
    "fleet_of", [behind_a_relay, sentinel_fleet, cluster_fleet], ids=["server", "sentinel", "cluster"]
)
def test_a_late_answer_is_not_taken_for_the_next_one(tmp_path, fleet_of):
    # in a cluster, the keys of this namespace are on the first master
    namespace = "chaos1"
    with fleet_of(tmp_path) as fleet:
        ledger = open_ledger(fleet.url, namespace=namespace)
        settle(ledger, 7, id="x")
        fleet.relay.delay = 0.7
        with pytest.raises(LedgerError, match="no answer within"):
            reserve(ledger, 5, limit=5, id="y")
        fleet.relay.delay = 0
        assert settle(ledger, 0, id="y").spent == 7
        assert balance(ledger).spent == 7
        ledger.close()
