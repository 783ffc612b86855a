"""The command line: `llmmetrics demo`, `top`, `check`, `doctor`, `budget`, `verify`."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence

from llmmetrics.errors import ConfigError, LedgerError


def _demo(options: argparse.Namespace) -> int:
    # the demo draws with rich, which nothing else needs
    try:
        from llmmetrics import demo
    except ImportError as exc:
        return _not_installed(exc)
    demo.run(port=options.port, once=options.once, clock_port=options.clock_port)
    return 0


def _top(options: argparse.Namespace) -> int:
    try:
        from llmmetrics import top
    except ImportError as exc:
        return _not_installed(exc)
    return top.run(options.url, interval=options.interval, once=options.once)


def _not_installed(exc: ImportError) -> int:
    sys.stderr.write(f"llmmetrics: {exc.name} is not installed: pip install 'llmmetrics[cli]'\n")
    return 1


def _check(options: argparse.Namespace) -> int:
    from llmmetrics import check

    check.run(options.settings)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from llmmetrics import doctor

    return doctor.run(options.settings, options.port)


def _verify(options: argparse.Namespace) -> int:
    from llmmetrics import verify

    return verify.run(options.url)


def _budget(options: argparse.Namespace) -> int:
    from llmmetrics import books

    if options.settings is None and options.ledger is None:
        options.wrong("give the SETTINGS that name the ledger, or --ledger URL")
    given = {name: getattr(options, name) for name in books.Asked._fields}
    return books.run(options.action, books.Asked(**given))


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError
    return port


def _interval(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 3600:
        raise ValueError
    return seconds


_port.__name__, _interval.__name__ = "port", "interval"
"""What argparse calls them in `invalid port value: …`."""


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
    demo.add_argument(
        "--clock-port",
        type=int,
        metavar="PORT",
        help="where a test moves the demo's clock: POST /advance?seconds=3600, GET /now; 0 takes a free port",
    )
    top = commands.add_parser(
        "top",
        help="watch any /metrics in the terminal",
        description="Shows the backends of a program that llmmetrics meters: rates, errors, latency, tokens, cost, "
        "budgets, health. q or Ctrl-C ends it. What is no terminal gets one table. Exits with 2 where there is nothing "
        "to show.",
    )
    top.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        default="http://127.0.0.1:5000/metrics",
        help="the address of the metrics (default: http://127.0.0.1:5000/metrics)",
    )
    top.add_argument(
        "--interval",
        type=_interval,
        metavar="SECONDS",
        default=2.0,
        help="the time between two scrapes, from 0.1 to 3600 (default: 2)",
    )
    top.add_argument("--once", action="store_true", help="print one table and exit, on a terminal too")
    check = commands.add_parser(
        "check",
        help="see whether settings are valid, and what they come to",
        description="Says what is wrong with a settings file, or shows its backends, their prices and limits.",
    )
    check.add_argument("settings", metavar="SETTINGS", help="a JSON file, as the guide writes it")
    doctor = commands.add_parser(
        "doctor",
        help="find out why metrics or costs are missing",
        description="Looks at the SDKs, the settings, the environment and the port, and says what to do.",
    )
    doctor.add_argument("settings", metavar="SETTINGS", nargs="?", help="a JSON file, as the guide writes it")
    doctor.add_argument(
        "--port", type=_port, default=5000, help="where your application serves /metrics (default: 5000)"
    )
    verify = commands.add_parser(
        "verify",
        help="see whether a /metrics keeps the contract",
        description="Scrapes the metrics of a program in any language, in both formats, and says what is not as "
        "documented. Exits with 0: nothing; 1: something; 2: nobody answers there.",
    )
    verify.add_argument("url", metavar="URL", help="as in http://127.0.0.1:5000/metrics")
    budget = commands.add_parser(
        "budget",
        help="see what budgets have spent, or reset them",
        description="Asks the ledger, while the application runs or not.",
    )
    actions = budget.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, does in _ACTIONS.items():
        _budget_options(actions.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}."), name)
    return made


_ACTIONS = {
    "show": "show what is spent and reserved, the limits, and the next resets",
    "reset": "take off what is spent in the windows of now, after asking",
    "history": "show the windows that are kept, and the resets by operators",
}


def _budget_options(action: argparse.ArgumentParser, name: str) -> None:
    action.add_argument("settings", metavar="SETTINGS", nargs="?", help="a JSON file, as the guide writes it")
    action.add_argument("--ledger", metavar="URL", help="the ledger, in place of the one that SETTINGS name")
    action.add_argument(
        "--namespace", metavar="NAME", help="whose budgets, where SETTINGS do not say (default: default)"
    )
    action.add_argument("--backend", metavar="NAME", help="of this backend alone")
    action.add_argument("--json", action="store_true", help="print JSON, amounts as strings")
    if name == "reset":
        action.add_argument("--yes", action="store_true", help="do not ask")
    action.set_defaults(yes=False, wrong=action.error)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "demo": _demo,
    "top": _top,
    "check": _check,
    "doctor": _doctor,
    "verify": _verify,
    "budget": _budget,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 fine, 1 it failed, 2 it was called wrongly."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a backend's name may be in a script that the terminal has no letters for
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _COMMANDS[options.command](options)
    except (ConfigError, LedgerError) as exc:
        sys.stderr.write(f"llmmetrics: {exc}\n")
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
