"""Starts real servers for tests: on a free port, in a separate directory, stopped at the end."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from socketserver import BaseServer
from threading import Thread
from typing import TypeVar

import pytest

T = TypeVar("T")


def program(name: str, package: str) -> str:
    """Return the path of a program that the system has or lacks. If it is missing, fail in CI, and skip the test elsewhere."""
    found = shutil.which(name)
    if found:
        return found
    reason = f"needs {name}: apt install {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def npm(directory: Path, *packages: str) -> Path:
    """Install npm packages below a directory; return their path. If that fails, fail in CI, and skip elsewhere."""
    options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    (directory / "package.json").write_text("{}")
    command = [program("npm", "nodejs npm"), "install", *options, *packages]
    done = subprocess.run(command, cwd=directory, capture_output=True, check=False)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"npm could not install {', '.join(packages)}")
    assert done.returncode == 0, done.stderr
    return directory / "node_modules"


# a thousand ports for each worker, below the ephemeral ports of the system: a connection could take one of those
# before the server starts
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 20
_PORTS = itertools.cycle(range(10_000 + 1_000 * _WORKER, 11_000 + 1_000 * _WORKER))
# two runs on one machine start at different ports
for _ in range(os.getpid() % 1_000):
    next(_PORTS)


_CLAIMS: deque[int] = deque()
MOST_CLAIMS = 300
"""Ports that one process claims at once: each takes a file descriptor."""


def free_port() -> int:
    """Return a free port, which no other test gets, nor another run on this machine."""
    for port in itertools.islice(_PORTS, 1_000):
        with closing(socket.socket()) as probe, closing(socket.socket(socket.AF_UNIX)) as claim, suppress(OSError):
            if sys.platform == "linux":
                # a name that one process has until it ends: a server that is not started yet has no port
                claim.bind(f"\0llmmetrics-test-port-{port}")
            probe.bind(("127.0.0.1", port))
            _CLAIMS.append(claim.detach())
            if len(_CLAIMS) > MOST_CLAIMS:
                os.close(_CLAIMS.popleft())
            return port
    raise AssertionError("every port that this worker may have is taken")


def until(found: Callable[[], T], what: str, seconds: float = 60) -> T:
    """Return the first true result of `found`; ignore errors of a server that has not started."""
    deadline = time.monotonic() + seconds
    while True:
        last: object = None
        try:
            last = found()
            if last:
                return last
        except (OSError, ValueError, LookupError) as exc:
            last = exc
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s; the last was {last!r}")
        time.sleep(0.02)


def get(url: str, **headers: str) -> str:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


@contextmanager
def in_a_thread(server: BaseServer) -> Iterator[None]:
    """Run a server of the standard library inside the block."""
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def running(command: list[str], log: Path, **environ: str) -> Iterator[subprocess.Popen]:
    """Run a server inside the block; its output goes to a file."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**inherited, **environ})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Prometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **given: str) -> dict:
        """Return the data of an answer of its HTTP API."""
        return json.loads(get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(given)}"))["data"]

    def query(self, expression: str, **given: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of an instant query."""
        found = self.api("query", query=expression, **given)["result"]
        return [(row["metric"], float(row["value"][1])) for row in found]


@contextmanager
def prometheus(directory: Path, config: str) -> Iterator[Prometheus]:
    """Start a real Prometheus with this configuration; its data and log are in the directory."""
    written = directory / "prometheus.yml"
    written.write_text(config, "utf8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus", "prometheus"),
        f"--config.file={written}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address={address}",
    ]
    with running(command, directory / "prometheus.log"):
        yield Prometheus(f"http://{address}")


@contextmanager
def alertmanager(directory: Path, config: str) -> Iterator[str]:
    """Start a real Alertmanager with this configuration; yield its address."""
    written = directory / "alertmanager.yml"
    written.write_text(config, "utf8")
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={written}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with running(command, directory / "alertmanager.log"):
        until(lambda: get(f"http://{address}/-/ready"), "Alertmanager")
        yield address


class RedisServer:
    """Start a real Redis on a free port, in a separate directory, without persistence unless `options` set it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [
            program("redis-server", "redis-server"),
            *("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", "", *options),
        ]
        self._log = directory / "redis.log"
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self, *options: str) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen([*self._command, *options], stdout=log, stderr=log)
        until(lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None, "Redis")
        # another one may have its port
        assert self.process.poll() is None, self._log.read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    server = RedisServer(directory, *options)
    try:
        yield server
    finally:
        server.kill()
