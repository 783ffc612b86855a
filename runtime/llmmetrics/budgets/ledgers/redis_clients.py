"""Finds the master of a key: on one server, by Sentinel, or in a Cluster, each with redis-py's own client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelManagedConnection, SentinelManagedSSLConnection

from llmmetrics.budgets.ledgers.redis_packing import ScriptPacker
from llmmetrics.budgets.ledgers.redis_urls import split_url
from llmmetrics.system import processes

T = TypeVar("T")

TIMEOUT = 0.5
"""Seconds that a call waits for a server; `?socket_timeout=` in the URL says otherwise."""

PORTS = {"": 6379, "cluster": 6379, "sentinel": 26379}
"""The usual port of each kind of address."""

SERVICE = "mymaster"
"""The name that Sentinel's own documentation has for a master."""

# redis-py does not type these
_NODE: Callable[[str, int], ClusterNode] = ClusterNode
_SENTINEL: Callable[..., Any] = Sentinel
_parse: Callable[[str], Mapping[str, Any]] = parse_url
_connected: Callable[[Redis], Redis] = Redis.client

_OWN = "sentinel_"
"""What the options of Sentinel itself begin with: `?sentinel_password=`."""

_NOT_HERE = (ReadOnlyError, AskError, ClusterDownError, TryAgainError)
"""What a server says that is not the master. MOVED is a kind of ASK, MASTERDOWN of CLUSTERDOWN; redis-py itself asks
again after LOADING, on a new connection."""


class MasterFinder(Protocol):
    """A client of redis-py."""

    timeout: float
    """Seconds that a call waits for a server."""
    moved: tuple[type[Exception], ...]
    """Errors after which another server, or another connection, may answer."""
    pauses: Sequence[float]
    """Seconds to wait before each further attempt after such an error."""

    def ask(self, key: str, question: Callable[[Redis], T], /) -> T:
        """Ask the server that has this key now."""
        ...

    def look_again(self) -> None:
        """Find the masters again. Commands of other threads go on."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


_of_parents: list[object] = []
"""Clients of a process that this one was forked off. They are never closed: that would wait for the parent's locks."""


class ProcessClient(Generic[T]):
    """A client that each process makes at its first use.

    A child that used its parent's could wait for ever: a thread that held one of redis-py's locks at the fork is gone.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._client: T | None = None
        processes.on_fork(self._forked)

    def get(self) -> T:
        """Return the client of this process."""
        client = self._client
        if client is None:
            with self._lock:
                client = self._client = self._client or self._make()
        return client

    def take(self) -> T | None:
        """Return the client of this process, if there is one, and forget it."""
        client, self._client = self._client, None
        return client

    def _forked(self) -> None:
        self._lock = Lock()
        if self._client is not None:
            _of_parents.append(self._client)
            self._client = None


class _Connected(NamedTuple):
    """A client, and those made of it that have a connection each: redis-py's pool takes half of a question's time."""

    redis: Redis
    idle: deque[Redis]


class OneMaster:
    """A server by its address, or the master that Sentinel names: each new connection asks for it."""

    moved: tuple[type[Exception], ...] = _NOT_HERE
    pauses: Sequence[float] = (0.0,)

    def __init__(self, make: Callable[[], Redis]) -> None:
        self._clients = ProcessClient(lambda: _Connected(make(), deque()))
        self.timeout = self._clients.get().redis.get_connection_kwargs()["socket_timeout"]

    def ask(self, _key: str, question: Callable[[Redis], T], /) -> T:
        redis, idle = self._clients.get()
        try:
            client = idle.pop()
        except IndexError:
            client = _connected(redis)
        try:
            answer = question(client)
        except RedisError:
            idle.append(client)
            raise
        except BaseException:
            # Ctrl-C between a question and its answer: the answer, which comes, would be taken for the next one's
            connection: Any = client.connection
            connection.disconnect()
            client.close()
            raise
        idle.append(client)
        return answer

    def look_again(self) -> None:
        # the address may belong to another server by now
        redis, idle = self._clients.get()
        _return_connections(idle)
        redis.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        if clients := self._clients.take():
            _return_connections(clients.idle)
            clients.redis.close()


def _return_connections(clients: deque[Redis]) -> None:
    with suppress(IndexError):
        while True:
            clients.pop().close()


class ManyMasters:
    """A Redis Cluster. The first call opens it, so that a program can start while it is away."""

    moved: tuple[type[Exception], ...] = (*_NOT_HERE, RedisConnectionError, RedisClusterException)
    # a slot that is being moved has its keys on two servers for some milliseconds
    pauses: Sequence[float] = (0.0, 0.03, 0.1, 0.3)

    def __init__(self, make: Callable[[], RedisCluster], timeout: float) -> None:
        self._client = ProcessClient(make)
        self.timeout = timeout

    def ask(self, key: str, question: Callable[[Redis], T], /) -> T:
        cluster: Any = self._client.get()
        redis: Redis = cluster.get_redis_connection(cluster.get_node_from_key(key))
        return question(redis)

    def look_again(self) -> None:
        self._client.get().nodes_manager.initialize()

    def close(self) -> None:
        if cluster := self._client.take():
            cluster.close()


class _Address(NamedTuple):
    """What the URL of a ledger says."""

    kind: str
    """`cluster`, `sentinel`, or empty for one server."""
    servers: Sequence[tuple[str, int]]
    service: str
    options: dict[str, Any]
    """As redis-py's clients take them."""


