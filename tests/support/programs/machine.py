"""An application on its own machine, controlled through its standard input. Each call costs $3.

`python machine.py '{"Ledger": …}'`, then a line each: `call`, `hold`, `go`, `balance`, `waiting`; its end ends it.
"""

from __future__ import annotations

import json
import sys

import httpx
from prometheus_client import CollectorRegistry

from llmmetrics import BudgetExceeded, Meter

URL = "https://api.openai.com/v1/chat/completions"
REPLY = {"model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
OWN = {"ModelName": "m", "CostPerMillionInputTokens": 0, "CostPerMillionOutputTokens": 1_000_000}
BACKEND = {"Name": "b", "MaxSpendUsd": 1_000_000, "SpendResetPeriod": "Never", **OWN}


def say(what):
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


class Machine:
    def __init__(self, budget):
        self.meter = Meter.from_settings({"Budget": budget, "Backends": [BACKEND]}, registry=CollectorRegistry())
        self.client = httpx.Client(transport=self.meter.transport(httpx.MockTransport(self.answer)))
        self.holding = False

    def answer(self, _):
        if self.holding:
            say("held")
            sys.stdin.readline()
        return httpx.Response(200, json=REPLY)

    def call(self):
        try:
            self.client.post(URL, json={"model": "m", "max_tokens": 10})
        except BudgetExceeded as exc:
            return exc.reason
        return "ok"

    def hold(self):
        """Make a call that is answered after the command `go`."""
        self.holding = True
        try:
            return self.call()
        finally:
            self.holding = False

    def balance(self):
        """Return what is spent and what is reserved, in USD."""
        budget, clock = self.meter.engine.enforcer.budget, self.meter.engine.clock
        found = budget.ledger.balance("b", budget.lines["b"].at(clock.now()), clock.uptime())
        return f"{found.spent / 1e12:g} {found.reserved / 1e12:g}"

    def waiting(self):
        """Return whether costs are still unbooked."""
        return bool(self.meter.engine.enforcer.budget.guard._journal)


def main():
    machine = Machine(json.loads(sys.argv[1]))
    say("ready")
    for line in sys.stdin:
        say(getattr(machine, line.strip())())
    machine.meter.close()


if __name__ == "__main__":
    main()
