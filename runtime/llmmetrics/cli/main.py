"""The command line: `llmmetrics demo`, `top`, `check`, `doctor`, `price`, `budget`, `verify`, `rules`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from llmmetrics.cli.arguments import parser
from llmmetrics.cli.output.findings import Exit
from llmmetrics.errors import ConfigError, LedgerError


def _demo(options: argparse.Namespace) -> int:
    # only the demo and `top` need rich
    try:
        from llmmetrics.cli.demo import command as demo
    except ImportError as exc:
        return _not_installed(exc)
    demo.run(host=options.host, port=options.port, once=options.once, clock_port=options.clock_port)
    return 0


def _top(options: argparse.Namespace) -> int:
    try:
        from llmmetrics.cli.top import command as top
    except ImportError as exc:
        return _not_installed(exc)
    return top.run(options.url, interval=options.interval, once=options.once)


def _not_installed(exc: ImportError) -> int:
    sys.stderr.write(f"llmmetrics: {exc.name} is not installed: pip install 'llmmetrics[cli]'\n")
    return 1


def _check(options: argparse.Namespace) -> int:
    from llmmetrics.cli import check

    return check.run(options.settings)


def _doctor(options: argparse.Namespace) -> int:
    from llmmetrics.cli.doctor import command as doctor

    return doctor.run(options.settings, options.port)


def _price(options: argparse.Namespace) -> int:
    from llmmetrics.cli import price

    counts = (options.input, options.output)
    if None in counts and (counts != (None, None) or options.cached):
        options.wrong(
            "--input and --output belong together: give both for the cost of a call, or neither for the price list"
        )
    if options.cached > (options.input or 0):
        options.wrong("--cached is a part of --input: give a number that is not larger")
    return price.run(price.PriceQuestion(**{name: getattr(options, name) for name in price.PriceQuestion._fields}))


def _verify(options: argparse.Namespace) -> int:
    from llmmetrics.cli import verify

    return verify.run(options.url)


def _rules(options: argparse.Namespace) -> int:
    # only this command needs parsers for YAML and PromQL
    try:
        from llmmetrics.cli.rules import command
    except ImportError as exc:
        _not_installed(exc)
        return Exit.CANNOT_LOOK
    return command.run(options.files)


def _budget(options: argparse.Namespace) -> int:
    from llmmetrics.cli import budget

    if options.settings is None and options.ledger is None:
        options.wrong("no ledger given: give SETTINGS that name one, or --ledger URL")
    values = {name: getattr(options, name) for name in budget.BudgetQuestion._fields}
    return budget.run(options.action, budget.BudgetQuestion(**values))


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "demo": _demo,
    "top": _top,
    "check": _check,
    "doctor": _doctor,
    "price": _price,
    "verify": _verify,
    "budget": _budget,
    "rules": _rules,
}


UNREAD = 141
"""The exit status if the reader of the output has closed it: 128 + SIGPIPE, as a shell reports it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 success, 1 failure, 2 wrong arguments (`Exit` has details)."""
    try:
        try:
            return _run(arguments)
        finally:
            # flush the buffer here, where a closed pipe can still be handled
            sys.stdout.flush()
    except BrokenPipeError:
        # as in `llmmetrics check … | head -1`; the interpreter flushes again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD


def _run(arguments: Sequence[str] | None) -> int:
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # the terminal's encoding may lack letters of a backend's name
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
