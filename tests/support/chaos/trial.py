"""Runs one row of the table with one seed: starts the processes, disturbs them, waits for the end, and judges."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from llmmetrics.budgets.ledgers import Balance, open_ledger
from llmmetrics.errors import LedgerError
from llmmetrics.metrics.registry import PICO
from llmmetrics.settings.windows import ResetPeriod, Window, WindowSchedule
from llmmetrics.system.clock import SystemClock
from support.chaos.disturbances import pause
from support.chaos.judging import Attempt, Facts, bill, unknown, violations
from support.chaos.provider import A_TOKEN, PRICE, TOKENS, Provider
from support.chaos.scenarios import Scenario
from support.chaos.stores import SqliteStore, store
from support.servers import RedisServer, until

WIDTH = 3
"""Threads or tasks of a process."""
LEASE = 2.0
WORST = TOKENS * A_TOKEN
SDKS = ("openai", "httpx", "httpx2")
NAMESPACE = "chaos1"
"""In a cluster, its keys are on the first master."""
PATIENCE = 90.0
"""Seconds in which the processes of a trial end."""
PATIENCE_OF_LEASES = 3
"""Leases after which nothing may be reserved: one of its own, and a third until the next renewal that failed."""
QUESTIONS = 10 * PATIENCE_OF_LEASES
"""Questions after which leases have ended too: in Redis each adds a tenth of a lease at most, however long it takes."""
HEADROOM = 0.7
"""The part of the limit below which a trial goes on when a master is killed: beyond it, calls in flight may hold it."""
LAST = "end"
"""The process that makes no call and books what is left."""


class Result(NamedTuple):
    """What a trial came to, in pico-dollars."""

    violations: Sequence[str]
    billed: int
    spent: int | None
    lost: int
    calls: int
    unknown: int
    over: int = 0
    """What was billed beyond the limit."""
    pause: float = 0
    """Seconds after which calls went on when a master was killed."""
    failovers: int = 0
    """Masters that Sentinel has replaced."""

    @property
    def another_master_was_replaced(self) -> bool:
        """Whether Sentinel took a second master for dead: on a busy machine, a fault that the row does not have."""
        return self.failovers > 1


class Zygote:
    """The program that forks client processes."""

    def __init__(self, directory: Path, *, pids: bool = False) -> None:
        self.private = pids and os.geteuid() == 0
        command = [sys.executable, str(Path(__file__).with_name("client.py"))]
        if self.private:
            command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *command]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environ |= {"XDG_STATE_HOME": str(directory / "state"), "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"

    def __call__(self, **command: Any) -> Any:
        self._process.stdin.write(f"{json.dumps(command)}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@contextmanager
def zygote(directory: Path, *, pids: bool = False) -> Iterator[Zygote]:
    made = Zygote(directory, pids=pids)
    with closing(made):
        yield made


class Trial:
    """One run, as a disturbance sees it."""

    def __init__(
        self, scenario: Scenario, kind: str, mode: str, seed: int, directory: Path, forker: Zygote, provider: Provider
    ) -> None:
        self.scenario, self.mode, self.seed = scenario, mode, seed
        self.chance = random.Random(f"{seed}")
        self.lease = LEASE
        self._kind = kind
        self._directory = directory
        self._zygote = forker
        self._provider = provider
        self._first = len(provider.log)
        self._pids: dict[str, int] = {}
        self._ended: dict[int, int] = {}
        self._killed: set[str] = set()
        self._lost = 0
        self._limit = int(Decimal(scenario.limit) * PICO)
        self._master_killed: float | None = None
        self._offsets: dict[str, float] = {}
        self._begun = datetime.now(UTC)
        self._log = directory / "log"

    # for disturbances

    def start(self, name: str) -> None:
        """Start a process."""
        n, scenario = len(self._pids), self.scenario
        offset = self._offsets[name] = scenario.offsets[n % len(scenario.offsets)]
        budget = {"Ledger": self.store.url, "Mode": self.mode, "Namespace": NAMESPACE, "LeaseSeconds": LEASE}
        spec = {
            "name": name,
            "seed": self.seed,
            "url": self._provider.url,
            "faults": dict(scenario.faults),
            "limit": scenario.limit,
            "period": scenario.period,
            "price": PRICE,
            "tokens": TOKENS,
            "calls": 0 if name == LAST else scenario.calls,
            "pace": scenario.pace,
            "width": WIDTH,
            "retries": 2,
            "offset": offset,
            "sdk": SDKS[(n + self.seed) % len(SDKS)],
            "style": scenario.styles[(n // len(SDKS) + self.seed + n) % len(scenario.styles)],
            "budget": {**budget, **scenario.budget},
            "out": str(self._directory / "reports"),
            "log": str(self._log),
        }
        self._pids[name] = self._zygote(start=spec)

    def running(self, patience: float = 0) -> list[str]:
        """Return the names of the processes that run; wait for the end of one, at most so many seconds."""
        self._ended |= {int(pid): status for pid, status in self._zygote(ended=patience).items()}
        return [name for name, pid in self._pids.items() if pid not in self._ended]

    def signal(self, name: str, which: str) -> None:
        """Send a signal to a process and its children."""
        self._zygote(signal=which, pid=self._pids[name])

    def kill(self, name: str) -> None:
        """Kill a process and its children."""
        self._killed.add(name)
        self.signal(name, "SIGKILL")

    def some_calls(self) -> None:
        """Wait for some more calls, or for the end of all processes."""
        target = len(self._provider.log) + self.chance.randint(1, self.scenario.processes * 3)
        until(lambda: len(self._provider.log) >= target or not self.running(), "some calls", PATIENCE)

    def until_billed(self, part: float, seconds: float = PATIENCE) -> None:
        """Wait until so much of the limit is billed, or for so many seconds."""
        with suppress(AssertionError):
            until(lambda: self._billed() >= part * self._limit or not self.running(), "so many calls", seconds)

    def _billed(self) -> int:
        return sum(attempt.billed for attempt in self._provider.log[self._first :])

    def note_loss(self, known: int = 0) -> None:
        """Note what the ledger has, but for what is `known` elsewhere, before it is taken away."""
        state = self._balance(self._window(0))
        # a call that is settled between this look and the loss is lost as well
        self._lost += max(state.spent + state.reserved - known, 0) + self.scenario.processes * WIDTH * WORST

    def on(self, server: RedisServer) -> int:
        """Return what a replica has of the spend."""
        with closing(Redis.from_url(server.url, decode_responses=True)) as replica:
            with suppress(RedisError):
                # only in a cluster
                replica.readonly()
            fields = replica.hgetall(f"llmmetrics:{{{NAMESPACE}:b}}:meta")
        return sum(int(value.split()[0]) for name, value in fields.items() if name.startswith("w|"))

    def killed_master(self) -> None:
        """Note when a master is killed: calls have to go on soon, if no process has been refused by then."""
        if len(self.running()) == self.scenario.processes and self._billed() < HEADROOM * self._limit:
            self._master_killed = time.monotonic()

    def _pause(self) -> float | None:
        """Return the seconds after which calls went on when the master was killed; None if they did not."""
        killed, own = self._master_killed, self._provider.log[self._first :]
        if killed is None:
            return 0
        # half a second later, those that had been admitted before are sent
        later = (attempt.at - killed for attempt in own)
        return next((seconds for seconds in later if seconds > 0.5), None)

    # the run

    def run(self) -> Result:
        """Run it."""
        self._directory.mkdir(parents=True)
        place = self._directory / "ledger"
        place.mkdir()
        with store(self._kind, place) as self.store:
            if self.scenario.small_disk and isinstance(self.store, SqliteStore):
                self.store.on_a_small_disk()
            for n in range(self.scenario.processes):
                self.start(f"p{n}")
            if self.scenario.disturb:
                with suppress(AssertionError):
                    # what hangs is named below
                    self.scenario.disturb(self)
            self._wait()
            return self._judged()

    def _wait(self) -> None:
        """Wait for the end of the processes; say where they hang, and kill them."""
        try:
            until(lambda: not self.running(0.2), "the end of the processes", PATIENCE)
        except AssertionError as exc:
            hanging = self.running()
            for which in ("SIGUSR1", "SIGKILL"):
                for name in hanging:
                    self.signal(name, which)
                pause(0.5)
            raise AssertionError(f"{', '.join(hanging)} hang: {self._said()}") from exc

    def _said(self) -> str:
        """What the processes wrote last."""
        return self._log.read_text("utf8", "replace")[-20000:]

    def _judged(self) -> Result:
        self._settle_everything()
        reports, attempts = self._reports(), self._provider.log[self._first :]
        windows: dict[Any, list[Attempt]] = {self._window(offset): [] for offset in self.scenario.offsets}
        for attempt in attempts:
            windows[self._window(self._offsets[attempt.process])].append(attempt)
        every = [self._facts(window, own, reports) for window, own in windows.items()]
        # a process may have started when the ledger could not be read
        may = {0, os.EX_CONFIG << 8} if self.scenario.unreadable else {0}
        failed = [name for name, pid in self._pids.items() if self._ended[pid] not in may and name not in self._killed]
        wrong = [text for facts in every for text in violations(facts)]
        wrong += [f"process {name} ended with {self._ended[self._pids[name]]}: {self._said()}" for name in failed]
        pause = self._pause()
        if pause is None or pause > self.scenario.resumes:
            wrong.append(f"calls went on after {pause} s: {self._said()}")
        return Result(
            wrong,
            sum(map(bill, every)),
            sum(facts.spent or 0 for facts in every),
            self._lost,
            len(attempts),
            sum(len(unknown(facts)) for facts in every),
            max(max(bill(facts) - facts.limit, 0) for facts in every),
            pause or 0,
            self.store.failovers,
        )

    def _facts(self, window: Window, attempts: Sequence[Attempt], reports: Mapping[str, str]) -> Facts:
        try:
            state = self._balance(window)
        except LedgerError:
            state = None
        return Facts(
            strict=self.mode == "strict",
            limit=self._limit,
            worst=WORST,
            attempts=attempts,
            reports=reports,
            killed=self._killed,
            lost=self._lost,
            unreadable=self.scenario.unreadable,
            spent=state and state.spent,
            reserved=state.reserved if state else 0,
        )

    def _settle_everything(self) -> None:
        """Let the leases end, and a last process book what the journals of those that died hold."""
        end, asked = time.monotonic() + PATIENCE_OF_LEASES * LEASE, 0
        while (time.monotonic() < end or asked < QUESTIONS) and self._reserved():
            asked += 1
            pause(0.1)
        self.start(LAST)
        self._wait()

    def _reserved(self) -> bool:
        try:
            return any(self._balance(self._window(offset)).reserved for offset in self.scenario.offsets)
        except LedgerError:
            return not self.scenario.unreadable

    def _window(self, offset: float) -> Window:
        return WindowSchedule(ResetPeriod(self.scenario.period)).window(self._begun + timedelta(seconds=offset))

    def _balance(self, window: Window) -> Balance:
        # on a busy machine, a server may take long
        patient = "" if self._kind == "sqlite" else "?socket_timeout=10"
        with closing(open_ledger(f"{self.store.url}{patient}", namespace=NAMESPACE)) as ledger:
            return ledger.balance("b", window, SystemClock().uptime())

    def _reports(self) -> Mapping[str, str]:
        path = self._directory / "reports"
        return dict(json.loads(line) for line in path.read_text("utf8").splitlines()) if path.exists() else {}
