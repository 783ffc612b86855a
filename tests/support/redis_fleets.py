"""Starts several Redis servers as one: a master, its replicas and three Sentinels, or a Cluster of three pairs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from support.relays import Relay
from support.servers import RedisServer, free_port, program, until

SERVICE = "ledger"
DOWN_AFTER = 1000
"""Milliseconds after which a server that does not answer counts as down."""


class Fleet:
    """Servers, one of which is the master of a key. Everything reaches the first master through a relay."""

    def __init__(self, url: str, servers: Sequence[RedisServer], replicas: Sequence[RedisServer], relay: Relay) -> None:
        self.url = url
        self.servers = servers
        self.replicas = replicas
        """Those of the first server."""
        self.relay = relay

    @property
    def first(self) -> RedisServer:
        """The server behind the relay, which is a master at the start."""
        return self.servers[0]

    @property
    def replica(self) -> RedisServer:
        """A replica of the first server."""
        return self.replicas[0]

    def client(self, server: RedisServer) -> closing[Redis]:
        return closing(Redis.from_url(server.url, decode_responses=True, socket_timeout=2))

    def role(self, server: RedisServer) -> str:
        with self.client(server) as client:
            try:
                return client.info("replication")["role"]
            except RedisError as exc:
                return type(exc).__name__

    def master(self) -> RedisServer | None:
        """Return the replica of the first server that has taken its place."""
        return next((server for server in self.replicas if self.role(server) == "master"), None)

    def synced(self, server: RedisServer) -> bool:
        """Return whether a replica has its master's data."""
        with self.client(server) as client:
            try:
                return client.info("replication").get("master_link_status") == "up"
            except RedisError:
                return False

    def behind(self) -> int:
        """Return how many bytes the first master's replica has not acknowledged."""
        with self.client(self.first) as client:
            state = client.info("replication")
        return state["master_repl_offset"] - state["slave0"]["offset"]


def _server(stack: ExitStack, directory: Path, *options: str) -> RedisServer:
    directory.mkdir()
    # a full copy begins at once: Redis waits five seconds for further replicas
    server = RedisServer(directory, "--repl-diskless-sync-delay", "0", *options)
    stack.callback(server.kill)
    return server


@contextmanager
def sentinel_fleet(directory: Path, replicas: int = 1) -> Iterator[Fleet]:
    """Run a master, its replicas and three Sentinels inside the block."""
    with ExitStack() as stack:
        relay = stack.enter_context(Relay())
        master = _server(stack, directory / "one", "--replica-announce-port", str(relay.port))
        relay.target = master.port
        follow = ("--replicaof", f"127.0.0.1 {relay.port}")
        others = [_server(stack, directory / f"replica{n}", *follow) for n in range(replicas)]
        ports = [free_port() for _ in range(3)]
        for port in ports:
            config = directory / f"sentinel-{port}.conf"
            config.write_text(
                f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {relay.port} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\n"
                f"sentinel failover-timeout {SERVICE} 5000\n"
            )
            log = stack.enter_context((directory / f"sentinel-{port}.log").open("wb"))
            process = subprocess.Popen([program("redis-server", "redis-server"), str(config), "--sentinel"], stdout=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        fleet = Fleet(f"redis+sentinel://{addresses}/{SERVICE}", [master, *others], others, relay)
        until(lambda: all(map(fleet.synced, others)), "the replicas")
        for port in ports:
            until(lambda port=port: _knows_all(port, replicas), "the Sentinels")
        yield fleet


def _knows_all(port: int, replicas: int) -> bool:
    with closing(Redis("127.0.0.1", port, decode_responses=True)) as client:
        try:
            state = client.sentinel_master(SERVICE)
        except RedisError:
            return False
    return state["num-slaves"] == replicas and state["num-other-sentinels"] == 2


SLOTS = 16384


@contextmanager
def cluster_fleet(directory: Path, pairs: int = 3) -> Iterator[Fleet]:
    """Run a Cluster of masters, each with a replica, inside the block. The first master has every slot's first part."""
    common = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(DOWN_AFTER), "--cluster-require-full-coverage")
    with ExitStack() as stack:
        relay = stack.enter_context(Relay())
        servers = []
        for n in range(2 * pairs):
            # the bus, where servers talk, is not behind the relay
            options = ["--cluster-announce-ip", "127.0.0.1"]
            if not n:
                bus = free_port()
                options += ["--cluster-announce-port", str(relay.port), "--cluster-announce-bus-port", str(bus)]
                options += ["--cluster-port", str(bus)]
            else:
                options += ["--cluster-port", str(free_port())]
            servers.append(_server(stack, directory / f"{n}", *common, "no", *options))
        relay.target = servers[0].port
        url = f"redis+cluster://127.0.0.1:{relay.port},127.0.0.1:{servers[1].port}"
        fleet = Fleet(url, servers, [servers[pairs]], relay)
        clients = [stack.enter_context(fleet.client(server)) for server in servers]
        for n, client in enumerate(clients[:pairs]):
            client.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS * n // pairs, SLOTS * (n + 1) // pairs - 1)
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", n + 1)
        for client in clients[1:]:
            client.execute_command("CLUSTER MEET", "127.0.0.1", servers[0].port, bus)
        until(lambda: all(len(client.cluster("nodes")) == 2 * pairs for client in clients), "the nodes")
        for master, client in zip(clients[:pairs], clients[pairs:], strict=True):
            until(lambda master=master, client=client: _follow(master, client), "a replica")
        until(lambda: all(client.cluster("info")["cluster_state"] == "ok" for client in clients), "the cluster")
        until(lambda: all(map(fleet.synced, servers[pairs:])), "the replicas")
        yield fleet


def _follow(master: Redis, replica: Redis) -> bool:
    try:
        return replica.execute_command("CLUSTER REPLICATE", master.execute_command("CLUSTER MYID")) in ("OK", True)
    except RedisError:
        return False
