"""The command line's commands and options, with their help texts."""

from __future__ import annotations

import argparse
from typing import TypeAlias

import llmmetrics
from llmmetrics.cli.output.findings import EXITS

_EXITS = "Exits with {}.".format(", ".join(f"{status:d} if {when}" for status, when in EXITS.items()))

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no public name for it


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    digits = text.replace("_", "")
    if not digits.isdecimal() or int(digits) >= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens: give a whole number, such as 1000")
    return int(digits)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not an interval: give seconds from 0.1 to 3600")
    return seconds


def _demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="see the metrics of simulated providers",
        description="Starts simulated providers, sends real HTTP traffic to them, and serves the metrics until Ctrl-C.",
    )
    demo.add_argument(
        "--port",
        type=int,
        default=5000,
        help="the port that serves /metrics; 0 takes a free port (default: 5000)",
    )
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen on: 0.0.0.0 lets other machines connect, as in a container (default: 127.0.0.1)",
    )
    demo.add_argument(
        "--once",
        action="store_true",
        help="run the traffic once, print the board of `llmmetrics top` and the metrics, and exit",
    )
    demo.add_argument(
        "--clock-port",
        type=int,
        metavar="PORT",
        help="a port on which a test moves the demo's clock: POST /advance?seconds=3600, GET /now; 0 takes a free port",
    )


def _top(commands: Commands) -> None:
    top = commands.add_parser(
        "top",
        help="watch the /metrics of a program in the terminal",
        description="Shows the backends of a program that llmmetrics meters: rates, errors, latency, tokens, cost, "
        "budgets, health. Press q or Ctrl-C to quit. If stdout is not a terminal, prints one table and exits. Exits "
        "with 2 if there is nothing to show.",
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
    top.add_argument("--once", action="store_true", help="print one table and exit, also on a terminal")


def _check(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="validate settings, and show backends, prices and limits",
        description="Lists the errors in a settings file, or shows its backends with their prices and limits. Also "
        f"opens the price file and the ledger, as an application does at its start. {_EXITS}",
    )
    check.add_argument("settings", metavar="SETTINGS", help="the settings, a JSON file")


def _doctor(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="find out why metrics or costs are missing",
        description="Checks the SDKs, the settings, the environment and the port, and says what to do. A warning does "
        f"not count as wrong. {_EXITS}",
    )
    doctor.add_argument("settings", metavar="SETTINGS", nargs="?", help="the settings, a JSON file")
    doctor.add_argument(
        "--port", type=_port, default=5000, help="the port on which your application serves /metrics (default: 5000)"
    )


def _verify(commands: Commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="check a /metrics page against the contract",
        description="Scrapes the metrics of a program in any language, in both formats, and lists what differs from "
        f"the documentation. {_EXITS}",
    )
    verify.add_argument("url", metavar="URL", help="the address of the metrics, such as http://127.0.0.1:5000/metrics")


def _price(commands: Commands) -> None:
    price = commands.add_parser(
        "price",
        help="show what a model or a call costs, and the source of the price",
        description="Prints the price of a model per million tokens, or with --input and --output the cost of a call. "
        "The price comes from the settings, the price file or the catalogue. Exits with 2 if no price is known.",
    )
    price.add_argument("model", metavar="MODEL", help="the model, such as gpt-4o-mini")
    price.add_argument(
        "--provider",
        metavar="P",
        help="the provider that sells it, such as openai (default: any provider with a model of this name)",
    )
    price.add_argument("--input", type=_count, metavar="N", help="prompt tokens, with those read from a cache")
    price.add_argument("--output", type=_count, metavar="N", help="completion tokens, with reasoning")
    price.add_argument(
        "--cached", type=_count, default=0, metavar="N", help="the prompt tokens that were read from a cache"
    )
    price.add_argument(
        "--settings", metavar="SETTINGS", help="the settings, a JSON file: use its prices and its price file too"
    )
    price.set_defaults(wrong=price.error)


def _rules(commands: Commands) -> None:
    rules = commands.add_parser(
        "rules",
        help="check your own rules and dashboards",
        description="Checks Prometheus rules and Grafana dashboards that query these metrics.",
    )
    of_rules = rules.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "check",
        help="find queries that cannot work, and say what to write instead",
        description="Checks each expression against simulated traffic; with promtool installed, evaluates it too. "
        "Finds names, labels and values that do not exist, results that are always empty, counters without "
        "rate(), tokens counted twice. "
        f"{_EXITS}",
    )
    of_rules.add_argument(
        "files", metavar="FILE", nargs="+", help="rules or a prometheus.yml in YAML, or a dashboard in JSON"
    )


def _budget(commands: Commands) -> None:
    budget = commands.add_parser(
        "budget",
        help="show what budgets have spent, or reset them",
        description="Reads the spend of each backend from the ledger. The application need not run.",
    )
    actions = budget.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in _ACTIONS.items():
        _budget_options(actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."), name)


_ACTIONS = {
    "show": "show each budget: spent, reserved, limit and next reset",
    "reset": "set the spend of the current windows to 0, after a confirmation",
    "release": "take back what was booked at worst case, after a look at the provider's bill",
    "history": "show past windows, and what operators took off",
    "prune": "delete windows that ended before a date",
}


def _budget_options(action: argparse.ArgumentParser, name: str) -> None:
    action.add_argument("settings", metavar="SETTINGS", nargs="?", help="the settings, a JSON file")
    action.add_argument("--ledger", metavar="URL", help="the ledger to use instead of the one in SETTINGS")
    action.add_argument(
        "--namespace", metavar="NAME", help="the namespace of the budgets, if SETTINGS give none (default: default)"
    )
    action.add_argument("--backend", metavar="NAME", help="only this backend")
    action.add_argument("--json", action="store_true", help="print JSON; amounts are strings")
    if name == "show":
        action.add_argument("--by", metavar="TAG", help="what the calls of each value of this tag cost")
        action.add_argument(
            "--window", metavar="MONTH", help="of --by: a month or a day in UTC, as 2026-11; else this one"
        )
    if name == "release":
        action.add_argument(
            "--unknown", action="store_true", required=True, help="the calls whose outcome is not known, all of them"
        )
    if name == "prune":
        action.add_argument("--before", metavar="DATE", required=True, help="a date in UTC, as 2026-01-31")
    if name in ("reset", "release", "prune"):
        action.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    action.set_defaults(yes=False, before=None, by=None, window=None, wrong=action.error)


def parser() -> argparse.ArgumentParser:
    """Build the parser of every command with its options."""
    root = argparse.ArgumentParser(
        prog="llmmetrics",
        description="Meters LLM calls: tokens, cost, errors, latency.",
        epilog="Run `llmmetrics COMMAND --help` for a command's options.",
    )
    root.add_argument("--version", action="version", version=f"llmmetrics {llmmetrics.__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_demo, _top, _check, _doctor, _verify, _price, _rules, _budget):
        add(commands)
    return root