def _address(url: str) -> _Address:
    """Read `SCHEME://[user:password@]host:port,host:port/…`. Raises `ValueError` for a URL that is wrong."""
    parts = split_url(url)
    scheme, _, kind = parts.scheme.partition("+")
    login, at, hosts = parts.netloc.rpartition("@")
    servers = [
        (each.hostname, each.port or PORTS[kind]) for each in (urlsplit(f"//{host}") for host in hosts.split(","))
    ]
    service, database = "", parts.path.strip("/")
    if kind == "sentinel":
        service, _, database = database.partition("/")
    if database and not database.isdecimal():
        # redis-py would take the first database
        raise ValueError(f"the database {database!r} is not a number")
    # redis-py knows the type of each option
    options: dict[str, Any] = dict(_parse(f"{scheme}://{login}{at}_/{database}?{parts.query}"))
    del options["host"]
    if options.pop("connection_class", None):
        options["ssl"] = True
    named = [(host, port) for host, port in servers if host]
    if len(named) < len(servers):
        raise ValueError("a host has no name")
    return _Address(kind, named, service or SERVICE, options)


_PACKER = {"command_packer": ScriptPacker()}
"""An option of redis-py's connections, which its Cluster does not have."""


def _one(url: str, _address: _Address, ours: Mapping[str, Any]) -> MasterFinder:
    return OneMaster(partial(Redis.from_url, url, **ours, **_PACKER))


class _SentinelConnection(SentinelManagedConnection):
    """Asks Sentinel whenever it connects, and ends at a timeout, as redis-py's other connections do.

    Else it would connect to the server that it had before, which may be a replica by now; and after a timeout, the next
    command would read the late answer.
    """

    def send_packed_command(self, *args: Any, **options: Any) -> Any:
        self.connect()  # type: ignore[no-untyped-call]
        return super().send_packed_command(*args, **options)  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, disconnect_on_error: bool | None = True, **options: Any) -> Any:
        return super().read_response(*args, disconnect_on_error=disconnect_on_error, **options)


class _SentinelTlsConnection(_SentinelConnection, SentinelManagedSSLConnection):
    """The same, with TLS."""


def _sentinel(_url: str, address: _Address, ours: Mapping[str, Any]) -> MasterFinder:
    options = {**ours, **address.options, **_PACKER}
    # Sentinel has a password of its own, or none
    own = {name: options.pop(name) for name in [*options] if name.startswith(_OWN)}
    both = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl"))}
    theirs = {name.removeprefix(_OWN): value for name, value in own.items()}
    # the next Sentinel is asked instead of this one again: redis-py would wait for seconds
    once = Retry(NoBackoff(), 0)

    kind = _SentinelTlsConnection if options.pop("ssl", False) else _SentinelConnection

    def make() -> Redis:
        sentinel = _SENTINEL(address.servers, sentinel_kwargs={"retry": once, **both, **theirs})
        master: Redis = sentinel.master_for(address.service, connection_class=kind, **options)
        return master

    return OneMaster(make)


def _cluster(_url: str, address: _Address, ours: Mapping[str, Any]) -> MasterFinder:
    # no retry: `ManyMasters` tries again, after a look for the master
    options = {**ours, **address.options, "retry": None}
    if options.pop("db", 0):
        raise ValueError("a cluster has database 0 alone")

    def make() -> RedisCluster:
        nodes = [_NODE(*server) for server in address.servers]
        return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)

    return ManyMasters(make, options["socket_timeout"])


_KINDS: Mapping[str, Callable[[str, _Address, Mapping[str, Any]], MasterFinder]] = {
    "": _one,
    "cluster": _cluster,
    "sentinel": _sentinel,
}


def master_finder(url: str) -> MasterFinder:
    """Make the client for a URL; it connects later. Raises `ValueError` or `TypeError` for a URL that is wrong."""
    address = _address(url)
    # every script may be sent twice: a connection that an idle firewall has cut is tried again, once
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    ours = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry": retry, "decode_responses": True}
    return _KINDS[address.kind](url, address, ours)
