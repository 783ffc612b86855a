"""Finds the master of a key: on one server, by Sentinel, or in a Cluster, each with redis-py's own client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from redis import Redis, RedisCluster
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.connection import parse_url
from redis.exceptions import AskError, ClusterDownError, ReadOnlyError, RedisClusterException, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from redis.sentinel import Sentinel

from llmmetrics.system import processes

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

    def master(self, key: str, /) -> Redis:
        """Return the client of the server that has this key now."""
        ...

    def look_again(self) -> None:
        """Find the masters again. Commands of other threads go on."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


class OneMaster:
    """A server by its address, or the master that Sentinel names: each new connection asks for it."""

    moved: tuple[type[Exception], ...] = _NOT_HERE
    pauses: Sequence[float] = (0.0,)

    def __init__(self, redis: Redis, timeout: float, sentinels: Sequence[Redis] = ()) -> None:
        self.timeout = timeout
        self._redis = redis
        self._sentinels = sentinels

    def master(self, _key: str, /) -> Redis:
        return self._redis

    def look_again(self) -> None:
        # the address may belong to another server by now
        self._redis.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        for each in (self._redis, *self._sentinels):
            each.close()


class ManyMasters:
    """A Redis Cluster. The first call opens it, so that a program can start while it is away."""

    moved: tuple[type[Exception], ...] = (*_NOT_HERE, RedisConnectionError, RedisClusterException)
    # a slot that is being moved has its keys on two servers for some milliseconds
    pauses: Sequence[float] = (0.0, 0.03, 0.1, 0.3)

    def __init__(self, servers: Sequence[tuple[str, int]], timeout: float, options: Mapping[str, Any]) -> None:
        self.timeout = timeout
        self._servers = servers
        self._options = options
        self._lock = Lock()
        self._cluster: RedisCluster | None = None
        processes.on_fork(self._forked)

    def master(self, key: str, /) -> Redis:
        cluster: Any = self._opened()
        redis: Redis = cluster.get_redis_connection(cluster.get_node_from_key(key))
        return redis

    def look_again(self) -> None:
        self._opened().nodes_manager.initialize()

    def close(self) -> None:
        with self._lock:
            if self._cluster is not None:
                self._cluster.close()
            self._cluster = None

    def _opened(self) -> RedisCluster:
        with self._lock:
            if self._cluster is None:
                nodes = [_NODE(*server) for server in self._servers]
                self._cluster = RedisCluster(startup_nodes=nodes, require_full_coverage=False, **self._options)
            return self._cluster

    def _forked(self) -> None:
        # a thread of the parent may have held one of redis-py's locks
        self._lock = Lock()
        self._cluster = None


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
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    login, at, hosts = parts.netloc.rpartition("@")
    servers = [
        (each.hostname, each.port or PORTS[kind]) for each in (urlsplit(f"//{host}") for host in hosts.split(","))
    ]
    service, database = "", parts.path.strip("/")
    if kind == "sentinel":
        service, _, database = database.partition("/")
    # redis-py knows the type of each option
    options: dict[str, Any] = dict(_parse(f"{scheme}://{login}{at}_/{database}?{parts.query}"))
    del options["host"]
    if options.pop("connection_class", None):
        options["ssl"] = True
    named = [(host, port) for host, port in servers if host]
    if len(named) < len(servers):
        raise ValueError("a host has no name")
    return _Address(kind, named, service or SERVICE, options)


def _one(url: str, _address: _Address, ours: Mapping[str, Any]) -> MasterFinder:
    redis = Redis.from_url(url, **ours)
    return OneMaster(redis, redis.get_connection_kwargs()["socket_timeout"])


def _sentinel(_url: str, address: _Address, ours: Mapping[str, Any]) -> MasterFinder:
    options = {**ours, **address.options}
    # Sentinel has a password of its own, or none
    own = {name: options.pop(name) for name in [*options] if name.startswith(_OWN)}
    both = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl"))}
    theirs = {name.removeprefix(_OWN): value for name, value in own.items()}
    # the next Sentinel is asked instead of this one again: redis-py would wait for seconds
    once = Retry(NoBackoff(), 0)
    sentinel = _SENTINEL(address.servers, sentinel_kwargs={"retry": once, **both, **theirs})
    return OneMaster(sentinel.master_for(address.service, **options), options["socket_timeout"], sentinel.sentinels)


def _cluster(_url: str, address: _Address, ours: Mapping[str, Any]) -> MasterFinder:
    # no retry: `ManyMasters` tries again, after a look for the master
    options = {**ours, **address.options, "retry": None}
    if options.pop("db", 0):
        raise ValueError("a cluster has database 0 alone")
    return ManyMasters(address.servers, options["socket_timeout"], options)


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
