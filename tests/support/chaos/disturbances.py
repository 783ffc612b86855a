"""What happens in mid-run to processes and to the ledger, each at a moment that the seed chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.chaos.trial import Trial


def pause(seconds: float) -> None:
    """Let time pass: a fault lasts for a while."""
    threading.Event().wait(seconds)


def kill(trial: Trial) -> None:
    """Kill processes one after the other, each in the middle of whatever it does, and start others."""
    for n in range(2):
        trial.some_calls()
        pause(trial.chance.uniform(0, 0.05))
        if victim := trial.running():
            trial.kill(trial.chance.choice(victim))
            trial.start(f"r{n}")


def stop(trial: Trial) -> None:
    """Stop a process for longer than a lease."""
    trial.some_calls()
    pause(trial.chance.uniform(0, 0.05))
    if victim := trial.running():
        name = trial.chance.choice(victim)
        trial.signal(name, "SIGSTOP")
        pause(1.5 * trial.lease)
        trial.signal(name, "SIGCONT")


def once(what: str) -> Callable[[Trial], None]:
    """Do something to the ledger."""

    def disturb(trial: Trial) -> None:
        trial.some_calls()
        getattr(trial.store, what)()

    return disturb


def often(what: str) -> Callable[[Trial], None]:
    """Do something to the ledger, several times."""

    def disturb(trial: Trial) -> None:
        for _ in range(3):
            trial.some_calls()
            getattr(trial.store, what)()

    return disturb


def lose(what: str) -> Callable[[Trial], None]:
    """Take from the ledger what it has; the trial notes how much that is."""

    def disturb(trial: Trial) -> None:
        trial.some_calls()
        trial.note_loss()
        getattr(trial.store, what)()

    return disturb


def hold(what: str, seconds: float) -> Callable[[Trial], None]:
    """Keep the ledger in a state for a while."""

    def disturb(trial: Trial) -> None:
        trial.some_calls()
        release = getattr(trial.store, what)()
        pause(trial.chance.uniform(0.5, 1) * seconds)
        release()

    return disturb


def fail_over(trial: Trial, **how: bool) -> None:
    """Hold back what the replica reads, kill the master when half of the limit is billed, and let another take over."""
    fleet = trial.store.fleet
    trial.until_billed(trial.chance.uniform(0.1, 0.3))
    fleet.relay.replica_delay = trial.chance.uniform(0.1, 1)
    trial.until_billed(trial.chance.uniform(0.4, 0.6), seconds=5)
    if trial.scenario.budget.get("Durability") != "replicated":
        trial.note_loss(known=min(map(trial.on, fleet.replicas)))
    trial.killed_master()
    trial.store.fail_over(**how)
    fleet.relay.replica_delay = 0
