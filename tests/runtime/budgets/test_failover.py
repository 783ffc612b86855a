"""An address that leads to another Redis server than before: a virtual IP or a DNS name after a failover."""

from __future__ import annotations

import socket
from contextlib import contextmanager, suppress
from threading import Thread

import pytest
from redis import Redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from support.servers import redis_server, until

from llmmetrics import BudgetExceeded
from llmmetrics.budgets.ledgers.redis_servers import NotReplicatedError, RedisServers
from llmmetrics.errors import LedgerError


class Address:
    """An address of its own that leads to a server; its connections stay where they are when that changes."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                one, _ = self.listener.accept()
                Thread(target=self._forward, args=(one,), daemon=True).start()

    def _forward(self, one):
        # a server that has ended takes none
        with suppress(OSError), one, socket.create_connection(("127.0.0.1", self.target)) as other:
            back = Thread(target=self._copy, args=(other, one), daemon=True)
            back.start()
            self._copy(one, other)
            back.join()

    @staticmethod
    def _copy(source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def port(server):
    return int(server.url.split(":")[2].split("/")[0])


@contextmanager
def pair(tmp_path):
    """A master, its replica, and an address that leads to the master."""
    for name in "ab":
        (tmp_path / name).mkdir()
    with redis_server(tmp_path / "a") as one, redis_server(tmp_path / "b") as other:
        with Redis.from_url(other.url, decode_responses=True) as replica:
            replica.replicaof("127.0.0.1", port(one))
            until(lambda: replica.info("replication")["master_link_status"] == "up", "the replica")
        address = Address(port(one))
        yield one, other, address
        address.listener.shutdown(socket.SHUT_RDWR)
        address.listener.close()


def fail_over(one, other, address):
    """Promote the replica once it has everything, make the old master its replica, and move the address."""
    with Redis.from_url(one.url) as old, Redis.from_url(other.url) as new:
        old.wait(1, 0)
        new.replicaof("NO", "ONE")
        old.replicaof("127.0.0.1", port(other))
        until(lambda: old.info("replication")["master_link_status"] == "up", "the old master")
    address.target = port(other)


@pytest.mark.parametrize("mode", ["strict", "documented"])
def test_a_running_process_follows_its_address_to_the_new_master(made, tmp_path, mode):
    with pair(tmp_path) as (one, other, address):
        setup = made("12", ledger=address.url, Mode=mode)
        setup.call(max_tokens=3)
        fail_over(one, other, address)
        for _ in range(3):
            assert setup.call(max_tokens=3).status_code == 200
        assert setup.spent == 12
        with pytest.raises(BudgetExceeded, match=r"spent \$12"):
            setup.call(max_tokens=3)
        assert setup.value("llmmetrics_ledger_errors_total", kind="unavailable") == 0


def test_an_old_master_that_came_back_empty_is_left_when_another_is_named(made, tmp_path):
    """It says that it is a master, and its connections last: the address is to be asked again."""
    (tmp_path / "empty").mkdir()
    with pair(tmp_path) as (one, _, address), redis_server(tmp_path / "empty") as empty:
        setup, other = (made("20", ledger=address.url, Mode="strict") for _ in range(2))
        for each in (setup, other, setup):
            each.call(max_tokens=3)
        address.target = port(empty)
        with Redis.from_url(one.url) as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for _ in range(2):
            with pytest.raises(BudgetExceeded, match="ledger"):
                setup.call(max_tokens=3)
            setup.clock.advance(seconds=2)
        address.target = port(one)
        assert setup.call(max_tokens=3).status_code == 200
        assert setup.spent == 12


def test_an_address_that_still_leads_to_a_replica(made, tmp_path, caplog):
    with pair(tmp_path) as (_, other, address):
        address.target = port(other)
        setup = made("12", ledger=address.url, Mode="strict")
        with pytest.raises(BudgetExceeded, match="ledger"):
            setup.call(max_tokens=3)
        assert "it is a replica: write the master's address" in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        *(ReadOnlyError("READONLY"), MovedError("1 127.0.0.1:1"), AskError("1 127.0.0.1:1")),
        *(ClusterDownError("down"), MasterDownError("down"), TryAgainError("TRYAGAIN")),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("times", [1, 2])
def test_another_connection_is_tried_once(tmp_path, error, times):
    with redis_server(tmp_path) as server:
        servers, tried = RedisServers(server.url, replicated=False, hints={}), []
        number = servers.ask("k", lambda redis: redis.client_id())

        def refuse(redis):
            tried.append(redis.client_id())
            if len(tried) <= times:
                raise error
            return "answer"

        if times == 1:
            assert servers.ask("k", refuse) == "answer"
        else:
            with pytest.raises(LedgerError):
                servers.ask("k", refuse)
        first, second = tried
        assert first == number != second
        servers.close()


def test_after_a_write_that_no_replica_has_the_master_is_asked_for_again(tmp_path):
    with redis_server(tmp_path) as server:
        servers = RedisServers(f"{server.url}?socket_timeout=10", replicated=False, hints={})
        number = servers.ask("k", lambda redis: redis.client_id())
        for error in (NotReplicatedError(), ResponseError("NOREPLICAS Not enough good replicas to write.")):

            def fail(_, error=error):
                raise error

            with pytest.raises(LedgerError):
                servers.ask("k", fail)
            before, number = number, servers.ask("k", lambda redis: redis.client_id())
            assert number > before
        servers.close()


def test_a_server_that_loads_its_data_is_named(tmp_path):
    with redis_server(tmp_path) as server:
        servers = RedisServers(server.url, replicated=False, hints={})

        def loading(_):
            raise BusyLoadingError("LOADING")

        with pytest.raises(LedgerError, match="it is loading its data"):
            servers.ask("k", loading)
        servers.close()
