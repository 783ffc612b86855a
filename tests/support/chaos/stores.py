"""The ledgers of a trial, and what a disturbance does to them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from support.redis_fleets import Fleet, cluster_fleet, sentinel_fleet
from support.relays import Relay
from support.servers import RedisServer, until


@cache
def mounts() -> bool:
    """Return whether this process may mount a file system."""
    with tempfile.TemporaryDirectory() as directory:
        return _mounted(Path(directory)) and not subprocess.run(["umount", directory], check=False).returncode


def _mounted(directory: Path) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(directory)]
    return os.geteuid() == 0 and not subprocess.run(mount, capture_output=True, check=False).returncode


class SqliteStore:
    """A file."""

    failovers = 0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "ledger.db"
        self.url = f"sqlite:///{self.file}"
        self._small = False

    def delete(self) -> None:
        for path in self.directory.glob("ledger.db*"):
            if not path.name.endswith(".lock"):
                # SQLite removes its own at the end of the last process
                path.unlink(missing_ok=True)

    def replace(self) -> None:
        """Put another file in its place: an empty one, as a restore from yesterday is."""
        other = self.directory / "other.db"
        with closing(sqlite3.connect(other)) as db:
            db.execute("PRAGMA journal_mode = wal")
        self.delete()
        other.rename(self.file)

    def hold(self) -> Callable[[], object]:
        """Lock it, as a backup does; return what unlocks it."""
        db = sqlite3.connect(self.file, isolation_level=None, timeout=10)
        db.execute("BEGIN IMMEDIATE")
        return db.close

    def fill(self) -> Callable[[], object]:
        """Fill the disk; return what makes room. The directory is a small file system."""
        assert self._small, "it would fill the disk of this machine"
        stuffing = self.directory / "stuffing"
        with suppress(OSError), stuffing.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        return stuffing.unlink

    def corrupt(self) -> None:
        with self.file.open("r+b") as file:
            file.seek(0)
            file.write(b"\xff" * 4096)

    def close(self) -> None:
        if self._small:
            subprocess.run(["umount", str(self.directory)], check=False)

    def on_a_small_disk(self) -> None:
        """Put the directory on a file system of half a megabyte."""
        self._small = _mounted(self.directory)


class RedisStore:
    """A server without persistence, behind a relay."""

    failovers = 0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "one").mkdir()
        self.server = RedisServer(directory / "one")
        self.relay = Relay(self.server.port).__enter__()
        self.url = f"redis://127.0.0.1:{self.relay.port}/0"
        self._second: RedisServer | None = None

    def restart(self) -> None:
        self.server.kill()
        self.server.start()

    def hang(self) -> Callable[[], object]:
        self.server.process.send_signal(signal.SIGSTOP)
        return lambda: self.server.process.send_signal(signal.SIGCONT)

    def drop(self) -> None:
        """End every connection, as a firewall does."""
        self.relay.drop()

    def cut(self) -> Callable[[], object]:
        self.relay.cut = True
        self.relay.drop()
        return lambda: setattr(self.relay, "cut", False)

    def slow(self) -> Callable[[], object]:
        self.relay.delay = 0.03
        return lambda: setattr(self.relay, "delay", 0)

    def promote(self) -> None:
        """Make a replica, which has everything, the master behind the address, and the old master its replica."""
        (self.directory / "two").mkdir()
        self._second = second = RedisServer(self.directory / "two")
        with Redis.from_url(self.server.url) as old, Redis.from_url(second.url, decode_responses=True) as new:
            new.replicaof("127.0.0.1", self.server.port)
            until(lambda: new.info("replication")["master_link_status"] == "up", "the replica")
            # no write is between the last look and the promotion
            old.execute_command("CLIENT", "PAUSE", 2000, "WRITE")
            until(lambda: self._same(old, new), "the last write")
            new.replicaof("NO", "ONE")
            self.relay.target = second.port
            old.replicaof("127.0.0.1", second.port)
            old.execute_command("CLIENT", "UNPAUSE")

    @staticmethod
    def _same(old: Redis, new: Redis) -> bool:
        return old.info("replication")["master_repl_offset"] == new.info("replication")["master_repl_offset"]

    def close(self) -> None:
        self.relay.__exit__(None, None, None)
        for server in filter(None, (self.server, self._second)):
            with suppress(OSError):
                server.process.send_signal(signal.SIGCONT)
            server.kill()


class FleetStore:
    """A master that Sentinel watches, or a Cluster."""

    def __init__(self, fleet: Fleet, directory: Path) -> None:
        self.fleet = fleet
        self._directory = directory
        self.url = fleet.url

    def fail_over(self, *, follows: bool = False, returns: bool = True) -> None:
        """Kill the first master; start it again when a replica has taken its place, maybe as the replica of this one.

        Else it says that it is a master, until Sentinel tells it otherwise.
        """
        self.fleet.first.kill()
        until(self.fleet.master, "a new master", 30)
        if not returns:
            return
        options = ("--replicaof", f"127.0.0.1 {self.fleet.master().port}") if follows else ()
        self.fleet.first.start(*options)

    def reshard(self) -> None:
        """Move every slot of the first master to the second, one after the other."""
        first, second = self.fleet.servers[:2]
        with closing(Redis.from_url(first.url)) as client:
            if client.dbsize() == 0:
                first, second = second, first
        with self.fleet.client(first) as source, self.fleet.client(second) as target:
            names = [node.execute_command("CLUSTER MYID") for node in (source, target)]
            for slot in self._slots(source):
                target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", names[0])
                source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", names[1])
                while keys := source.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
                    source.execute_command("MIGRATE", "127.0.0.1", second.port, "", 0, 5000, "KEYS", *keys)
                for node in (target, source):
                    with suppress(RedisError):
                        node.execute_command("CLUSTER SETSLOT", slot, "NODE", names[1])

    @staticmethod
    def _slots(client: Redis) -> set[int]:
        """The slots that have keys: the others are moved by nothing but their number."""
        return {client.execute_command("CLUSTER KEYSLOT", key) for key in client.scan_iter()}

    @property
    def failovers(self) -> int:
        """How many masters Sentinel has replaced."""
        logs = self._directory.glob("sentinel-*.log")
        return max((log.read_text("utf8").count("+switch-master") for log in logs), default=0)

    def close(self) -> None:
        """The fleet is closed by its own block."""


@contextmanager
def store(kind: str, directory: Path) -> Iterator[SqliteStore | RedisStore | FleetStore]:
    """Make a ledger of a kind; it is gone after the block."""
    fleets: Mapping[str, Callable] = {
        "sentinel": sentinel_fleet,
        "sentinel2": partial(sentinel_fleet, replicas=2),
        "cluster": cluster_fleet,
    }
    if kind in fleets:
        with fleets[kind](directory) as fleet:
            yield FleetStore(fleet, directory)
        return
    made = {"sqlite": SqliteStore, "redis": RedisStore}[kind](directory)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory, ignore_errors=True)
