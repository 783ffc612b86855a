"""The command line's commands and options, and what is said of each."""

from __future__ import annotations

import argparse
from typing import TypeAlias

import llmmetrics
from llmmetrics.cli.output.findings import EXITS

_EXITS = "Exits with {}.".format(", ".join(f"{status:d} where {when}" for status, when in EXITS.items()))

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - argparse has no public name for it


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    digits = text.replace("_", "")
    if not digits.isdecimal() or int(digits) >= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} is no count of tokens: give a whole number, such as 1000")
    return int(digits)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no interval: give seconds from 0.1 to 3600")
    return seconds


def _demo(commands: Commands) -> None:
    demo = commands.add_parser(
        "demo",
        help="see the metrics of simulated providers",
        description="Starts simulated providers, sends them real HTTP traffic, and serves its metrics until Ctrl-C.",
    )
    demo.add_argument(
        "--port",
        type=int,
        default=5000,
        help="where to serve /metrics; 0 takes a free port (default: 5000)",
    )
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="who may ask for /metrics: 0.0.0.0 for other machines too, as in a container (default: 127.0.0.1)",
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
        help="where a test moves the demo's clock: POST /advance?seconds=3600, GET /now; 0 takes a free port",
    )


def _top(commands: Commands) -> None:
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


def _check(commands: Commands) -> None:
    check = commands.add_parser(
        "check",
        help="see whether settings are valid, and what they come to",
        description="Says what is wrong with a settings file, or shows its backends, their prices and limits. Looks at "
        f"the price file and the ledger too, as an application does at its start. {_EXITS}",
    )
    check.add_argument("settings", metavar="SETTINGS", help="the settings, a JSON file")


def _doctor(commands: Commands) -> None:
    doctor = commands.add_parser(
        "doctor",
        help="find out why metrics or costs are missing",
        description="Looks at the SDKs, the settings, the environment and the port, and says what to do. A warning is "
        f"nothing wrong. {_EXITS}",
    )
    doctor.add_argument("settings", metavar="SETTINGS", nargs="?", help="the settings, a JSON file")
    doctor.add_argument(
        "--port", type=_port, default=5000, help="where your application serves /metrics (default: 5000)"
    )


def _verify(commands: Commands) -> None:
    verify = commands.add_parser(
        "verify",
        help="see whether a /metrics keeps the contract",
        description="Scrapes the metrics of a program in any language, in both formats, and says what is not as "
        f"documented. {_EXITS}",
    )
    verify.add_argument("url", metavar="URL", help="where the metrics are, such as http://127.0.0.1:5000/metrics")


def _price(commands: Commands) -> None:
    price = commands.add_parser(
        "price",
        help="see what a model or a call costs, and who says so",
        description="Prints the price of a model per million tokens, or with --input and --output that of a call: the "
        "settings' own, the price file's, or the catalogue's. Exits with 1 where nobody knows it.",
    )
    price.add_argument("model", metavar="MODEL", help="the model, such as gpt-4o-mini")
    price.add_argument("--provider", metavar="P", help="who sells it, such as openai (default: whoever has that name)")
    price.add_argument("--input", type=_count, metavar="N", help="tokens of input, cached ones included")
    price.add_argument("--output", type=_count, metavar="N", help="tokens of output, reasoning included")
    price.add_argument("--cached", type=_count, default=0, metavar="N", help="tokens of the input read from a cache")
    price.add_argument("--settings", metavar="SETTINGS", help="a JSON file whose own prices and price file count")
    price.set_defaults(wrong=price.error)


def _rules(commands: Commands) -> None:
    rules = commands.add_parser(
        "rules",
        help="see whether your own rules and dashboards can work",
        description="Looks at Prometheus' rules and Grafana's dashboards that ask for these metrics.",
    )
    of_rules = rules.add_subparsers(dest="action", required=True, metavar="ACTION").add_parser(
        "check",
        help="say what cannot work, and what to write instead",
        description="Reads each expression on simulated traffic (with promtool, evaluates it too): names, labels and "
        "values that do not exist, results that are always empty, counters without rate(), tokens counted twice. "
        f"{_EXITS}",
    )
    of_rules.add_argument(
        "files", metavar="FILE", nargs="+", help="rules or prometheus.yml in YAML, or a dashboard in JSON"
    )


def _budget(commands: Commands) -> None:
    budget = commands.add_parser(
        "budget",
        help="see what budgets have spent, or reset them",
        description="Asks the ledger what backends have spent, whether the application runs or not.",
    )
    actions = budget.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, does in _ACTIONS.items():
        _budget_options(actions.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}."), name)


_ACTIONS = {
    "show": "show what is spent and reserved, the limits, and the next resets",
    "reset": "take off what is spent in the windows of now, after asking",
    "history": "show the windows that are kept, and the resets by operators",
}


def _budget_options(action: argparse.ArgumentParser, name: str) -> None:
    action.add_argument("settings", metavar="SETTINGS", nargs="?", help="the settings, a JSON file")
    action.add_argument("--ledger", metavar="URL", help="the ledger, in place of the one that SETTINGS name")
    action.add_argument(
        "--namespace", metavar="NAME", help="whose budgets, where SETTINGS do not say (default: default)"
    )
    action.add_argument("--backend", metavar="NAME", help="of this backend alone")
    action.add_argument("--json", action="store_true", help="print JSON, amounts as strings")
    if name == "reset":
        action.add_argument("--yes", action="store_true", help="do not ask")
    action.set_defaults(yes=False, wrong=action.error)


def parser() -> argparse.ArgumentParser:
    """Every command with its options."""
    made = argparse.ArgumentParser(
        prog="llmmetrics",
        description="Meters LLM calls: tokens, cost, errors, latency.",
        epilog="`llmmetrics COMMAND --help` says what a command does and takes.",
    )
    made.add_argument("--version", action="version", version=f"llmmetrics {llmmetrics.__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_demo, _top, _check, _doctor, _verify, _price, _rules, _budget):
        add(commands)
    return made
