"""The table: what calls meet, what happens to processes and to the ledger, and what that may cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from support.chaos import disturbances as do

CLEAN: Mapping[str, float] = MappingProxyType({"ok": 1})
SLOW: Mapping[str, float] = MappingProxyType({"ok": 1, "slow": 2})
MIXED: Mapping[str, float] = MappingProxyType(
    {
        "ok": 6,
        "slow": 2,
        "timeout": 1,
        "reset": 1,
        "cut": 1,
        "early": 2,
        "busy": 2,
        "error": 1,
    }
)
HOUR, MONTH = 3600, 31 * 86_400

Disturbance = Callable[..., None]


class Scenario(NamedTuple):
    """A row. `ledgers` and `modes` are all that it runs with."""

    faults: Mapping[str, float] = MIXED
    disturb: Disturbance | None = None
    ledgers: tuple[str, ...] = ("sqlite", "redis")
    modes: tuple[str, ...] = ("strict", "documented")
    styles: tuple[str, ...] = ("threads", "asyncio")
    offsets: tuple[float, ...] = (0,)
    """Seconds that the processes' wall clocks are off, by turns."""
    period: str = "Never"
    unreadable: bool = False
    """Whether it leaves a ledger that cannot be read."""
    small_disk: bool = False
    """Whether the ledger has a file system of its own, which only root mounts."""
    pids: bool = False
    """Whether the processes have a pid namespace of their own."""
    budget: Mapping[str, object] = MappingProxyType({})
    processes: int = 4
    calls: int = 10
    """Of each process."""
    pace: float = 0
    """Seconds between two calls of a thread or task."""
    limit: str = "0.005"
    """USD; by default about half of what the processes would spend."""
    resumes: float = 10
    """Seconds after which calls go on, at most, when a master was killed."""


LONG: Mapping[str, Any] = {"processes": 8, "calls": 300, "pace": 0.3, "limit": "0.03"}
SAFE: Mapping[str, Any] = {"budget": {"Durability": "replicated"}}

ONE = ("sqlite",)
OTHER = ("redis",)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        # calls
        "clean": Scenario(CLEAN),
        "timeouts": Scenario({"ok": 1, "timeout": 1}),
        "resets": Scenario({"ok": 1, "reset": 1}),
        "cuts": Scenario({"ok": 1, "cut": 1}),
        "early closes": Scenario({"ok": 1, "early": 1}),
        "429 with retries": Scenario({"ok": 1, "busy": 2, "timeout": 1}),
        "everything": Scenario(),
        # processes
        "kill": Scenario(SLOW, do.kill),
        "kill and everything": Scenario(MIXED, do.kill),
        "stop for longer than a lease": Scenario(SLOW, do.stop),
        "forks while threads work": Scenario(styles=("forks",)),
        "kills of forks": Scenario(SLOW, do.kill, styles=("forks",)),
        "pids that come round": Scenario(styles=("prefork",), pids=True),
        # clocks
        "clocks seconds apart": Scenario(SLOW, do.kill, offsets=(0, 5, -5)),
        "clocks hours apart": Scenario(SLOW, do.kill, offsets=(0, 2 * HOUR, -3 * HOUR)),
        "clocks months apart": Scenario(SLOW, do.kill, offsets=(0, 2 * MONTH, -2 * MONTH)),
        "a clock ahead in monthly windows": Scenario(offsets=(0, 0, 2 * MONTH), period="Monthly"),
        # a file
        "file deleted": Scenario(MIXED, do.lose("delete"), ONE),
        "file replaced": Scenario(MIXED, do.lose("replace"), ONE),
        "file locked": Scenario(MIXED, do.hold("hold", 1.5), ONE),
        "disk full": Scenario(MIXED, do.hold("fill", 1.0), ONE, small_disk=True),
        "file corrupted": Scenario(MIXED, do.lose("corrupt"), ONE, unreadable=True),
        # a server
        "redis restarted empty": Scenario(MIXED, do.lose("restart"), OTHER),
        "redis hung": Scenario(MIXED, do.hold("hang", 1.5), OTHER),
        "connections dropped": Scenario(MIXED, do.often("drop"), OTHER),
        "network cut": Scenario(MIXED, do.hold("cut", 1.0), OTHER),
        "network slow": Scenario(MIXED, do.hold("slow", 2.0), OTHER),
        "replica promoted": Scenario(MIXED, do.once("promote"), OTHER),
        # several servers
        "cluster resharded": Scenario(SLOW, do.often("reshard"), ("cluster",)),
        "sentinel fails over": Scenario(SLOW, do.fail_over, ("sentinel",), ("strict",), **LONG),
        "sentinel fails over, replicated": Scenario(SLOW, do.fail_over, ("sentinel2",), ("strict",), **LONG, **SAFE),
        "sentinel fails over for good, replicated": Scenario(
            SLOW, partial(do.fail_over, returns=False), ("sentinel2",), ("strict",), **LONG, **SAFE
        ),
        # no replica is left to acknowledge, until the old master has become one: at its start, or when Sentinel looks
        "sentinel fails over, one replica": Scenario(
            SLOW, partial(do.fail_over, follows=True), ("sentinel",), ("strict",), **LONG, **SAFE
        ),
        "sentinel fails over, one replica, told late": Scenario(
            SLOW, do.fail_over, ("sentinel",), ("strict",), **LONG, **SAFE, resumes=40
        ),
        "cluster fails over": Scenario(SLOW, do.fail_over, ("cluster",), ("strict",), **LONG),
        "cluster fails over, replicated": Scenario(SLOW, do.fail_over, ("cluster",), ("strict",), **LONG, **SAFE),
    }
)
