"""The command line: `llmmetrics demo`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from llmmetrics.errors import ConfigError


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    made = argparse.ArgumentParser(prog="llmmetrics", description="Meters LLM calls: tokens, cost, errors, latency.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="see the metrics of simulated providers",
        description="Starts simulated providers, sends them real HTTP traffic, and serves its metrics until Ctrl-C.",
    )
    demo.add_argument(
        "--port",
        type=int,
        default=5000,
        help="where to serve /metrics on 127.0.0.1; 0 takes a free port (default: 5000)",
    )
    demo.add_argument(
        "--once", action="store_true", help="run the traffic once, print the table and the metrics, and exit"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 fine, 1 it failed, 2 it was called wrongly."""
    options = parser().parse_args(arguments)
    # the demo draws with rich, which only the command line needs
    try:
        from llmmetrics import demo
    except ImportError as exc:
        sys.stderr.write(f"llmmetrics: {exc.name} is not installed: pip install 'llmmetrics[cli]'\n")
        return 1
    try:
        demo.run(port=options.port, once=options.once)
    except ConfigError as exc:
        sys.stderr.write(f"llmmetrics: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
