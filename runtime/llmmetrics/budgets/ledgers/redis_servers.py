"""Runs scripts and commands of the Redis ledger on the master of a key, and says in a `LedgerError` what failed.

With `Durability: replicated`, what a script writes counts when a replica has it too: `WAIT 1` in the same pipeline.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import MasterNotFoundError

from llmmetrics.budgets.ledgers.redis_clients import TIMEOUT, master_finder
from llmmetrics.budgets.ledgers.redis_urls import split_url
from llmmetrics.errors import ConfigError, LedgerError

T = TypeVar("T")

ACKNOWLEDGED = 0.8
"""The part of the timeout in which a replica acknowledges a write."""


NO_REPLICAS = "NOREPLICAS"
"""What a master says whose `min-replicas-to-write` is not met."""


class NotReplicatedError(RedisError):
    """No replica has acknowledged a write in time. The master has it, and may lose it."""


class RedisScript:
    """A Lua script, and its name on the server."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisServers:
    """The servers of one URL. `hints` say what to do about an error of a script, by a word in it."""

    def __init__(self, url: str, *, replicated: bool, hints: Mapping[str, str]) -> None:
        self.name = _shown(url)
        self._replicated = replicated
        self._hints = hints
        try:
            self._finder = master_finder(url)
        except (ValueError, TypeError):
            # the error of redis-py may hold the password
            raise ConfigError(
                f"LlmSettings.Budget.Ledger: {self.name} is no URL that redis-py understands: write "
                f"{EXAMPLES[split_url(url).scheme.removeprefix('rediss').removeprefix('redis')]}"
            ) from None
        self._milliseconds = int(self._finder.timeout * ACKNOWLEDGED * 1000)

    def run(self, script: RedisScript, keys: Sequence[str], args: Sequence[str | int], *, durable: bool) -> Any:
        """Run a script whose keys are in one slot. `durable`: it writes what a failover should not lose."""
        send = self._send_replicated if durable and self._replicated else _send

        def ask(redis: Redis) -> Any:
            try:
                return send(redis, script, keys, args)
            except NoScriptError:
                redis.script_load(script.text)
                return send(redis, script, keys, args)

        return self.ask(keys[0], ask)

    def ask(self, key: str, ask: Callable[[Redis], T]) -> T:
        """Ask the master of a key. Raises `LedgerError`."""
        try:
            return self._ask(key, ask)
        except (RedisError, RedisClusterException) as exc:
            if isinstance(exc, NotReplicatedError) or NO_REPLICAS in str(exc):
                # it may be an old master that has come back
                self.look_again()
            hint = next((hint for kind, hint in _HINTS.items() if isinstance(exc, kind)), f"it says {exc}")
            hint = next((hint for word, hint in self._hints.items() if word in str(exc)), hint)
            raise LedgerError(f"{self.name}: {hint}") from None

    def look_again(self) -> None:
        """Find the masters again at the next question."""
        with suppress(RedisError, RedisClusterException):
            self._finder.look_again()

    def close(self) -> None:
        """Close every connection."""
        self._finder.close()

    def _ask(self, key: str, ask: Callable[[Redis], T]) -> T:
        finder = self._finder
        for pause in finder.pauses:
            try:
                return finder.ask(key, ask)
            except finder.moved:
                time.sleep(pause)
                finder.look_again()
        return finder.ask(key, ask)

    def _send_replicated(
        self, redis: Redis, script: RedisScript, keys: Sequence[str], args: Sequence[str | int]
    ) -> Any:
        with redis.pipeline(transaction=False) as pipe:
            _send(pipe, script, keys, args)
            # WAIT is for the writes of its own connection, and a script that is sent again may write nothing
            pipe.set(f"{keys[0]}:sync", 1)
            pipe.wait(1, self._milliseconds)
            answers = pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        if answers[-1] < 1:
            raise NotReplicatedError
        return answers[0]


def _send(redis: Redis, script: RedisScript, keys: Sequence[str], args: Sequence[str | int]) -> Any:
    command: Any = redis.execute_command
    return command("EVALSHA", script.sha, len(keys), *keys, *args)


EXAMPLES = {
    "": "redis://[user:password@]host[:port][/database number] or rediss://…",
    "+sentinel": "redis+sentinel://[user:password@]host[:port],host[:port]/service[/database number]",
    "+cluster": "redis+cluster://[user:password@]host[:port],host[:port]",
}

_HINTS: Mapping[type[Exception], str] = {
    NotReplicatedError: "no replica has acknowledged a write in time: see INFO replication",
    AuthenticationError: "it refuses the password: see LlmSettings.Budget.Ledger",
    AuthorizationError: "it does not let this user do what a ledger does: see its ACL",
    RedisTimeoutError: f"no answer within {TIMEOUT} s: see that it is well, and near",
    ReadOnlyError: "it is a replica: write the master's address in LlmSettings.Budget.Ledger",
    BusyLoadingError: "it is loading its data: it answers when it has",
    MasterNotFoundError: "no Sentinel names a master: see the service's name in the URL, and SENTINEL MASTERS",
    RedisConnectionError: "no connection: see that it runs, and that this machine may reach it",
    OutOfMemoryError: "its memory is full: raise maxmemory, and keep maxmemory-policy noeviction",
    ClusterDownError: "the cluster takes no writes: see CLUSTER INFO",
    RedisClusterException: "no node of the cluster answers for this key: see CLUSTER INFO and CLUSTER SHARDS",
}


def _shown(url: str) -> str:
    """Take the user and the password out of a URL, also if one with a / or a # in it was not quoted."""
    parts = split_url(url)
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return f"{parts.scheme}://..."
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
