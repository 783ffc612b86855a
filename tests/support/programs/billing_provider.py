"""A provider on its own machine: answers with a script of faults first. `python billing_provider.py FAULT…`

Prints its port, and after the end of its input how many requests it may have billed.
"""

from __future__ import annotations

import sys

from llmmetrics.testing import faults, serve

UNBILLED = ("server_error", "rate_limit")

if __name__ == "__main__":
    names = sys.argv[1:]
    with serve(host="0.0.0.0") as provider:
        provider.script(*(faults.FAULTS[name] for name in names))
        sys.stdout.write(provider.url.rpartition(":")[2] + "\n")
        sys.stdout.flush()
        sys.stdin.read()
        # what a fault cut off may have been billed whole; an error was not
        sent = [*names[: len(provider.requests)]]
        sys.stdout.write(f"{len(provider.requests) - sum(name in UNBILLED for name in sent)}\n")
