"""Simulated machines: Linux network namespaces, each joined to a hub by a cable that can be cut."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest

from support.servers import program

HUB = "hub"


class Network:
    """A hub, at 10.77.N.1 for its Nth machine, which is 10.77.N.2. It is invisible outside."""

    def __init__(self, *machines: str) -> None:
        self.ip = program("ip", "iproute2")
        self._key = uuid4().hex[:8]
        self.addresses = {name: f"10.77.{n}.1" for n, name in enumerate(machines)}
        """Return the hub's address for each machine."""

    def build(self) -> None:
        for name in (HUB, *self.addresses):
            done = self._run("netns", "add", self._of(name), check=False)
            if done.returncode:
                # not a missing program: a container may lack the right to do this
                pytest.skip(f"cannot make network namespaces: {done.stderr.strip()}")
            self._run("-n", self._of(name), "link", "set", "lo", "up")
        for name, hub in self.addresses.items():
            mine, theirs = (self._of(each) for each in (name, HUB))
            self._run(
                *("link", "add", "eth0", "netns", mine, "type", "veth"),
                *("peer", "name", self._cable(name), "netns", theirs),
            )
            for namespace, link, address in (
                (mine, "eth0", f"{hub[:-1]}2/24"),
                (theirs, self._cable(name), f"{hub}/24"),
            ):
                self._run("-n", namespace, "address", "add", address, "dev", link)
                self._run("-n", namespace, "link", "set", link, "up")

    def cut(self, name: str) -> None:
        """Drop all packets to and from this machine, without an error to either side."""
        self._run("-n", self._of(HUB), "link", "set", self._cable(name), "down")

    def heal(self, name: str) -> None:
        self._run("-n", self._of(HUB), "link", "set", self._cable(name), "up")

    def on(self, name: str, *command: str) -> list[str]:
        """Return a command that runs on this machine."""
        return [self.ip, "netns", "exec", self._of(name), *command]

    def remove(self) -> None:
        for name in (HUB, *self.addresses):
            self._run("netns", "delete", self._of(name), check=False)

    def _of(self, name: str) -> str:
        return f"llmmetrics-{self._key}-{name}"

    def _cable(self, name: str) -> str:
        return f"to-{name}"[:15]

    def _run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.ip, *arguments], capture_output=True, text=True, check=check)


@contextmanager
def network(*machines: str) -> Iterator[Network]:
    if os.name == "nt" or not hasattr(os, "geteuid"):
        pytest.skip("needs Linux")
    made = Network(*machines)
    try:
        made.build()
        yield made
    finally:
        made.remove()
